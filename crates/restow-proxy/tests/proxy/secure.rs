//! APIs that are asked by https, in HTTP/2 where they speak it.

use crate::kit::{Running, before_all};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, Version};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{body::Frame, client::conn::http2::handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use restow::Scope;
use restow_proxy::{EVERYTHING, Options, Upstream};
use restow_testkit::{Authority, Call, Gate, Origin, Reply, dropping::in_time};
use std::convert::Infallible;
use tokio::net::TcpStream;

const HTTP_2: [&str; 2] = ["h2", "http/1.1"];

fn fresh(call: &Call) -> Reply {
    Reply::ok(call.target.clone()).header("cache-control", "max-age=60")
}

/// An API with a certificate for its address by this authority.
async fn vouched(authority: &Authority, protocols: &[&str]) -> Origin {
    Origin::secure(authority.vouch(&["127.0.0.1"]), protocols, fresh).await
}

fn trusting(authority: &Authority, origin: &Origin) -> Upstream {
    let upstream = Upstream::new(&origin.url("")).unwrap();
    upstream.ca(authority.file()).unwrap()
}

async fn stored(proxy: &Running) -> u64 {
    let everything = proxy.proxy.cache().repository(EVERYTHING).unwrap();
    everything.everyone().count(Scope::All).await.unwrap()
}

#[tokio::test]
async fn an_api_is_asked_by_https_in_the_best_version_it_speaks_and_over_one_connection() {
    let authority = Authority::make();
    for (protocols, version) in [
        (&HTTP_2[..], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let origin = vouched(&authority, protocols).await;
        let proxy = before_all(vec![trusting(&authority, &origin)]).await;
        for hit in [false, true] {
            for nth in 0..50 {
                let path = format!("/{nth}");
                let seen = proxy.get(&path).await;
                assert_eq!((&*seen.body, seen.is_hit()), (&*path, hit), "{protocols:?}");
            }
        }
        let asked = (0..50).flat_map(|nth| origin.calls_to(&format!("/{nth}")));
        let versions: Vec<_> = asked.map(|call| call.version).collect();
        assert_eq!(versions, [version; 50], "{protocols:?}");
        assert_eq!(origin.connections(), 1, "{protocols:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_is_a_clear_502_and_nothing_is_stored() {
    let (ours, other) = (Authority::make(), Authority::make());
    let here = &["127.0.0.1"][..];
    let alone = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    for (shown, says) in [
        (
            (alone.cert.pem(), alone.signing_key.serialize_pem()),
            "UnknownIssuer",
        ),
        // By one that has our authority's name.
        (other.vouch(here), "BadSignature"),
        (ours.vouch(&["api.example.com"]), "not valid for name"),
        (ours.vouch_until(here, 2020), "expired"),
    ] {
        let origin = Origin::secure(shown, &HTTP_2, fresh).await;
        let proxy = before_all(vec![trusting(&ours, &origin)]).await;
        for method in ["GET", "GET", "POST"] {
            let seen = proxy.ask(method, "/a", &[]).await;
            assert_eq!(seen.status.as_u16(), 502, "{says}");
            let begin = "502: the API cannot be reached";
            assert!(seen.body.starts_with(begin), "{}", seen.body);
            assert!(seen.body.contains("certificate"), "{}", seen.body);
            assert!(seen.body.contains(says), "{}", seen.body);
        }
        assert_eq!((origin.asked(), stored(&proxy).await), (0, 0), "{says}");
    }
}

#[tokio::test]
async fn whom_one_upstream_trusts_no_other_does() {
    let (ours, other) = (Authority::make(), Authority::make());
    let origin = vouched(&ours, &HTTP_2).await;
    let under = |mount: &str, authority| trusting(authority, &origin).mount(mount).unwrap();
    let upstreams = vec![under("/ours", &ours), under("/other", &other)];
    let proxy = before_all(upstreams.clone()).await;
    let status = async |path: &str| proxy.get(path).await.status.as_u16();
    // The connection is there, and is not used.
    assert_eq!(status("/ours/a").await, 200);
    assert_eq!(status("/other/b").await, 502);
    // Other settings go on with it, but where they trust somebody else.
    let reload = async |upstreams| {
        let next = proxy.reload(upstreams, Options::default(), "");
        next.await.unwrap();
    };
    let connections = origin.connections();
    reload(upstreams).await;
    assert_eq!(status("/ours/c").await, 200);
    assert_eq!(origin.connections(), connections);
    reload(vec![under("/ours", &other)]).await;
    assert_eq!(status("/ours/d").await, 502);
}

#[test]
fn an_authority_that_is_none_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let read = "cannot be read as PEM";
    for (path, says) in [
        (folder.path().join("missing.pem"), read),
        (file("empty.pem", ""), read),
        (file("key.pem", &Authority::make().vouch(&["a"]).1), read),
        (
            file(
                "nonsense.pem",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            ),
            "is none that can vouch",
        ),
    ] {
        let upstream = Upstream::new("https://api.example.com").unwrap();
        let error = upstream.ca(&path).unwrap_err();
        assert_eq!(error.kind(), restow::ErrorKind::Config);
        let error = error.to_string();
        assert!(error.contains(says), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
    let plain = Upstream::new("http://api.example.com").unwrap();
    let error = plain.ca(Authority::make().file()).unwrap_err().to_string();
    assert!(error.contains("write its url with https"), "{error}");
}

const PIECE: usize = 1 << 20;
/// More than any window or buffer on the way holds.
const PIECES: usize = 20;

fn piece(nth: usize) -> Bytes {
    vec![u8::try_from(nth).unwrap(); PIECE].into()
}

fn pieces() -> Vec<u8> {
    (0..PIECES).flat_map(piece).collect()
}

/// Neither is held until it is whole: what is before a gate arrives while it is closed.
#[tokio::test]
async fn large_bodies_flow_both_ways_over_http_2() {
    let authority = Authority::make();
    let (up, down) = (Gate::closed(), Gate::closed());
    let shown = authority.vouch(&["127.0.0.1"]);
    let held = down.clone();
    let origin = Origin::secure(shown, &HTTP_2, move |call| {
        assert!(call.body == pieces(), "the body is another");
        let all = (0..PIECES).fold(Reply::status(200), |reply, nth| reply.then(piece(nth)));
        all.then_gate(&held).then("end")
    })
    .await;
    let proxy = before_all(vec![trusting(&authority, &origin)]).await;

    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let shaken = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.unwrap();
    tokio::spawn(connection);
    let frame = |nth| Ok::<_, Infallible>(Frame::data(piece(nth)));
    let rest = up.clone();
    let late = stream::once(async move {
        rest.pass().await;
        frame(PIECES - 1)
    });
    let body = StreamBody::new(stream::iter((0..PIECES - 1).map(frame)).chain(late).boxed());
    let request = Request::post(proxy.url("/")).body(body).unwrap();
    let answer = tokio::spawn(sender.send_request(request));
    origin.received((PIECES - 1) * PIECE).await;
    up.open();

    let answer = in_time("the head", answer).await.unwrap().unwrap();
    let mut body = answer.into_body();
    let mut came = Vec::new();
    while came.len() < PIECES * PIECE {
        let frame = in_time("a piece", body.frame()).await.unwrap().unwrap();
        came.extend(frame.into_data().unwrap());
    }
    assert!(came == pieces(), "the answer is another");
    down.open();
    let end = in_time("the end", body.collect()).await.unwrap();
    assert_eq!(end.to_bytes(), "end");
    assert_eq!(origin.calls_to("/")[0].version, Version::HTTP_2);
}
