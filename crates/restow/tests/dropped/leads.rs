//! One who waits for another's fetch is answered, wherever that other is dropped.

use crate::place::{Api, Company, Place, URLS, url};
use restow::BoxFuture;
use restow_testkit::dropping::{At, Dropped, dropped, in_time};
use std::time::Duration;

type Lead = for<'a> fn(&'a Place) -> BoxFuture<'a, ()>;

const LEADS: [(&str, Lead); 3] = [
    ("a typed read", |place| {
        Box::pin(async { _ = place.items.get_or_fetch(&"new".to_owned(), &Api).await })
    }),
    ("a client", |place| {
        Box::pin(async {
            _ = place
                .owning()
                .get(url("new"))
                .send()
                .await
                .unwrap()
                .text()
                .await
        })
    }),
    ("a middleware", |place| {
        Box::pin(async {
            _ = place
                .borrowing()
                .get(url("new"))
                .send()
                .await
                .unwrap()
                .text()
                .await
        })
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_is_answered_wherever_the_one_who_fetches_is_dropped() {
    for at in [URLS[0], URLS[2]] {
        let mut place = Place::open(at, Company::None).await;
        for (name, lead) in LEADS {
            for polls in 1.. {
                place.ready().await;
                let what = format!("{at}, {name} dropped after {polls} polls");
                let leads = dropped(lead(&place), polls, At::Wait);
                let key = "new".to_owned();
                let waits = async {
                    // The one that is to be dropped comes first.
                    tokio::task::yield_now().await;
                    place.items.get_or_fetch(&key, &Api).await
                };
                let (came_to, answered) =
                    in_time(&what, async { tokio::join!(leads, waits) }).await;
                assert_eq!(
                    answered.unwrap().value.as_deref(),
                    Some("fetched"),
                    "{what}"
                );
                if came_to == Dropped::Ended {
                    break;
                }
            }
        }
    }
}

/// Longer than a lease that nobody gives back.
const LEASE: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_refreshes_next_may_wherever_the_one_before_is_dropped() {
    // A store that has answered before anybody looks is not waited for: then it is tried again.
    let mut waits = 0;
    for (tried, url) in (1..=50 * URLS.len()).zip(URLS.into_iter().cycle()) {
        let place = Place::open(url, Company::None).await;
        place.ready_leased().await;
        for polls in 0.. {
            let mut ended = false;
            for at in [At::Wait, At::Wake] {
                let what = format!("{url}, may_refresh dropped after {polls} polls, {at:?}");
                let mut ticket = place.refresh().await;
                let asks = async { assert!(ticket.may_refresh().await, "{what}") };
                let came_to = in_time(&what, dropped(asks, polls, at)).await;
                waits += usize::from(came_to == Dropped::Waiting);
                ended = came_to == Dropped::Ended;
                drop(ticket);
                place.clock.advance(LEASE);
                let mut next = place.refresh().await;
                assert!(in_time(&what, next.may_refresh()).await, "{what}");
                drop(next);
                place.clock.advance(LEASE);
            }
            if ended {
                break;
            }
        }
        in_time("the end", place.cache.close()).await.unwrap();
        if tried >= URLS.len() && waits > 0 {
            break;
        }
    }
    assert!(waits > 0, "nothing waited: nothing was tried");
}
