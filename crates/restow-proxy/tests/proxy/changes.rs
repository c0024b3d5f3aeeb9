//! Requests with unsafe methods, and what they make invalid (RFC 9111 section 4.4), in each mode.

use crate::kit::{Running, before};
use restow::Mode;
use restow_proxy::{Options, Upstream};
use restow_testkit::{Gate, Origin, Reply, http_client};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

fn held() -> Reply {
    Reply::ok("a").header("cache-control", "max-age=3600")
}

async fn with(origin: &Origin, options: Options) -> Running {
    let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
    Running::start(upstreams, options, "").await
}

#[tokio::test]
async fn what_may_have_been_carried_out_is_invalid() {
    let gate = Gate::closed();
    let late = gate.clone();
    let origin = Origin::start(move |call| match call.method.as_str() {
        "GET" => held(),
        "PUT" => Reply::closed(),
        _ => Reply::ok("late").behind(&late),
    })
    .await;
    let options = Options {
        upstream_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let proxy = with(&origin, options).await;
    for (method, status) in [("PUT", 502), ("DELETE", 504)] {
        proxy.get("/a").await;
        assert!(proxy.get("/a").await.is_hit());
        let answer = proxy.ask(method, "/a", &[]).await;
        assert_eq!(answer.status.as_u16(), status, "{method}");
        assert!(!proxy.get("/a").await.is_hit(), "{method}");
    }
}

#[tokio::test]
async fn what_an_api_never_got_the_whole_of_changes_nothing() {
    let origin = Origin::start(|_| held()).await;
    let options = Options {
        idle_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let proxy = with(&origin, options).await;
    proxy.get("/a").await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    let request = b"PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc";
    client.write_all(request).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(proxy.get("/a").await.is_hit());
    // Nobody is there any more.
    drop(origin);
    let answer = proxy.ask("PUT", "/a", &[]).await;
    assert_eq!(answer.status.as_u16(), 502);
    assert!(proxy.get("/a").await.is_hit());
}

#[tokio::test]
async fn what_is_changed_while_the_cache_is_bypassed_is_invalid_afterwards() {
    let origin = Origin::start(|call| match call.method.as_str() {
        "PATCH" => Reply::status(409),
        _ => held(),
    })
    .await;
    let proxy = before(&origin).await;
    for (method, is_hit) in [("GET", true), ("PATCH", true), ("PUT", false)] {
        proxy.get("/a").await;
        proxy.proxy.cache().set_mode(Mode::Bypass);
        let answer = proxy.ask(method, "/a", &[]).await;
        assert!(answer.header("cache-status").contains("detail=mode"));
        proxy.proxy.cache().set_mode(Mode::Live);
        assert_eq!(proxy.get("/a").await.is_hit(), is_hit, "{method}");
    }
}

#[tokio::test]
async fn offline_the_api_is_asked_for_nothing() {
    let origin = Origin::start(|_| held()).await;
    let proxy = before(&origin).await;
    proxy.get("/a").await;
    proxy.proxy.cache().set_mode(Mode::Offline);
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = proxy.ask(method, "/a", &[]).await;
        assert_eq!(answer.status.as_u16(), 504, "{method}");
        let status = answer.header("cache-status");
        assert_eq!(status, "restow; detail=offline-miss", "{method}");
    }
    let client = http_client().build().unwrap();
    for method in [http::Method::GET, http::Method::PUT] {
        let asked = client.request(method, proxy.url("/a")).body("{}").send();
        assert_eq!(asked.await.unwrap().status(), 504);
    }
    assert_eq!(origin.asked(), 1);
    assert!(proxy.get("/a").await.is_hit());
}
