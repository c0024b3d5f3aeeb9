//! The access log of a proxy, and who reads it.

#![allow(
    clippy::unwrap_used,
    reason = "where a test cannot run a program, it has to fail"
)]

use crate::{running::Proxy, support::Place};
use restow_testkit::{Origin, Reply, dropping::in_time, http_client};
use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

async fn proxy(place: &Place) -> (Origin, Proxy) {
    let api = Origin::start(|_| Reply::ok("hello")).await;
    place.write(
        "restow.toml",
        "cache = \"memory:\"\n[proxy]\naccess_log = \"json\"\n",
    );
    let url = api.url("");
    let arguments = ["--upstream", &*url, "--admin", "127.0.0.1:0"];
    let proxy = Proxy::start_with(place, &arguments, Stdio::piped());
    (api, proxy)
}

/// Asks so many times for a path of so many bytes.
async fn ask(proxy: &Proxy, times: usize, length: usize) {
    let client = http_client().build().unwrap();
    let url = format!("{}/{}", proxy.url, "x".repeat(length));
    for _ in 0..times {
        let asked = async { client.get(&url).send().await.unwrap().text().await.unwrap() };
        assert_eq!(in_time("an answer", asked).await, "hello");
    }
}

async fn dropped(proxy: &Proxy) -> u64 {
    let url = format!("{}/metrics", proxy.admin.as_deref().unwrap());
    let client = http_client().build().unwrap();
    let page = client.get(url).send().await.unwrap();
    let page = page.text().await.unwrap();
    let mut lines = page.lines();
    let line = lines.find_map(|l| l.strip_prefix("restow_access_log_dropped_total "));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_keeps_no_one_waiting() {
    let place = Place::new();
    let (_api, mut proxy) = proxy(&place).await;
    // More than the pipe and what waits before it hold: 64 KiB and 4 MiB.
    const ASKED: usize = 200;
    ask(&proxy, ASKED, 32 << 10).await;
    let lost = dropped(&proxy).await;
    assert!(lost > 0);
    proxy.wait_for("lines of the access log are dropped");
    // It ends all the same.
    let out = proxy.child.stdout.take().unwrap();
    proxy.signal("-TERM");
    let ended = tokio::task::spawn_blocking(move || proxy.child.wait());
    let ended = in_time("the end", ended).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
    drop(out);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_was_logged_is_written_before_it_ends() {
    let place = Place::new();
    let (_api, mut proxy) = proxy(&place).await;
    ask(&proxy, 100, 10 << 10).await;
    // A megabyte waits before the pipe, and is read once the proxy is told to stop.
    let out = proxy.child.stdout.take().unwrap();
    proxy.signal("-TERM");
    let read = tokio::task::spawn_blocking(move || {
        let lines = BufReader::new(out).lines();
        lines
            .filter(|l| l.as_ref().unwrap().contains("\"bytes\":5,"))
            .count()
    });
    assert_eq!(in_time("the log", read).await.unwrap(), 100);
    assert_eq!(proxy.child.wait().unwrap().code(), Some(0));
}
