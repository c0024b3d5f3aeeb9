use crate::support::{URLS, answer, every_store, get, pages};
use restow::{Cache, ErrorKind, Millis, Scope, TestClock};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_closed_cache_says_so_everywhere() {
    for at in every_store().await {
        let pages_before = at.cache.create_repository(pages()).await.unwrap();
        let other = at.cache.principal("alice").unwrap();
        at.cache.close().await.unwrap();
        at.cache.close().await.unwrap();
        assert!(
            at.cache.is_closed() && other.is_closed() && pages_before.is_closed(),
            "{}",
            at.url
        );
        for error in [
            at.cache.create_repository(pages()).await.unwrap_err(),
            at.cache.open_or_get(pages()).await.unwrap_err(),
            at.cache.open_stored().await.unwrap_err(),
            at.cache.drop_repository("pages").await.unwrap_err(),
            at.cache.commit().await.unwrap_err(),
            at.cache.get(&get("/pages/home")).await.unwrap_err(),
            at.cache.get_many(&[get("/pages/home")]).await.unwrap_err(),
            at.cache
                .save(&get("/pages/home"), &answer("x"))
                .await
                .unwrap_err(),
            at.cache
                .save_many(&[(get("/pages/home"), answer("x"))])
                .await
                .unwrap_err(),
            at.cache.delete(&get("/pages/home")).await.unwrap_err(),
            at.cache
                .delete_many(&[get("/pages/home")])
                .await
                .unwrap_err(),
            other.get(&get("/pages/home")).await.unwrap_err(),
            pages_before.get("home").await.unwrap_err(),
            pages_before.count(Scope::All).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Closed, "{} {error}", at.url);
        }
    }
}

#[tokio::test]
async fn what_was_committed_is_there_though_nothing_was_closed() {
    for at in every_store().await {
        let pages = at.cache.create_repository(pages()).await.unwrap();
        pages.save("home", &"x".to_owned()).await.unwrap();
        pages.commit().await.unwrap();
        at.cache.commit().await.unwrap();
        assert_eq!(
            pages.get("home").await.unwrap().as_deref(),
            Some("x"),
            "{}",
            at.url
        );
    }
}

#[test]
fn dropping_everything_without_a_close_never_hangs() {
    for url in URLS {
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let cache = restow::connect(url).await.unwrap();
                let pages = cache.create_repository(pages()).await.unwrap();
                pages.save("home", &"x".to_owned()).await.unwrap();
                // A call that is never finished, and a stream that is never read to its end.
                drop(pages.get("home"));
                drop(pages.stream(Scope::All));
            });
            drop(runtime);
            done.send(()).unwrap();
        });
        assert!(ended.recv_timeout(Duration::from_secs(30)).is_ok(), "{url}");
    }
}

#[test]
fn a_cache_can_be_made_without_a_runtime_that_goes_on() {
    // A runtime for each call, none of which outlives it.
    let run = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let cache = run().block_on(restow::connect("memory:")).unwrap();
    let pages = run().block_on(cache.create_repository(pages())).unwrap();
    run().block_on(pages.save("home", &"x".to_owned())).unwrap();
    assert_eq!(
        run().block_on(pages.get("home")).unwrap().as_deref(),
        Some("x")
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_past_its_keep_is_removed_in_the_background() {
    let clock = TestClock::at(Millis(0));
    let cache = Cache::builder()
        .url("memory:")
        .clock(clock.clone())
        .expire_after(DAY)
        .keep(DAY)
        .build()
        .await
        .unwrap();
    let pages = cache.create_repository(pages()).await.unwrap();
    pages.save("old", &"x".to_owned()).await.unwrap();
    clock.advance(DAY);
    pages.save("new", &"x".to_owned()).await.unwrap();
    clock.advance(DAY);
    // The runtime's clock is paused: it jumps to the next timer.
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(pages.sweep().await.unwrap(), 0);
    assert_eq!(pages.count(Scope::All).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_only_cache_removes_nothing_in_the_background() {
    let clock = TestClock::at(Millis(0));
    let cache = Cache::builder()
        .url("memory:")
        .clock(clock.clone())
        .expire_after(DAY)
        .keep(DAY)
        .build()
        .await
        .unwrap();
    let pages = cache.create_repository(pages()).await.unwrap();
    pages.save("old", &"x".to_owned()).await.unwrap();
    clock.advance(2 * DAY);
    cache.set_mode(restow::Mode::ReadOnly);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    cache.set_mode(restow::Mode::Live);
    assert_eq!(pages.sweep().await.unwrap(), 1);
}
