//! Answers that all may share, and that vary on who asks.

use crate::kit::{Running, Seen, before};
use futures_util::future::join_all;
use restow_proxy::{Options, Upstream};
use restow_testkit::{Call, Gate, Origin, Reply};

/// What lets a shared cache store what was answered to a credential (RFC 9111 section 3.5).
const SAYS: [&str; 3] = [
    "public, max-age=60",
    "s-maxage=60",
    "must-revalidate, max-age=60",
];
const CREDENTIALS: [&str; 3] = ["Authorization", "Cookie", "X-Api-Key"];
/// Two users, and who shows nothing; in two orders.
const ORDERS: [[&str; 3]; 2] = [["alice", "bob", ""], ["", "bob", "alice"]];

/// Says whose the request is; all answers have one tag, which is confirmed to everyone.
fn whose(call: &Call, says: &str, vary: &str) -> Reply {
    let reply = match call.header("if-none-match") {
        "" => Reply::ok(format!("<{}>", call.header(vary))),
        _ => Reply::status(304),
    };
    reply
        .header("cache-control", says)
        .header("vary", vary)
        .header("etag", "\"the same for all\"")
}

fn api(says: &'static str, vary: &'static str, gate: Gate) -> impl Future<Output = Origin> {
    Origin::start(move |call| whose(call, says, vary).behind(&gate))
}

fn open() -> Gate {
    let gate = Gate::closed();
    gate.open();
    gate
}

/// An endpoint whose answers decide.
async fn declared(origin: &Origin) -> Running {
    let route = origin.url("/{id}");
    let endpoint =
        format!("[[endpoint]]\nname = \"pages\"\nroute = \"GET {route}\"\nfreshness = \"http\"\n");
    let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
    Running::start(upstreams, Options::default(), &endpoint).await
}

async fn both(origin: &Origin) -> [(&'static str, Running); 2] {
    [
        ("undeclared", before(origin).await),
        ("declared", declared(origin).await),
    ]
}

async fn ask(proxy: &Running, path: &str, vary: &str, who: &str) -> Seen {
    match who {
        "" => proxy.get(path).await,
        who => proxy.get_with(path, &[(vary, who)]).await,
    }
}

#[tokio::test]
async fn what_varies_on_a_credential_is_for_the_one_who_shows_it_and_held_for_them() {
    for says in SAYS {
        for vary in CREDENTIALS {
            let origin = api(says, vary, open()).await;
            for (kind, proxy) in both(&origin).await {
                for (path, order) in ["/a", "/b"].iter().zip(ORDERS) {
                    for held in [false, true] {
                        for who in order {
                            let seen = ask(&proxy, path, vary, who).await;
                            let case = format!("{kind}, {says}, {vary}: {who:?}, {path}");
                            assert_eq!(seen.body, format!("<{who}>"), "{case}");
                            let status = seen.header("cache-status");
                            assert_eq!(seen.is_hit(), held, "{case}: {status}");
                        }
                    }
                }
                // Confirmed, it is still theirs.
                proxy.advance(61);
                for who in ORDERS[1] {
                    let seen = ask(&proxy, "/a", vary, who).await;
                    let status = seen.header("cache-status");
                    assert!(status.contains("fwd-status=304"), "{kind}: {status}");
                    assert_eq!(seen.body, format!("<{who}>"), "{kind}, {says}, {vary}");
                }
            }
        }
    }
}

#[tokio::test]
async fn who_waits_for_what_varies_on_a_credential_gets_their_own() {
    for says in SAYS {
        for vary in CREDENTIALS {
            for nth in 0..2 {
                let gate = Gate::closed();
                let origin = api(says, vary, gate.clone()).await;
                let (kind, proxy) = both(&origin).await.into_iter().nth(nth).unwrap();
                let all = ORDERS.concat();
                let asked = join_all(all.iter().map(|who| ask(&proxy, "/a", vary, who)));
                let (seen, ()) = tokio::join!(asked, async {
                    gate.reached(1).await;
                    gate.open();
                });
                for (who, seen) in all.iter().zip(seen) {
                    assert_eq!(seen.body, format!("<{who}>"), "{kind}, {says}, {vary}");
                }
            }
        }
    }
}
