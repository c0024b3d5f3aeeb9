//! Stopping, and bodies that are too long.

use crate::kit::{Running, before};
use futures_util::{StreamExt as _, stream};
use restow_proxy::{Options, Upstream};
use restow_testkit::{Gate, Origin, Reply};

/// R21.
#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_are_answered_when_it_is_told_to_stop() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |call| Reply::ok(call.target.clone()).behind(&held)).await;
    let mut proxy = before(&origin).await;
    let urls: Vec<String> = (0..200).map(|n| proxy.url(&format!("/{n}"))).collect();
    let client = restow_testkit::http_client().build().unwrap();
    let asking = client.clone();
    let asked = stream::iter(urls)
        .map(move |url| {
            let client = asking.clone();
            async move { client.get(url).send().await.unwrap().text().await.unwrap() }
        })
        .buffer_unordered(200)
        .collect::<Vec<_>>();
    let asked = tokio::spawn(asked);
    gate.reached(200).await;
    proxy.stop();
    gate.open();
    assert_eq!(asked.await.unwrap().len(), 200);
    (&mut proxy.served).await.unwrap().unwrap();
    assert!(
        client.get(proxy.url("/")).send().await.is_err(),
        "it listens no more"
    );
}

#[tokio::test]
async fn a_request_body_that_is_too_long_is_refused() {
    let origin = Origin::start(|_| Reply::ok("origin")).await;
    let options = Options {
        max_request_body: 1_000,
        ..Options::default()
    };
    let proxy = Running::start(vec![Upstream::new(&origin.url("")).unwrap()], options, "").await;
    let client = restow_testkit::http_client().build().unwrap();
    let post = async |len: usize| {
        let answer = client
            .post(proxy.url("/"))
            .body("x".repeat(len))
            .send()
            .await
            .unwrap();
        answer.status().as_u16()
    };
    assert_eq!(post(1_000).await, 200);
    assert_eq!(post(1_001).await, 413);
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn a_body_that_is_too_long_to_be_stored_passes_whole() {
    let origin =
        Origin::start(|_| Reply::ok("x".repeat(2_000)).header("cache-control", "max-age=60")).await;
    let options = Options {
        max_body: 1_000,
        ..Options::default()
    };
    let proxy = Running::start(vec![Upstream::new(&origin.url("")).unwrap()], options, "").await;
    for _ in 0..2 {
        let answer = proxy.get("/").await;
        assert_eq!(answer.body.len(), 2_000);
        assert!(!answer.is_hit());
    }
}
