//! Whole answers or none.

use crate::{
    forms::{self, Client},
    place::{Pages, Place, pages},
};
use http_body_util::BodyExt;
use restow::{
    Scope,
    endpoint::Rejection,
    exchange::{Answered, Saved},
};
use restow_testkit::{Origin, RawOrigin, Reply, http_client};

#[tokio::test]
async fn an_answer_that_breaks_off_anywhere_is_an_error_and_never_stored() {
    let whole: [(&str, &[u8]); 2] = [
        (
            "length",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 26\r\nConnection: close\r\n\r\nabcdefghijklmnopqrstuvwxyz",
        ),
        (
            "chunks",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\na\r\nabcdefghij\r\n10\r\nklmnopqrstuvwxyz\r\n0\r\n\r\n",
        ),
    ];
    let place = Place::new();
    let cache = place.cache().await;
    for (framing, whole) in whole {
        for (form, client, _) in forms::all(&cache) {
            // Connection n is cut after n bytes.
            let origin = RawOrigin::start(|n| whole[..n].to_vec()).await;
            let pages = pages(&cache, &origin.url("")).await;
            let (key, case) = (format!("{form}-{framing}"), format!("{form}, {framing}"));
            let url = origin.url(&format!("/pages/{key}"));
            for offset in 0..whole.len() {
                let answer = client.ask(&url, &[]).await;
                assert!(
                    answer.is_err(),
                    "{case}: cut at {offset} it came as {answer:?}"
                );
                let all = pages.everyone().count(Scope::All).await.unwrap();
                assert_eq!(all, 0, "{case}: cut at {offset} it is stored");
            }
            assert_eq!(
                client.get(&url).await.text(),
                "abcdefghijklmnopqrstuvwxyz",
                "{case}"
            );
            assert!(pages.get(&key).await.unwrap().is_some(), "{case}");
            pages.clear(Scope::All).await.unwrap();
            cache.remove("pages");
        }
    }
}

#[tokio::test]
async fn a_body_over_the_limit_passes_through_unstored() {
    const LIMIT: usize = 100_000;
    let origin = Origin::start(|call| {
        let piece = vec![b'x'; LIMIT / 4];
        match call.target.split('-').nth(1) {
            Some("announced") => Reply::ok(vec![b'x'; LIMIT + 1]),
            Some("fitting") => Reply::ok(vec![b'x'; LIMIT]),
            _ => (0..5).fold(Reply::status(200), |reply, _| reply.then(piece.clone())),
        }
    })
    .await;
    let place = Place::new();
    let cache = place.cache().await;
    let endpoint = Pages::get("pages", &origin.url("/pages/{id}")).unwrap();
    let endpoint = endpoint.max_body(LIMIT as u64);
    let pages = cache.create_repository(endpoint).await.unwrap();
    for (form, client, _) in forms::all(&cache) {
        for (kind, len) in [("announced", LIMIT + 1), ("chunked", LIMIT / 4 * 5)] {
            let key = format!("{form}-{kind}");
            let answer = client.get(&origin.url(&format!("/pages/{key}"))).await;
            assert_eq!(answer.body.len(), len, "{key}");
            let saved = answer.answered.saved();
            assert_eq!(saved, Some(&Saved::Rejected(Rejection::TooLarge)), "{key}");
            assert!(!pages.contains(&key).await.unwrap(), "{key}");
        }
        let key = format!("{form}-fitting");
        client.get(&origin.url(&format!("/pages/{key}"))).await;
        assert!(pages.contains(&key).await.unwrap(), "{key}");
    }
    assert_eq!(pages.count(Scope::All).await.unwrap(), 3);
}

#[tokio::test]
async fn an_endless_body_streams_to_its_reader_and_is_not_stored() {
    const LIMIT: usize = 1 << 20;
    let origin = Origin::start(|call| match &*call.target {
        "/pages/other" => Reply::ok("short"),
        _ => Reply::status(200).then_for_ever(vec![b'x'; 8_192]),
    })
    .await;
    let place = Place::new();
    let cache = place.cache().await;
    let endpoint = Pages::get("pages", &origin.url("/pages/{id}")).unwrap();
    let endpoint = endpoint.max_body(LIMIT as u64);
    let pages = cache.create_repository(endpoint).await.unwrap();
    let client = cache.client(http_client().build().unwrap());
    let response = client.get(origin.url("/pages/a")).send().await.unwrap();
    let answered = response.extensions().get::<Answered>().unwrap().clone();
    let mut body = http::Response::<reqwest::Body>::from(response).into_body();
    let mut read = 0;
    while read < 4 * LIMIT {
        read += body
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap()
            .len();
    }
    assert_eq!(
        answered.saved(),
        Some(&Saved::Rejected(Rejection::TooLarge))
    );
    drop(body);
    assert_eq!(pages.count(Scope::All).await.unwrap(), 0);
    // It holds nobody up.
    let other = Client::Reqwest(client)
        .get(&origin.url("/pages/other"))
        .await;
    assert_eq!(other.text(), "short");
}
