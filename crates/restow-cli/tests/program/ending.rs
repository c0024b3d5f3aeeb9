//! A proxy that is told to stop while requests are under way.

#![allow(
    clippy::unwrap_used,
    reason = "where a test cannot run a program, it has to fail"
)]

use crate::{running::Proxy, support::Place};
use futures_util::future::join_all;
use restow_testkit::{Gate, Origin, Reply, dropping::in_time, http_client};

/// The body of a target: long enough to come in many pieces.
fn body(target: &str) -> String {
    format!("{target}\n").repeat(20_000)
}

/// An API that holds everything back: whole answers, and the second half of the bodies below `/half`.
async fn api(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |call| {
        let kept = Reply::status(200).header("cache-control", "max-age=600");
        let body = body(&call.target);
        match call.target.starts_with("/half") {
            true => {
                let (first, second) = body.split_at(body.len() / 2);
                kept.then(first.to_owned())
                    .then_gate(&gate)
                    .then(second.to_owned())
            }
            false => kept.then(body).behind(&gate),
        }
    })
    .await
}

async fn get(client: &reqwest::Client, url: String) -> (u16, String) {
    let answer = client.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Sends SIGTERM, and waits until operators are told so.
async fn stop(proxy: &Proxy) {
    let client = http_client().build().unwrap();
    let ready = format!("{}/readyz", proxy.admin.as_deref().unwrap());
    proxy.signal("-TERM");
    let told = in_time("the end to be told", async {
        loop {
            match get(&client, ready.clone()).await {
                (200, _) => {}
                told => return told,
            }
        }
    });
    let about_to_stop = "the proxy is about to stop\n".to_owned();
    assert_eq!(told.await, (503, about_to_stop));
}

/// Waits for its end, and returns its exit code.
async fn ended(mut proxy: Proxy) -> Option<i32> {
    let ended = tokio::task::spawn_blocking(move || proxy.child.wait().unwrap().code());
    in_time("the end", ended).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_that_it_is_about_to_stop_until_the_last_request_is_answered() {
    let (place, gate) = (Place::new(), Gate::closed());
    let url = api(&gate).await;
    let upstream = url.url("");
    let arguments = [
        "--cache",
        "memory:",
        "--upstream",
        &upstream,
        "--admin",
        "127.0.0.1:0",
    ];
    let proxy = Proxy::start(&place, &arguments);
    let admin = proxy.admin.clone().unwrap();
    let client = http_client().build().unwrap();
    let ready = get(&client, format!("{admin}/readyz")).await;
    assert_eq!(ready, (200, "ready\n".to_owned()));
    let slow = tokio::spawn({
        let (client, url) = (client.clone(), format!("{}/slow", proxy.url));
        async move { get(&client, url).await }
    });
    gate.reached(1).await;
    stop(&proxy).await;
    let (status, page) = get(&client, format!("{admin}/metrics")).await;
    assert_eq!(status, 200);
    assert!(page.contains("\nrestow_connections 1\n"), "{page}");
    assert!(
        client.get(&proxy.url).send().await.is_err(),
        "clients are taken no more"
    );
    gate.open();
    assert_eq!(slow.await.unwrap(), (200, body("/slow")));
    assert_eq!(ended(proxy).await, Some(0));
    assert!(
        client.get(&admin).send().await.is_err(),
        "operators are served no more"
    );
}

/// R21.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_answered_and_stored_before_it_ends() {
    const ASKED: usize = 100;
    let (place, gate) = (Place::new(), Gate::closed());
    let api = api(&gate).await;
    let upstream = api.url("");
    let arguments = [
        "--cache",
        "api.db",
        "--upstream",
        &upstream,
        "--admin",
        "127.0.0.1:0",
    ];
    let proxy = Proxy::start(&place, &arguments);
    let one = http_client().build().unwrap();
    // All on one connection.
    let two = http_client().http2_prior_knowledge();
    let two = two.pool_max_idle_per_host(1).build().unwrap();
    let asked = (0..ASKED).map(|nth| {
        let client = [&one, &one, &two][nth % 3].clone();
        let target = format!("{}/{nth}", ["/whole", "/half"][nth % 2]);
        let url = format!("{}{target}", proxy.url);
        async move { (target, get(&client, url).await) }
    });
    let asked = tokio::spawn(join_all(asked.collect::<Vec<_>>()));
    gate.reached(ASKED).await;
    stop(&proxy).await;
    gate.open();
    for (target, answer) in in_time("the answers", asked).await.unwrap() {
        assert!(answer == (200, body(&target)), "{target} is not whole");
    }
    assert_eq!(ended(proxy).await, Some(0));
    let stats = place.json(&["stats", "everything", "--cache", "api.db"]);
    assert_eq!(stats[0]["entries"], ASKED, "{stats:?}");
    for target in ["/whole/0", "/half/99"] {
        let stored = place.ok(&["get", &api.url(target), "--cache", "api.db"]);
        assert!(stored == body(target), "{target} is not stored whole");
    }
    assert_eq!(api.asked(), ASKED);
}
