//! One encoding towards the API, and each client's own.

use crate::kit::{Running, asked_with};
use async_compression::tokio::bufread::{
    BrotliDecoder, BrotliEncoder, GzipDecoder, GzipEncoder, ZlibEncoder, ZstdDecoder, ZstdEncoder,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use restow_proxy::{Options, Upstream};
use restow_testkit::{Call, Origin, RawOrigin, Reply, http_client};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a client sees that decodes nothing.
pub(crate) struct Raw {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Raw {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

async fn all(mut from: impl AsyncRead + Unpin) -> Bytes {
    let mut all = Vec::new();
    from.read_to_end(&mut all).await.unwrap();
    all.into()
}

pub(crate) async fn encode(coding: &str, plain: &[u8]) -> Bytes {
    match coding {
        "gzip" => all(GzipEncoder::new(plain)).await,
        "br" => all(BrotliEncoder::new(plain)).await,
        "zstd" => all(ZstdEncoder::new(plain)).await,
        "deflate" => all(ZlibEncoder::new(plain)).await,
        _ => Bytes::copy_from_slice(plain),
    }
}

pub(crate) async fn decode(coding: &str, encoded: &[u8]) -> Bytes {
    match coding {
        "gzip" => all(GzipDecoder::new(encoded)).await,
        "br" => all(BrotliDecoder::new(encoded)).await,
        "zstd" => all(ZstdDecoder::new(encoded)).await,
        _ => Bytes::copy_from_slice(encoded),
    }
}

/// A client that decodes nothing, and accepts what a test says.
fn client() -> reqwest::Client {
    let client = http_client().no_gzip().no_brotli().no_zstd().no_deflate();
    client.build().unwrap()
}

pub(crate) async fn ask(
    proxy: &Running,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Raw {
    let answer = proxy.ask_by(&client(), method, path, headers).await;
    Raw {
        status: answer.status(),
        headers: answer.headers().clone(),
        body: answer.bytes().await.unwrap(),
    }
}

pub(crate) async fn get(proxy: &Running, path: &str, accepts: &str) -> Raw {
    ask(proxy, "GET", path, &[("accept-encoding", accepts)]).await
}

/// A list of some length.
pub(crate) fn list() -> String {
    let items: Vec<_> = (0..2_000)
        .map(|n| format!("{{\"id\":{n},\"name\":\"item {n}\"}}"))
        .collect();
    format!("{{\"kind\":\"list\",\"items\":[{}]}}", items.join(","))
}

/// A proxy before an API with one endpoint.
pub(crate) async fn before(origin: &Origin, options: Options, rules: &str) -> Running {
    before_url(&origin.url(""), options, rules).await
}

async fn before_url(url: &str, options: Options, rules: &str) -> Running {
    let endpoint =
        format!("[[endpoint]]\nname = \"items\"\nroute = \"GET {url}/items/{{id}}\"\n{rules}");
    Running::start(vec![Upstream::new(url).unwrap()], options, &endpoint).await
}

/// An API that closes the connection before the last byte of its answer.
async fn cut(header: &str, body: &[u8]) -> RawOrigin {
    let head = format!(
        "HTTP/1.1 200 OK\r\n{header}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = [head.as_bytes(), &body[..body.len() - 1]].concat();
    RawOrigin::start(move |_| answer.clone()).await
}

/// Answers as most APIs do: in the first encoding that the request accepts, and says so.
pub(crate) fn negotiating(call: &Call, bodies: &[(&'static str, Bytes)]) -> Reply {
    let accepts = call.header("accept-encoding");
    let accepted = |coding: &str| accepts.split(',').any(|a| a.trim() == coding);
    let (coding, body) = bodies
        .iter()
        .find(|(coding, _)| accepted(coding))
        .unwrap_or(&bodies[0]);
    let reply = Reply::ok(body.clone())
        .header("content-type", "application/json")
        .header("vary", "Accept-Encoding")
        .header("etag", "\"v\"");
    match *coding {
        "identity" => reply,
        coding => reply.header("content-encoding", coding),
    }
}

async fn bodies() -> Vec<(&'static str, Bytes)> {
    let mut bodies = vec![("identity", Bytes::from(list()))];
    for coding in ["gzip", "br", "zstd"] {
        bodies.push((coding, encode(coding, list().as_bytes()).await));
    }
    bodies
}

async fn api() -> Origin {
    let bodies = bodies().await;
    Origin::start(move |call| negotiating(call, &bodies)).await
}

#[tokio::test]
async fn clients_of_every_encoding_share_one_entry() {
    for asks in ["identity", "gzip", "br", "zstd"] {
        let origin = api().await;
        let rules = format!(
            "upstream_encoding = \"{asks}\"\nlabel = \"/kind\"\ncolumns = {{ last = \"/items/1999/id\" }}"
        );
        let proxy = before(&origin, Options::default(), &rules).await;
        for (accepts, coding) in [
            ("gzip, deflate, br", "br"),
            ("identity", ""),
            ("gzip", "gzip"),
            ("*", "gzip"),
            ("zstd;q=0.5, gzip;q=0.1", "zstd"),
            ("deflate", ""),
            ("", ""),
        ] {
            let answer = get(&proxy, "/items/1", accepts).await;
            assert_eq!(
                answer.header("content-encoding"),
                coding,
                "{asks} {accepts}"
            );
            let body = decode(coding, &answer.body).await;
            assert!(body == list(), "{asks} {accepts}");
            assert!(coding.is_empty() || answer.body.len() < body.len() / 2);
            assert_eq!(answer.header("vary"), "Accept-Encoding");
            let tag = if coding.is_empty() {
                "\"v\""
            } else {
                "W/\"v\""
            };
            assert_eq!(answer.header("etag"), tag, "{asks} {accepts}");
        }
        assert_eq!(asked_with(&origin, "/items/1", "accept-encoding"), [asks]);
        let items = proxy.proxy.cache().repository("items").unwrap();
        let held = items.everyone().select().eq("last", 1_999);
        assert_eq!(held.count().await.unwrap(), 1, "{asks}");
    }
}

#[tokio::test]
async fn each_clients_own_goes_through_where_the_endpoint_says_so() {
    let origin = api().await;
    let proxy = before(
        &origin,
        Options::default(),
        "upstream_encoding = \"client\"",
    )
    .await;
    for _ in 0..2 {
        for accepts in ["gzip", "br"] {
            let answer = get(&proxy, "/items/1", accepts).await;
            assert_eq!(answer.header("content-encoding"), accepts);
            assert!(decode(accepts, &answer.body).await == list());
        }
    }
    assert_eq!(
        asked_with(&origin, "/items/1", "accept-encoding"),
        ["gzip", "br"]
    );
}

#[tokio::test]
async fn an_answer_that_is_encoded_unasked_is_decoded_and_validated_by_its_own_tag() {
    for coding in ["gzip", "br", "zstd", "deflate"] {
        let body = encode(coding, list().as_bytes()).await;
        let origin = Origin::start(move |call| match call.header("if-none-match") {
            "\"v\"" => Reply::status(304)
                .header("etag", "\"v\"")
                .header("content-encoding", coding),
            _ => Reply::ok(body.clone())
                .header("etag", "\"v\"")
                .header("content-encoding", coding),
        })
        .await;
        let proxy = before(
            &origin,
            Options::default(),
            "require = \"/kind\"\nexpire_after = \"1 minute\"",
        )
        .await;
        let first = get(&proxy, "/items/1", coding).await;
        assert!(first.body == list(), "{coding}");
        proxy.advance(61);
        let validated = get(&proxy, "/items/1", "").await;
        assert!(validated.body == list(), "{coding}");
        assert!(
            validated
                .header("cache-status")
                .contains("fwd=stale; fwd-status=304"),
            "{coding} {:?}",
            validated.headers
        );
        assert_eq!(validated.header("content-encoding"), "");
    }
}

#[tokio::test]
async fn what_cannot_be_decoded_passes_as_it_came_and_is_not_stored() {
    let bomb = encode("gzip", &vec![b' '; 8 << 20]).await;
    let long = encode("gzip", &list().repeat(8).into_bytes()).await;
    let broken = encode("gzip", list().as_bytes()).await;
    let broken = broken.slice(..broken.len() / 2);
    let plain = Bytes::from(list());
    let cases = [
        ("bomb", "gzip", bomb, "detail=expands"),
        ("long", "gzip", long, "fwd=uri-miss"),
        ("broken", "gzip", broken, "detail=encoding"),
        ("junk", "br", plain.clone(), "detail=encoding"),
        ("strange", "compress", plain.clone(), "detail=encoding"),
        ("several", "gzip, br", plain, "detail=encoding"),
    ];
    let answers = cases.clone();
    let origin = Origin::start(move |call| {
        let name = call.target.rsplit('/').next().unwrap();
        let (_, coding, body, _) = answers.iter().find(|c| c.0 == name).unwrap();
        Reply::ok(body.clone()).header("content-encoding", coding)
    })
    .await;
    for (name, coding, body, status) in cases {
        let limit = if name == "bomb" { "16 MiB" } else { "100 KiB" };
        let proxy = before(
            &origin,
            Options::default(),
            &format!("max_body = \"{limit}\""),
        )
        .await;
        // To one who does not accept it too, but where it can be decoded, and is only too much for the store.
        let other = match name {
            "bomb" | "long" => coding,
            _ => "identity",
        };
        for accepts in [coding, other] {
            let answer = get(&proxy, &format!("/items/{name}"), accepts).await;
            assert_eq!(answer.status, 200, "{name}");
            assert_eq!(answer.header("content-encoding"), coding, "{name}");
            assert!(answer.body == body, "{name}");
            let said = answer.header("cache-status");
            assert!(said.contains(status) && !said.contains("stored"), "{said}");
        }
        assert_eq!(origin.calls_to(&format!("/items/{name}")).len(), 2);
        if name == "bomb" {
            let answer = get(&proxy, "/items/bomb", "identity").await;
            assert_eq!(answer.header("content-encoding"), "");
            assert!(answer.body == vec![b' '; 8 << 20]);
        }
    }
}

#[tokio::test]
async fn what_is_not_to_be_transformed_is_left_alone() {
    let body = encode("gzip", list().as_bytes()).await;
    let sent = body.clone();
    let origin = Origin::start(move |_| {
        Reply::ok(sent.clone())
            .header("content-encoding", "gzip")
            .header("cache-control", "max-age=60, No-Transform")
    })
    .await;
    let proxy = before(&origin, Options::default(), "").await;
    for _ in 0..2 {
        let answer = get(&proxy, "/items/1", "").await;
        assert_eq!(answer.header("content-encoding"), "gzip");
        assert!(answer.body == body);
    }
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn an_answer_that_is_not_stored_is_decoded_for_who_cannot() {
    let body = encode("gzip", b"it is not there").await;
    let sent = body.clone();
    let origin = Origin::start(move |_| {
        Reply::status(404)
            .then(sent.clone())
            .header("content-encoding", "gzip")
            .header("etag", "\"v\"")
    })
    .await;
    let proxy = before(&origin, Options::default(), "upstream_encoding = \"gzip\"").await;
    let plain = ask(&proxy, "GET", "/items/1", &[]).await;
    assert_eq!(
        (plain.status.as_u16(), &plain.body[..]),
        (404, &b"it is not there"[..])
    );
    assert_eq!(plain.header("etag"), "W/\"v\"");
    assert_eq!(plain.header("vary"), "accept-encoding");
    let encoded = get(&proxy, "/items/1", "gzip").await;
    assert_eq!(encoded.header("content-encoding"), "gzip");
    assert_eq!(encoded.header("etag"), "\"v\"");
    assert!(encoded.body == body);
    let head = ask(&proxy, "HEAD", "/items/1", &[]).await;
    assert_eq!(head.header("content-encoding"), "");
}

/// Ten megabytes that say ten gigabytes: stored or not, neither the proxy nor a client has to hold more than the limits say.
#[tokio::test]
async fn what_says_very_much_is_cut_where_it_is_decoded() {
    const MEMBER: usize = 16 << 20;
    let member = encode("gzip", &vec![b' '; MEMBER]).await;
    let bomb = Bytes::from(member.repeat((10 << 30) / MEMBER));
    let sent = bomb.clone();
    let origin = Origin::start(move |call| {
        let reply = match &*call.target {
            "/items/stored" => Reply::ok(sent.clone()),
            _ => Reply::status(404).then(sent.clone()),
        };
        reply.header("content-encoding", "gzip")
    })
    .await;
    let proxy = before(&origin, Options::default(), "").await;
    let limit = usize::try_from(Options::default().max_body).unwrap();
    for path in ["/items/stored", "/items/other"] {
        let mut answer = proxy.ask_by(&client(), "GET", path, &[]).await;
        assert!(!answer.headers().contains_key("content-encoding"));
        let mut length = 0;
        let error = loop {
            match answer.chunk().await {
                Ok(Some(piece)) => length += piece.len(),
                Ok(None) => panic!("{path}: it looks whole after {length} bytes"),
                Err(error) => break error,
            }
        };
        assert!(length <= limit, "{path}: {length} bytes, {error}");
        // Who accepts it gets it as it came.
        let encoded = get(&proxy, path, "gzip").await;
        assert!(encoded.body == bomb, "{path}");
    }
    assert_eq!(origin.asked(), 4, "something was stored");
}

#[tokio::test]
async fn a_body_that_breaks_off_before_it_is_decoded_is_no_answer() {
    let body = encode("gzip", list().as_bytes()).await;
    let origin = cut("content-encoding: gzip", &body).await;
    let proxy = before_url(&origin.url(""), Options::default(), "").await;
    let answer = get(&proxy, "/items/1", "gzip").await;
    assert_eq!(answer.status, 502);
}

/// Nothing of the new answer has gone to its client: what is held stands in for it.
#[tokio::test]
async fn a_body_that_breaks_off_before_it_is_decoded_is_stood_in_for() {
    let body = encode("gzip", list().as_bytes()).await;
    let origin = RawOrigin::start(move |nth| {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncache-control: max-age=0, stale-if-error=60\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n"
        );
        let sent = if nth == 0 { length } else { length / 2 };
        [head.as_bytes(), &body[..sent]].concat()
    })
    .await;
    let rules = "freshness = \"http\"";
    let proxy = before_url(&origin.url(""), Options::default(), rules).await;
    for status in ["fwd=uri-miss", "detail=stale-if-unreachable"] {
        let answer = get(&proxy, "/items/1", "").await;
        assert_eq!(answer.status, 200, "{status}");
        assert!(answer.body == list(), "{status}");
        let said = answer.header("cache-status");
        assert!(said.contains(status), "{said}");
    }
}

#[tokio::test]
async fn a_part_is_asked_for_and_given_of_the_plain_body() {
    let origin = api().await;
    let proxy = before(&origin, Options::default(), "upstream_encoding = \"gzip\"").await;
    let range = [("range", "bytes=0-9"), ("accept-encoding", "gzip")];
    ask(&proxy, "GET", "/items/1", &range).await;
    assert_eq!(
        asked_with(&origin, "/items/1", "accept-encoding"),
        ["identity"]
    );
    get(&proxy, "/items/1", "gzip").await;
    let part = ask(&proxy, "GET", "/items/1", &range).await;
    assert_eq!(part.status, 206);
    assert_eq!(&part.body[..], &list().as_bytes()[..10]);
    assert_eq!(part.header("content-encoding"), "");
    // One who is given the whole in place of two parts is given it plain too.
    let parts = [("range", "bytes=0-9,20-29"), ("accept-encoding", "gzip")];
    let whole = ask(&proxy, "GET", "/items/1", &parts).await;
    assert_eq!(whole.status, 200);
    assert!(whole.body == list());
    assert_eq!(origin.asked(), 2);
}

/// An API whose answer says nothing of encodings.
async fn plain(body: impl Into<Bytes>, headers: &'static [(&str, &str)]) -> Origin {
    let body = body.into();
    Origin::start(move |_| {
        let mut reply = Reply::ok(body.clone()).header("etag", "\"v\"");
        for (name, value) in headers {
            reply = reply.header(name, value);
        }
        reply
    })
    .await
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn the_head_is_that_of_the_get_and_who_holds_it_gets_304() {
    let origin = plain(list(), &[JSON, ("accept-ranges", "bytes")]).await;
    let proxy = before(&origin, Options::default(), "").await;
    let accepts = ("accept-encoding", "gzip");
    let seen = |raw: &Raw| {
        let names = [
            "content-encoding",
            "etag",
            "vary",
            "content-type",
            "accept-ranges",
        ];
        names.map(|name| raw.header(name).to_owned())
    };
    let missed = ask(&proxy, "GET", "/items/1", &[accepts]).await;
    let encoded = ["gzip", "W/\"v\"", "accept-encoding", "application/json", ""];
    assert_eq!(seen(&missed), encoded);
    assert!(decode("gzip", &missed.body).await == list());
    let held = ask(&proxy, "GET", "/items/1", &[accepts]).await;
    assert_eq!(seen(&held), encoded);
    assert!(decode("gzip", &held.body).await == list());
    let head = ask(&proxy, "HEAD", "/items/1", &[accepts]).await;
    assert_eq!(seen(&head), encoded);
    assert_eq!((head.header("content-length"), head.body.len()), ("", 0));
    for tag in ["W/\"v\"", "\"v\"", "\"a\", W/\"v\""] {
        let same = ask(
            &proxy,
            "GET",
            "/items/1",
            &[accepts, ("if-none-match", tag)],
        )
        .await;
        assert_eq!(same.status, 304, "{tag}");
        assert_eq!(same.header("etag"), "W/\"v\"", "{tag}");
        assert_eq!(same.header("vary"), "accept-encoding");
        assert_eq!(same.header("content-encoding"), "");
    }
    let other = ask(
        &proxy,
        "GET",
        "/items/1",
        &[accepts, ("if-none-match", "W/\"x\"")],
    )
    .await;
    assert_eq!(
        (other.status.as_u16(), other.header("content-encoding")),
        (200, "gzip")
    );
    let plain = ask(&proxy, "GET", "/items/1", &[]).await;
    assert_eq!(seen(&plain), ["", "\"v\"", "", "application/json", "bytes"]);
    assert_eq!(plain.header("content-length"), list().len().to_string());
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn what_would_not_become_shorter_or_must_stay_is_sent_plain() {
    let short = "[1]";
    type Case = (&'static [(&'static str, &'static str)], bool, &'static str);
    let cases: [Case; 8] = [
        (&[JSON], true, "gzip"),
        (&[JSON], false, ""),
        (&[("content-type", "image/png")], true, ""),
        (&[], true, ""),
        (&[JSON, ("cache-control", "no-transform")], true, ""),
        (&[JSON, ("repr-digest", "sha-256=:AAAA:")], true, ""),
        (&[("content-type", "text/event-stream")], true, ""),
        (&[("content-type", "text/csv")], true, "gzip"),
    ];
    for (headers, long, coding) in cases {
        let body = if long { list() } else { short.to_owned() };
        let origin = plain(body.clone(), headers).await;
        let proxy = before(&origin, Options::default(), "").await;
        for _ in 0..2 {
            let answer = get(&proxy, "/items/1", "gzip").await;
            assert_eq!(answer.header("content-encoding"), coding, "{headers:?}");
            assert!(decode(coding, &answer.body).await == body, "{headers:?}");
            let tag = if coding.is_empty() {
                "\"v\""
            } else {
                "W/\"v\""
            };
            assert_eq!(answer.header("etag"), tag, "{headers:?}");
        }
        // Who cannot do with plain gets it encoded where it may be.
        let forced = get(&proxy, "/items/1", "gzip, identity;q=0").await;
        let may = !headers
            .iter()
            .any(|h| matches!(h.0, "cache-control" | "repr-digest"));
        let coding = if may { "gzip" } else { "" };
        assert_eq!(forced.header("content-encoding"), coding, "{headers:?}");
        assert!(decode(coding, &forced.body).await == body, "{headers:?}");
        let untouched = [
            ("accept-encoding", "gzip"),
            ("cache-control", "no-transform"),
        ];
        let asked = ask(&proxy, "GET", "/items/1", &untouched).await;
        assert_eq!(asked.header("content-encoding"), "", "{headers:?}");
    }
}

#[tokio::test]
async fn it_is_switched_off_and_starts_where_it_is_told_to() {
    let origin = plain(list(), &[JSON]).await;
    let length = list().len() as u64;
    for (encode, encode_from, coding) in [
        (false, 0, ""),
        (true, length + 1, ""),
        (true, length, "zstd"),
    ] {
        let options = Options {
            encode,
            encode_from,
            ..Options::default()
        };
        let proxy = before(&origin, options, "").await;
        for method in ["GET", "GET", "HEAD"] {
            let accepts = [("accept-encoding", "gzip, br, zstd")];
            let answer = ask(&proxy, method, "/items/1", &accepts).await;
            assert_eq!(answer.header("content-encoding"), coding, "{method}");
            assert!(method == "HEAD" || decode(coding, &answer.body).await == list());
        }
    }
}

#[tokio::test]
async fn a_body_that_is_long_or_still_comes_is_encoded_in_pieces() {
    let gate = restow_testkit::Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        Reply::ok(list())
            .then_gate(&held)
            .then(list().repeat(40))
            .header("content-type", "application/json")
    })
    .await;
    let proxy = before(&origin, Options::default(), "").await;
    let request = client()
        .get(proxy.url("/items/1"))
        .header("accept-encoding", "gzip");
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert!(answer.headers().get("content-length").is_none());
    // What has come is sent on while the rest is still on its way.
    let mut encoded = answer.chunk().await.unwrap().unwrap().to_vec();
    gate.open();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        encoded.extend_from_slice(&chunk);
    }
    assert!(decode("gzip", &encoded).await == list().repeat(41));
    for coding in ["gzip", "br", "zstd"] {
        let held = get(&proxy, "/items/1", coding).await;
        assert_eq!(held.header("content-length"), "", "{coding}");
        assert!(
            decode(coding, &held.body).await == list().repeat(41),
            "{coding}"
        );
    }
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_broken_in_every_encoding() {
    let origin = cut("content-type: application/json", list().as_bytes()).await;
    let proxy = before_url(&origin.url(""), Options::default(), "").await;
    for accepts in ["gzip", "br", "zstd", "identity"] {
        let request = client().get(proxy.url("/items/1"));
        let answer = request.header("accept-encoding", accepts).send().await;
        assert!(answer.unwrap().bytes().await.is_err(), "{accepts}");
    }
}
