//! Every public future, dropped at every await: no call after it fails or stands still, nothing is half there, nobody waits in vain.
//!
//! Each call of the tables in `calls.rs` is made again and again, and dropped before it is polled, after its first wait, after its
//! second, until it ends by itself; and each time once as soon as it waits, and once when what it waited for has come.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

mod calls;
mod changes;
mod file;
mod leads;
mod place;

use calls::Call;
use place::{Company, Place, URLS};
use restow_testkit::dropping::{At, Dropped, dropped, in_time};

/// More awaits than any call has.
const MOST: usize = 200;

/// Drops each call at each of its awaits, and looks after each time whether all is well.
async fn drop_everywhere(url: &'static str, calls: &[Call], company: Company) {
    let mut place = Place::open(url, company).await;
    let mut waits = 0;
    for call in calls {
        let mut ended = false;
        for polls in 0..MOST {
            for at in [At::Wait, At::Wake] {
                in_time(&format!("{url}, ready for {}", call.name), place.ready()).await;
                let what = format!("{url}, {} dropped after {polls} polls, {at:?}", call.name);
                let came_to = in_time(&what, dropped((call.make)(&place), polls, at)).await;
                waits += usize::from(came_to == Dropped::Waiting);
                ended = came_to == Dropped::Ended;
                in_time(&format!("what comes after: {what}"), place.is_well(&what)).await;
                if place.cache.is_closed() {
                    place = Place::open(url, company).await;
                }
            }
            if ended {
                break;
            }
        }
        assert!(ended, "{url}, {} never ended", call.name);
    }
    println!("{url}: {} calls, dropped at {waits} waits", calls.len());
    assert!(waits > 0, "nothing waited: nothing was tried");
    in_time("the end", place.cache.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_cache_in_memory_can_be_dropped_at_every_await() {
    drop_everywhere(URLS[0], calls::CACHE, Company::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_cache_on_sqlite_in_memory_can_be_dropped_at_every_await() {
    drop_everywhere(URLS[1], calls::CACHE, Company::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_cache_on_a_file_can_be_dropped_at_every_await() {
    drop_everywhere(URLS[2], calls::CACHE, Company::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_cache_on_a_file_that_others_write_can_be_dropped_at_every_await() {
    drop_everywhere(URLS[2], calls::CACHE, Company::Writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_cache_on_a_file_behind_memory_can_be_dropped_at_every_await() {
    drop_everywhere(URLS[3], calls::CACHE, Company::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_every_client_can_be_dropped_at_every_await() {
    for url in URLS {
        drop_everywhere(url, calls::CLIENTS, Company::None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_store_and_a_table_can_be_dropped_at_every_await() {
    // The contract in memory answers at once: what is to be dropped is in the others.
    for url in &URLS[1..] {
        drop_everywhere(url, calls::STORE, Company::None).await;
    }
}

/// More than there are places in any queue.
const OFTEN: usize = 1_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_dropped_very_often_has_used_nothing_up() {
    const NAMES: [&str; 6] = [
        "Repository::get_many, of more than a few",
        "Repository::count",
        "Repository::stream",
        "Repository::save",
        "Repository::commit",
        "Repository::get_or_fetch, of what is fetched",
    ];
    for url in URLS {
        let mut place = Place::open(url, Company::None).await;
        place.ready().await;
        for name in NAMES {
            let call = calls::CACHE.iter().find(|call| call.name == name).unwrap();
            for _ in 0..OFTEN {
                dropped((call.make)(&place), 1, At::Wait).await;
            }
            let what = format!("{url}, {name} dropped {OFTEN} times");
            in_time(&what, (call.make)(&place)).await;
            in_time(&format!("what comes after: {what}"), place.is_well(&what)).await;
        }
        in_time("the end", place.cache.close()).await.unwrap();
    }
}
