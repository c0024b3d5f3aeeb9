//! `Set-Cookie`: whose answer it came with, nobody else gets it.

use crate::kit::{Running, before, before_all};
use futures_util::future::join_all;
use restow::Scope;
use restow_proxy::{EVERYTHING, Options, Upstream};
use restow_testkit::{Call, Gate, Origin, Reply};

const SESSION: &str = "session=of-the-first";

/// An API that opens a session with every answer, which may be stored all the same.
fn opens(call: &Call) -> Reply {
    let reply = match call.header("if-none-match") {
        "" => Reply::ok(call.nth.to_string()),
        _ => Reply::status(304),
    };
    reply
        .header("cache-control", "max-age=60")
        .header("etag", "\"v\"")
        .header("set-cookie", SESSION)
        .header("set-cookie", "theme=dark")
}

async fn api(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |call| opens(call).behind(&gate)).await
}

/// An account of the API: all clients share what is answered to it.
fn account(origin: &Origin) -> Vec<Upstream> {
    let upstream = Upstream::new(&origin.url("")).unwrap();
    vec![upstream.header("authorization", "of the account").unwrap()]
}

fn expiring(origin: &Origin) -> String {
    let route = origin.url("/pages/{id}");
    format!(
        "[[endpoint]]\nname = \"pages\"\nroute = \"GET {route}\"\nexpire_after = \"1 minute\"\n"
    )
}

/// Each way in which an answer comes to be shared, and the path that is asked for.
async fn ways(origin: &Origin) -> Vec<(&'static str, Running, &'static str)> {
    let start = async |upstreams, options, endpoints: &str| {
        Running::start(upstreams, options, endpoints).await
    };
    let plain = || vec![Upstream::new(&origin.url("")).unwrap()];
    let everyones = Options {
        default_principal: Some("everyone".into()),
        ..Options::default()
    };
    let endpoint = expiring(origin);
    let (page, other) = ("/pages/1", "/other");
    vec![
        ("nobody", before(origin).await, other),
        ("an account", before_all(account(origin)).await, other),
        (
            "a secret in the query",
            before(origin).await,
            "/other?api_key=secret",
        ),
        (
            "an account, a secret in the query",
            before_all(account(origin)).await,
            "/other?api_key=secret",
        ),
        (
            "an endpoint",
            start(plain(), Options::default(), &endpoint).await,
            page,
        ),
        (
            "an endpoint, an account",
            start(account(origin), Options::default(), &endpoint).await,
            page,
        ),
        (
            "everyone's principal",
            start(plain(), everyones.clone(), "").await,
            other,
        ),
        (
            "everyone's principal, an endpoint",
            start(plain(), everyones.clone(), &endpoint).await,
            page,
        ),
        (
            "everyone's principal, an account",
            start(account(origin), everyones, "").await,
            other,
        ),
    ]
}

async fn stored(proxy: &Running) -> u64 {
    let mut all = 0;
    for name in [EVERYTHING, "pages"] {
        if let Some(repository) = proxy.proxy.cache().repository(name) {
            all += repository.everyone().count(Scope::All).await.unwrap();
        }
    }
    all
}

#[tokio::test]
async fn what_is_stored_is_replayed_without_its_cookies() {
    let gate = Gate::closed();
    gate.open();
    let origin = api(&gate).await;
    for (way, proxy, path) in ways(&origin).await {
        let first = proxy.get(path).await;
        assert_eq!(
            first.header("set-cookie"),
            format!("{SESSION}, theme=dark"),
            "{way}"
        );
        assert_eq!(stored(&proxy).await, 1, "{way}");
        for _ in 0..2 {
            let hit = proxy.get(path).await;
            assert!(hit.is_hit(), "{way}: {}", hit.header("cache-status"));
            assert_eq!(hit.body, first.body, "{way}");
            assert_eq!(hit.header("set-cookie"), "", "{way}");
        }
        // Nor does what confirms it leave one behind.
        proxy.advance(61);
        let confirmed = proxy.get(path).await;
        let status = confirmed.header("cache-status");
        assert!(status.contains("fwd-status=304"), "{way}: {status}");
        let hit = proxy.get(path).await;
        assert!(hit.is_hit(), "{way}: {}", hit.header("cache-status"));
        assert_eq!(hit.header("set-cookie"), "", "{way}");
    }
}

#[tokio::test]
async fn who_waits_for_another_s_answer_gets_it_without_its_cookies() {
    const MANY: usize = 8;
    for nth in 0..9 {
        let gate = Gate::closed();
        let origin = api(&gate).await;
        let mut all = ways(&origin).await;
        assert_eq!(all.len(), 9);
        let (way, proxy, path) = all.swap_remove(nth);
        let asked = join_all((0..MANY).map(|_| proxy.get(path)));
        let (seen, ()) = tokio::join!(asked, async {
            gate.reached(1).await;
            gate.open();
        });
        let (given, fetched): (Vec<_>, Vec<_>) =
            seen.iter().partition(|s| s.is_collapsed() || s.is_hit());
        assert_eq!((given.len(), fetched.len()), (MANY - 1, 1), "{way}");
        assert!(
            given.iter().any(|s| s.is_collapsed()),
            "{way}: nobody waited"
        );
        for seen in given {
            assert_eq!(seen.header("set-cookie"), "", "{way}");
        }
        assert!(!fetched[0].header("set-cookie").is_empty(), "{way}");
    }
}
