//! Links that lead through the proxy: in headers, and in bodies.

use crate::{
    encoding::{Raw, ask, decode, encode},
    kit::Running,
};
use restow_proxy::{EVERYTHING, Options, Upstream};
use restow_testkit::{Origin, Reply};
use serde_json::Value;

/// An API of three pages, each of which names the next by its URL, as GitHub's search does in `Link` and others in bodies.
async fn pages() -> Origin {
    Origin::start(|call| {
        let page: u32 = call.target.rsplit('=').next().unwrap().parse().unwrap();
        let url = format!("http://{}/v1/items?page=", call.header("host"));
        let next = match page {
            1 | 2 => format!("\"{url}{}\"", page + 1),
            _ => "null".to_owned(),
        };
        let item = format!("http://{}/v1/items/{page}", call.header("host"));
        let body = format!(
            "{{ \"total\": 3.0, \"next\": {next},\n  \"items\": [{{\"href\": \"{item}\", \"site\": \"{item}\"}}] }}"
        );
        Reply::ok(body)
            .header("content-type", "application/json; charset=utf-8")
            .header("cache-control", "max-age=60")
            .header("etag", "\"v\"")
            .header("link", &format!("<{url}{}>; rel=\"next\"", page + 1))
    })
    .await
}

fn upstream(origin: &Origin) -> Upstream {
    let upstream = Upstream::new(&origin.url("/v1")).unwrap();
    let upstream = upstream.mount("/api").unwrap().rewrite_links();
    let pointers = ["/next", "/items/*/href"];
    upstream.rewrite_pointers(pointers).unwrap()
}

async fn before(origin: &Origin, endpoints: &str) -> Running {
    Running::start(vec![upstream(origin)], Options::default(), endpoints).await
}

fn json(raw: &Raw) -> Value {
    serde_json::from_slice(&raw.body).unwrap()
}

#[tokio::test]
async fn a_client_that_follows_the_links_stays_with_the_proxy() {
    let origin = pages().await;
    let route = origin.url("/v1/items{?page:int}");
    let declared = format!("[[endpoint]]\nname = \"items\"\nroute = \"GET {route}\"\n");
    for endpoints in ["", &declared] {
        let proxy = before(&origin, endpoints).await;
        let before = origin.asked();
        for round in 0..2 {
            let mut path = "/api/items?page=1".to_owned();
            for page in 1..=3 {
                let answer = ask(&proxy, "GET", &path, &[]).await;
                assert_eq!(answer.status, 200, "{path}");
                let hit = answer.header("cache-status").contains("; hit");
                assert_eq!(hit, round == 1, "{path}");
                let body = json(&answer);
                assert_eq!(
                    body["items"][0]["href"],
                    proxy.url(&format!("/api/items/{page}"))
                );
                // Nobody said so of this one.
                let site = origin.url(&format!("/v1/items/{page}"));
                assert_eq!(body["items"][0]["site"], site);
                let link = format!("</api/items?page={}>; rel=\"next\"", page + 1);
                assert_eq!(answer.header("link"), link);
                let length = answer.header("content-length");
                assert!(length.is_empty() || length == answer.body.len().to_string());
                match &body["next"] {
                    Value::String(next) => {
                        assert!(page < 3);
                        path = next.strip_prefix(&proxy.url("")).unwrap().to_owned();
                    }
                    _ => assert_eq!(page, 3),
                }
            }
        }
        assert_eq!(origin.asked() - before, 3);
    }
}

#[tokio::test]
async fn each_client_is_led_by_the_name_it_asked_for_and_what_is_stored_is_the_apis() {
    let origin = pages().await;
    let proxy = before(&origin, "").await;
    for host in ["one.example", "two.example:81", "one.example"] {
        let answer = ask(&proxy, "GET", "/api/items?page=1", &[("host", host)]).await;
        let next = format!("http://{host}/api/items?page=2");
        assert_eq!(json(&answer)["next"], next);
        let text = std::str::from_utf8(&answer.body).unwrap();
        assert!(
            text.starts_with("{ \"total\": 3.0, \"next\": \"http://"),
            "{text}"
        );
    }
    assert_eq!(origin.asked(), 1);
    let everything = proxy.proxy.cache().repository(EVERYTHING).unwrap();
    let url = origin.url("/v1/items?page=1");
    let request = http::Request::get(&url).body(()).unwrap().into_parts().0;
    let stored = everything.get(&request).await.unwrap().unwrap();
    let next = origin.url("/v1/items?page=2");
    assert_eq!(
        serde_json::from_slice::<Value>(&stored).unwrap()["next"],
        next
    );
}

#[tokio::test]
async fn the_tag_is_weak_for_the_bytes_differ_and_confirms_all_the_same() {
    let origin = pages().await;
    let proxy = before(&origin, "").await;
    let path = "/api/items?page=1";
    for _ in 0..2 {
        let answer = ask(&proxy, "GET", path, &[]).await;
        assert_eq!(answer.header("etag"), "W/\"v\"");
    }
    let same = ask(&proxy, "GET", path, &[("if-none-match", "W/\"v\"")]).await;
    assert_eq!(
        (same.status.as_u16(), same.header("etag")),
        (304, "W/\"v\"")
    );
    let head = ask(&proxy, "HEAD", path, &[]).await;
    assert_eq!(head.header("etag"), "W/\"v\"");
    assert_eq!(head.header("content-length"), "", "nobody knows it");
}

#[tokio::test]
async fn encoded_bodies_are_rewritten_too() {
    let body = format!("{{\"next\":\"/v1/a\",\"pad\":\"{}\"}}", "x".repeat(5_000));
    let encoded = encode("gzip", body.as_bytes()).await;
    let origin = Origin::start(move |_| {
        Reply::ok(encoded.clone())
            .header("content-type", "application/vnd.api+json")
            .header("cache-control", "max-age=60")
            .header("content-encoding", "gzip")
    })
    .await;
    let route = origin.url("/v1/{name}");
    let declared = format!("[[endpoint]]\nname = \"items\"\nroute = \"GET {route}\"\n");
    for (endpoints, sent) in [("", ""), (&declared, "gzip")] {
        let proxy = before(&origin, endpoints).await;
        for _ in 0..2 {
            let accepts = [("accept-encoding", "gzip")];
            let answer = ask(&proxy, "GET", "/api/x", &accepts).await;
            assert_eq!(answer.header("content-encoding"), sent);
            let plain = decode(sent, &answer.body).await;
            assert!(plain == body.replace("/v1/a", "/api/a"));
        }
    }
}

#[tokio::test]
async fn what_is_long_partial_not_json_or_not_to_be_changed_is_left_alone() {
    let next = "{\"next\":\"/v1/a\"}";
    let long = format!("{{\"next\":\"/v1/a\",\"pad\":\"{}\"}}", "x".repeat(5_000));
    let sent = long.clone();
    let origin = Origin::start(move |call| {
        let reply = match &*call.target {
            "/v1/long" => Reply::ok(sent.clone()),
            "/v1/pieces" => Reply::ok(sent[..2_000].to_owned()).then(sent[2_000..].to_owned()),
            _ => Reply::ok(next),
        };
        let kind = match &*call.target {
            "/v1/text" => "text/plain",
            _ => "application/json",
        };
        let control = match &*call.target {
            "/v1/fixed" => "max-age=60, no-transform",
            _ => "max-age=60",
        };
        reply
            .header("content-type", kind)
            .header("cache-control", control)
    })
    .await;
    let options = Options {
        max_body: 4_000,
        ..Options::default()
    };
    let proxy = Running::start(vec![upstream(&origin)], options, "").await;
    for (path, body) in [
        ("/api/long", &*long),
        ("/api/pieces", &long),
        ("/api/text", next),
        ("/api/fixed", next),
        ("/api/short", "{\"next\":\"/api/a\"}"),
    ] {
        for _ in 0..2 {
            let answer = ask(&proxy, "GET", path, &[]).await;
            assert!(answer.body == body, "{path}");
        }
    }
    // A part is of what is held, also one that is all of it.
    let part = ask(&proxy, "GET", "/api/short", &[("range", "bytes=0-")]).await;
    assert_eq!(
        (part.status.as_u16(), &part.body[..]),
        (206, next.as_bytes())
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_is_broken_for_the_client_too() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{\"next\"\r\n";
    let origin = restow_testkit::RawOrigin::start(|_| answer.into()).await;
    let upstream = Upstream::new(&origin.url("")).unwrap();
    let upstream = upstream.rewrite_pointers(["/next"]).unwrap();
    let proxy = Running::start(vec![upstream], Options::default(), "").await;
    let client = restow_testkit::http_client().build().unwrap();
    let seen = async { client.get(proxy.url("/")).send().await?.bytes().await };
    assert!(seen.await.is_err());
}

#[tokio::test]
async fn who_names_the_api_itself_goes_on_doing_so() {
    let origin = pages().await;
    let proxy = before(&origin, "").await;
    let through = reqwest::Proxy::http(proxy.url("")).unwrap();
    let client = restow_testkit::http_client()
        .proxy(through)
        .build()
        .unwrap();
    let url = origin.url("/v1/items?page=1");
    let answer = client.get(url).send().await.unwrap();
    assert!(answer.headers().contains_key("cache-status"));
    assert_eq!(answer.headers()["etag"], "\"v\"");
    let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(body["next"], origin.url("/v1/items?page=2"));
}

#[tokio::test]
async fn a_wrong_pointer_is_an_error_that_names_it() {
    let upstream = Upstream::new("https://api.example.com").unwrap();
    let error = upstream.rewrite_pointers(["/next", "/a~b"]).unwrap_err();
    assert_eq!(error.kind(), restow::ErrorKind::Config);
    let error = error.to_string();
    let expected =
        "rewrite_pointers of the upstream api.example.com: \"/a~b\" is not a JSON pointer";
    assert!(error.starts_with(expected), "{error}");
}
