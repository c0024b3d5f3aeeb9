//! What one client does must not change what another gets, nor show it what is another's.

use crate::{
    framing::raw,
    kit::{Running, before},
};
use restow_proxy::{Options, Upstream};
use restow_testkit::{Call, Origin, Reply};

/// Headers by which frameworks are told another URL, host, method or client than those of the request.
const HEEDED: [&str; 66] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-ipcountry",
    "cf-pseudo-ipv4",
    "cf-visitor",
    "client-ip",
    "expect",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "remote-user",
    "true-client-ip",
    "x-appengine-user-ip",
    "x-auth-request-email",
    "x-auth-request-user",
    "x-authenticated-user",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-forwarded",
    "x-forwarded-access-token",
    "x-forwarded-by",
    "x-forwarded-client-cert",
    "x-forwarded-email",
    "x-forwarded-for",
    "x-forwarded-for-original",
    "x-forwarded-groups",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-forwarded-user",
    "x-goog-authenticated-user-email",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-ms-client-principal",
    "x-ms-client-principal-name",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-remote-user",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
    "x-webauth-user",
];

/// An API that heeds them all: it says what it was told.
fn heeds(call: &Call) -> Reply {
    let told: Vec<_> = HEEDED.iter().map(|name| call.header(name)).collect();
    Reply::ok(format!("{} {}{:?}", call.method, told.concat(), call.body))
        .header("cache-control", "max-age=60")
}

#[tokio::test]
async fn no_header_that_is_in_no_key_reaches_what_others_get() {
    let origin = Origin::start(heeds).await;
    let proxy = before(&origin).await;
    let clean = proxy.get("/never-poisoned").await.body;
    for name in HEEDED {
        let path = format!("/{name}");
        // Hyper answers `Expect` itself; nothing else of it goes on.
        let value = if name == "expect" {
            "100-continue"
        } else {
            "evil.example"
        };
        let poisoned = proxy.get_with(&path, &[(name, value)]).await;
        assert_eq!(poisoned.body, clean, "{name}");
        let after = proxy.get(&path).await;
        assert!(after.is_hit(), "{name}");
        assert_eq!(after.body, clean, "{name}");
    }
}

#[tokio::test]
async fn what_a_body_of_a_get_asks_for_is_for_nobody_else() {
    let origin = Origin::start(heeds).await;
    let proxy = before(&origin).await;
    let client = restow_testkit::http_client().build().unwrap();
    for path in ["/cold", "/warm"] {
        if path == "/warm" {
            proxy.get(path).await;
        }
        let poison = client
            .get(proxy.url(path))
            .body("evil")
            .send()
            .await
            .unwrap();
        assert!(
            poison.text().await.unwrap().contains("evil"),
            "it is asked for"
        );
        let clean = proxy.get(path).await;
        assert!(!clean.body.contains("evil"), "{}", clean.body);
    }
}

/// Two hosts, each asked by two users with a token of their own and by nobody, whatever the answers say of caching.
#[tokio::test]
async fn no_answer_crosses_from_one_host_or_user_to_another() {
    const RULES: [&str; 5] = [
        "max-age=60",
        "private, max-age=60",
        "max-age=60, max-age=60",
        "no-cache=\"x\", max-age=60",
        "max-age=60, public;",
    ];
    for rule in RULES {
        let host = |name: &'static str| {
            Origin::start(move |call| {
                Reply::ok(format!("{name} {}", call.header("authorization")))
                    .header("cache-control", rule)
                    .header("etag", "\"the same for all\"")
            })
        };
        let origins = [host("one").await, host("two").await];
        let upstreams = ["one", "two"].iter().zip(&origins).map(|(name, origin)| {
            let upstream = Upstream::new(&origin.url("")).unwrap();
            upstream.host(&format!("{name}.example"))
        });
        let proxy = Running::start(upstreams.collect(), Options::default(), "").await;
        for _ in 0..3 {
            for name in ["one", "two"] {
                for token in ["Bearer alice", "Bearer bob", ""] {
                    let host = format!("{name}.example");
                    let mut headers = vec![("host", &*host)];
                    if !token.is_empty() {
                        headers.push(("authorization", token));
                    }
                    let answer = proxy.get_with("/", &headers).await;
                    assert_eq!(answer.body, format!("{name} {token}"), "{rule}");
                }
            }
            // Expired or not.
            proxy.advance(45);
        }
    }
}

/// Paths that look like files of everyone's do not make an answer one.
#[tokio::test]
async fn a_path_that_looks_static_makes_no_answer_everyone_s() {
    for rule in ["", "private, max-age=60", "no-store", "no-cache"] {
        let origin = Origin::start(move |call| {
            let reply = Reply::ok(call.header("cookie").to_owned());
            if rule.is_empty() {
                let reply = reply.header("last-modified", "Thu, 01 Jan 2015 00:00:00 GMT");
                return reply.header("vary", "cookie");
            }
            reply.header("cache-control", rule)
        })
        .await;
        let proxy = before(&origin).await;
        for path in [
            "/account/x.css",
            "/account.js",
            "/account;x.png",
            "/account%2Fx.css",
            "/account%00.css",
            "/account%0a.ico",
            "/account%23/x.css",
            "/static/..%2Faccount",
            "/account?x.css",
        ] {
            for who in ["victim", "attacker", "", "victim"] {
                let headers = [("cookie", who)];
                let headers = if who.is_empty() { &[][..] } else { &headers };
                let answer = proxy.get_with(path, headers).await;
                assert_eq!(answer.body, who, "{rule} {path}");
            }
        }
    }
}

/// Targets that some servers take for one are as many keys.
#[tokio::test]
async fn targets_that_look_alike_are_kept_apart() {
    let origin = Origin::start(|call| {
        Reply::ok(format!("<{}>", call.target)).header("cache-control", "max-age=60")
    })
    .await;
    let proxy = before(&origin).await;
    let targets = [
        "/a", "/a/", "/a//", "//a", "/A", "/%61", "/a?", "/a?b", "/a?b=", "/a%3Fb", "/a;b", "/a&b",
        "/./a", "/x/../a", "/a%20", "/a+", "/a%2F", "/a%00", "/a?b&c", "/a?c&b", "/a?b&b",
    ];
    for round in 0..2 {
        for target in targets {
            let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            let answer = raw(&proxy, &request).await;
            assert!(
                answer.ends_with(&format!("<{target}>")),
                "{target}: {answer}"
            );
            assert_eq!(answer.contains("; hit"), round == 1, "{target}: {answer}");
        }
    }
    assert_eq!(origin.asked(), targets.len());
}

/// An answer to a request that no other client makes (CPDoS) is not what others get. Where the error says when it changed, its lifetime
/// may be guessed (RFC 9110 section 15.1), and then it ends after ten minutes.
#[tokio::test]
async fn an_error_that_one_client_provokes_is_not_kept_for_others() {
    for status in [400, 403, 404, 405, 410, 413, 414, 431, 500, 501] {
        let origin = Origin::start(move |call| {
            let bad =
                call.headers.len() > 40 || call.header("x-bad") == "1" || call.method != "GET";
            if bad {
                let reply = Reply::status(status).then("bad");
                if call.target.ends_with("changed") {
                    reply.header("last-modified", "Thu, 01 Jan 2015 00:00:00 GMT")
                } else {
                    reply
                }
            } else {
                Reply::ok("good").header("cache-control", "max-age=1, stale-if-error=60")
            }
        })
        .await;
        let proxy = before(&origin).await;
        for path in ["/cold", "/warm", "/changed", "/warm-changed"] {
            if path.starts_with("/warm") {
                proxy.get(path).await;
                proxy.advance(2);
            }
            let many: Vec<String> = (0..50).map(|n| format!("x-{n}")).collect();
            let many: Vec<(&str, &str)> = many.iter().map(|name| (&**name, "1")).collect();
            for method in ["POST", "PUT", "OPTIONS", "X-ODD", "HEAD"] {
                proxy.ask(method, path, &[]).await;
            }
            proxy.get_with(path, &many).await;
            proxy.get_with(path, &[("x-bad", "1")]).await;
            if path.ends_with("changed") {
                proxy.advance(600);
            }
            let clean = proxy.get(path).await;
            let seen = (clean.status.as_u16(), &*clean.body);
            assert_eq!(seen, (200, "good"), "{status} {path}");
        }
    }
}
