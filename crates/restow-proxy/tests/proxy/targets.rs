//! Where requests go.

use crate::kit::{Running, before, tenants_of};
use restow_proxy::{Options, Upstream};
use restow_testkit::{Origin, Reply};

fn echo(call: &restow_testkit::Call) -> Reply {
    Reply::ok(format!("{} {}", call.header("host"), call.target))
        .header("cache-control", "max-age=60")
}

#[tokio::test]
async fn mounts_are_taken_off_and_base_paths_put_before() {
    let origin = Origin::start(echo).await;
    let address = origin.address();
    let music = Upstream::new(&origin.url("/v1"))
        .unwrap()
        .mount("/music")
        .unwrap();
    let rest = Upstream::new(&origin.url("")).unwrap();
    let proxy = Running::start(vec![rest, music], Options::default(), "").await;
    for (path, target) in [
        ("/music/tracks?a=1", "/v1/tracks?a=1"),
        ("/music", "/v1/"),
        ("/musicians", "/musicians"),
        ("/a%2Fb//c/../d", "/a%2Fb//c/../d"),
    ] {
        // A client of URLs would tidy the path up; this one sends it as it is.
        let answer = crate::framing::raw(
            &proxy,
            &format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
        )
        .await;
        assert!(
            answer.ends_with(&format!("{address} {target}")),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn the_same_path_of_two_apis_and_two_users_is_four_answers() {
    let origins = [
        Origin::start(|c| {
            Reply::ok(format!("one {}", c.header("x-tenant-is")))
                .header("cache-control", "max-age=60")
        })
        .await,
        Origin::start(|c| {
            Reply::ok(format!("two {}", c.header("x-tenant-is")))
                .header("cache-control", "max-age=60")
        })
        .await,
    ];
    let upstreams = vec![
        Upstream::new(&origins[0].url(""))
            .unwrap()
            .host("one.example"),
        Upstream::new(&origins[1].url(""))
            .unwrap()
            .host("two.example"),
    ];
    let options = tenants_of("127.0.0.1/32");
    let proxy = Running::start(upstreams, options, "").await;
    for round in 0..2 {
        for host in ["one", "two"] {
            for user in ["alice", "bob"] {
                let is = format!("{user}-{round}");
                let answer = proxy
                    .get_with(
                        "/",
                        &[
                            ("host", &format!("{host}.example")),
                            ("x-tenant", user),
                            ("x-tenant-is", &is),
                        ],
                    )
                    .await;
                assert_eq!(answer.body, format!("{host} {user}-0"), "round {round}");
                assert_eq!(answer.is_hit(), round == 1);
            }
        }
    }
    let nowhere = proxy.get_with("/", &[("host", "three.example")]).await;
    assert_eq!(nowhere.status.as_u16(), 404);
}

#[tokio::test]
async fn hosts_that_clients_name_are_asked_only_where_it_is_allowed() {
    let origin = Origin::start(echo).await;
    let other = Origin::start(echo).await;
    let options = Options {
        forward: vec![other.address().to_string().into()],
        ..Options::default()
    };
    let proxy = Running::start(vec![Upstream::new(&origin.url("")).unwrap()], options, "").await;
    let ask = async |target: &str| {
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: whatever.example\r\nconnection: close\r\n\r\n");
        crate::framing::raw(&proxy, &request).await
    };
    let allowed = other.url("/a");
    assert!(
        ask(&allowed)
            .await
            .ends_with(&format!("{} /a", other.address()))
    );
    assert!(
        ask(&origin.url("/b"))
            .await
            .ends_with(&format!("{} /b", origin.address()))
    );
    for forbidden in [
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        &format!("https://{}/", other.address()),
        &format!("http://user@{}/", other.address()),
        "ftp://whatever.example/",
    ] {
        let answer = ask(forbidden).await;
        assert!(
            answer.starts_with("HTTP/1.1 403 ") || answer.starts_with("HTTP/1.1 400 "),
            "{forbidden}: {answer}"
        );
    }
}

#[tokio::test]
async fn what_no_key_holds_never_changes_what_others_get() {
    let origin = Origin::start(|call| {
        let heeds = [
            "x-forwarded-host",
            "x-original-url",
            "x-http-method-override",
            "forwarded",
            "x-forwarded-scheme",
        ];
        let seen: Vec<_> = heeds.iter().map(|h| call.header(h)).collect();
        Reply::ok(format!("{} {}", call.method, seen.concat()))
            .header("cache-control", "max-age=60")
    })
    .await;
    let proxy = before(&origin).await;
    let poison = [
        ("x-forwarded-host", "evil.example"),
        ("x-original-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("forwarded", "host=evil.example"),
        ("x-forwarded-scheme", "http"),
    ];
    assert_eq!(proxy.get_with("/", &poison).await.body, "GET ");
    let clean = proxy.get("/").await;
    assert!(clean.is_hit());
    assert_eq!(clean.body, "GET ");
}

#[tokio::test]
async fn nobody_leaves_the_base_path_with_the_headers_of_an_upstream() {
    let origin =
        Origin::start(|call| Reply::ok(format!("{} <{}>", call.target, call.header("x-key"))))
            .await;
    let under = |mount: &str, base: &str| {
        let upstream = Upstream::new(&origin.url(base)).unwrap();
        let upstream = upstream.mount(mount).unwrap();
        upstream.header("x-key", "secret").unwrap()
    };
    let ask = async |proxy: &Running, target: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        crate::framing::raw(proxy, &request).await
    };
    let proxy = Running::start(vec![under("/api", "/v1")], Options::default(), "").await;
    for (target, body) in [
        (origin.url("/v1/a"), "/v1/a <secret>"),
        (origin.url("/v1"), "/v1 <secret>"),
        ("/api/a..b/.c/d./...".into(), "/v1/a..b/.c/d./... <secret>"),
    ] {
        let answer = ask(&proxy, &target).await;
        assert!(answer.ends_with(body), "{target}: {answer}");
    }
    let asked = origin.asked();
    for (target, status) in [
        (origin.url("/admin/keys"), 403),
        (origin.url("/v10"), 403),
        (origin.url(""), 403),
        (origin.url("/v1/../admin"), 400),
        (origin.url("/v1/%2E./admin"), 400),
        ("/api/../admin".into(), 400),
        ("/api/%2e%2e/admin".into(), 400),
        ("/api/.%2E".into(), 400),
        ("/api/a/..%2fadmin".into(), 400),
        ("/api/..%5Cadmin".into(), 400),
        ("/api/..;/admin".into(), 400),
        ("/api/./a".into(), 400),
    ] {
        let answer = ask(&proxy, &target).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{target}: {answer}"
        );
    }
    assert_eq!(origin.asked(), asked, "nothing of it reached the API");

    // Where the host is one that clients may name, its other paths are asked for without the upstream's headers.
    let options = Options {
        forward: vec![origin.address().to_string().into()],
        ..Options::default()
    };
    let proxy = Running::start(vec![under("/api", "/v1")], options, "").await;
    for (path, body) in [("/v1/a", "/v1/a <secret>"), ("/admin", "/admin <>")] {
        let answer = ask(&proxy, &origin.url(path)).await;
        assert!(answer.ends_with(body), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_host_that_clients_may_name_is_a_host() {
    let cache = restow::connect("memory:").await.unwrap();
    for (wrong, right) in [
        ("http://api.example.com/", "\"api.example.com\""),
        ("http://api.example.com:8000/v1", "\"api.example.com:8000\""),
        ("api.example.com/", "\"api.example.com\""),
        ("user@api.example.com", "\"api.example.com\""),
        ("", "\"api.example.com\""),
        ("*", "\"api.example.com\""),
    ] {
        let options = Options {
            forward: vec![wrong.into()],
            ..Options::default()
        };
        let made = restow_proxy::Proxy::new(cache.clone(), Vec::new(), options).await;
        let error = made.unwrap_err().to_string();
        assert!(error.contains(&format!("{wrong:?}")), "{error}");
        assert!(error.contains(right), "{error}");
    }
}
