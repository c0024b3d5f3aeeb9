//! The listener for operators.

use crate::kit::{Running, before, tenants_of};
use restow_proxy::{Admin, Upstream};
use restow_testkit::{Gate, Origin, Reply, dropping::in_time};
use tokio::net::TcpListener;

async fn admin(proxy: &Running, token: Option<&str>) -> String {
    serve(Admin::new(&proxy.proxy, token)).await
}

pub(crate) async fn serve(admin: Admin) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(admin.serve(listener, std::future::pending()));
    format!("http://{address}")
}

pub(crate) async fn ask(method: &str, url: &str, token: &str, body: &'static str) -> (u16, String) {
    let client = restow_testkit::http_client().build().unwrap();
    let mut request = client.request(method.parse().unwrap(), url).body(body);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn health_is_open_and_all_else_asks_for_the_token() {
    let origin = Origin::start(|_| Reply::ok("a")).await;
    let proxy = before(&origin).await;
    let url = admin(&proxy, Some("secret")).await;
    assert_eq!(
        ask("GET", &format!("{url}/healthz"), "", "").await,
        (200, "ok\n".to_owned())
    );
    assert_eq!(
        ask("GET", &format!("{url}/readyz"), "", "").await,
        (200, "ready\n".to_owned())
    );
    for (method, path) in [
        ("GET", "/metrics"),
        ("GET", "/mode"),
        ("PUT", "/mode"),
        ("POST", "/purge?all"),
        ("GET", "/explain?url=/"),
        ("POST", "/reload"),
        ("GET", "/"),
    ] {
        for token in ["", "secre", "secrets"] {
            assert_eq!(
                ask(method, &format!("{url}{path}"), token, "").await.0,
                401,
                "{path} {token}"
            );
        }
    }
    assert_eq!(
        ask("GET", &format!("{url}/metrics"), "secret", "").await.0,
        200
    );
    assert_eq!(
        ask("POST", &format!("{url}/metrics"), "secret", "").await.0,
        405
    );
    assert_eq!(
        ask("GET", &format!("{url}/nothing"), "secret", "").await.0,
        404
    );
}

#[tokio::test]
async fn entries_are_counted_by_user_and_no_credential_is_shown() {
    let origin = Origin::start(|_| Reply::ok("a")).await;
    let endpoint = format!(
        "[[endpoint]]\nname = \"items\"\nroute = \"GET {}\"\n",
        origin.url("/{id}")
    );
    let options = tenants_of("127.0.0.0/8");
    let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
    let proxy = Running::start(upstreams, options, &endpoint).await;
    for path in ["/1", "/2"] {
        proxy.get(path).await;
        proxy.get_with(path, &[("x-tenant", "alice")]).await;
        for token in ["canary-one", "canary-two"] {
            proxy.get_with(path, &[("authorization", token)]).await;
        }
    }
    proxy.get_with("/1", &[("x-tenant", "bob")]).await;
    let url = admin(&proxy, None).await;
    let (_, page) = ask("GET", &format!("{url}/metrics"), "", "").await;
    for (user, principal, count) in [
        ("public", "", 2),
        ("credential", "", 4),
        ("principal", "alice", 2),
        ("principal", "bob", 1),
    ] {
        let line = format!(
            "restow_entries_by_user{{repository=\"items\",user=\"{user}\",principal=\"{principal}\"}} {count}"
        );
        assert!(page.lines().any(|l| l == line), "{line}: {page}");
    }
    assert!(!page.contains("canary") && !page.contains("c:"), "{page}");
}

#[tokio::test]
async fn the_mode_is_set_and_asked_for() {
    let origin = Origin::start(|_| Reply::ok("a").header("cache-control", "max-age=60")).await;
    let proxy = before(&origin).await;
    let url = admin(&proxy, None).await;
    proxy.get("/a").await;
    assert_eq!(
        ask("PUT", &format!("{url}/mode"), "", "offline").await.0,
        200
    );
    assert_eq!(
        ask("GET", &format!("{url}/mode"), "", "").await.1,
        "{\"mode\":\"offline\"}\n"
    );
    assert_eq!(proxy.get("/a").await.status.as_u16(), 200);
    assert_eq!(proxy.get("/b").await.status.as_u16(), 504);
    let (status, why) = ask("PUT", &format!("{url}/mode"), "", "sideways").await;
    assert_eq!(status, 400);
    assert!(why.contains("offline"), "{why}");
}

#[tokio::test]
async fn entries_are_purged_by_what_selects_them() {
    let origin = Origin::start(|_| {
        Reply::ok("a")
            .header("cache-control", "max-age=60")
            .header("cache-groups", "\"g\"")
    })
    .await;
    let proxy = before(&origin).await;
    let url = admin(&proxy, None).await;
    for path in ["/a", "/b", "/c"] {
        proxy.get(path).await;
    }
    let purge = async |what: &str| ask("POST", &format!("{url}/purge{what}"), "", "").await;
    assert_eq!(
        purge("?url=/a").await,
        (200, "{\"removed\":1}\n".to_owned())
    );
    assert_eq!(purge("?tag=none").await.1, "{\"removed\":0}\n");
    assert_eq!(purge("?tag=g&status=404").await.1, "{\"removed\":0}\n");
    assert_eq!(
        purge(&format!("?where=url%3D{}", origin.url("/b"))).await.1,
        "{\"removed\":1}\n"
    );
    assert_eq!(
        purge("?until=2020-01-01T00:00:00Z").await.1,
        "{\"removed\":0}\n"
    );
    assert_eq!(purge("?principal=alice").await.1, "{\"removed\":0}\n");
    for wrong in [
        "",
        "?colour=red",
        "?status=x",
        "?since=yesterday",
        "?repository=nothing",
        "?principal=",
        "?where=colour%3Dred",
        "?expired&live",
    ] {
        assert_eq!(purge(wrong).await.0, 400, "{wrong}");
    }
    for none in [
        "?until=1%20day",
        "?where=url",
        "?expired",
        "?since=2026-08-02",
    ] {
        assert_eq!(purge(none).await.1, "{\"removed\":0}\n", "{none}");
    }
    let all = purge("?tag=g&live&changed-since=1%20day&since=2026-08-01").await;
    assert_eq!(all.1, "{\"removed\":1}\n");
    proxy.get("/a").await;
    assert_eq!(purge("?all").await.1, "{\"removed\":1}\n");
}

#[tokio::test]
async fn an_explanation_says_what_a_request_would_come_to_and_asks_nobody() {
    let origin = Origin::start(|_| Reply::ok("a").header("cache-control", "max-age=60")).await;
    let proxy = before(&origin).await;
    let url = admin(&proxy, None).await;
    let explain = async || ask("GET", &format!("{url}/explain?url=/a"), "", "").await.1;
    assert!(explain().await.contains("miss; detail=absent"));
    assert_eq!(origin.asked(), 0);
    proxy.get("/a").await;
    let held: serde_json::Value = serde_json::from_str(&explain().await).unwrap();
    assert!(
        held["outcome"].as_str().unwrap().starts_with("hit"),
        "{held}"
    );
    assert_eq!(held["entry"]["expires_at"], "2026-08-01T00:01:00Z");
    assert_eq!(held["upstream"], origin.url("/a"));
    proxy.advance(61);
    let stale: serde_json::Value = serde_json::from_str(&explain().await).unwrap();
    let said = ["repository", "asks"].map(|name| stale[name].as_str().unwrap());
    assert_eq!(said, ["everything", "without a condition"]);
    let outcome = stale["outcome"].as_str().unwrap();
    assert!(outcome.starts_with("miss; detail=expired"), "{outcome}");
    for name in ["key", "partition"] {
        assert_eq!(stale[name], held[name], "{name}");
    }
    assert_eq!(stale["entry"]["stored_at"], held["entry"]["stored_at"]);
    let explain = async |query: &str| ask("GET", &format!("{url}/explain?{query}"), "", "").await;
    let (_, hers) = explain("url=/a&principal=alice").await;
    assert!(hers.contains("alice"), "{hers}");
    for wrong in [
        "",
        "url=/a&user=alice",
        "url=/a&principal=",
        "url=/a&header=accept",
        "url=/a&header=a%20b:c",
    ] {
        assert_eq!(explain(wrong).await.0, 400, "{wrong}");
    }
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn an_explanation_waits_for_no_fetch_and_knows_what_a_request_says() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        let answer = Reply::ok("a").header("cache-control", "max-age=60");
        answer.header("vary", "accept").behind(&held)
    })
    .await;
    let proxy = before(&origin).await;
    let url = admin(&proxy, None).await;
    let explain = async |query: &str| {
        let url = format!("{url}/explain?url=/a{query}");
        in_time("an explanation", ask("GET", &url, "", "")).await.1
    };
    let asked = proxy.get_with("/a", &[("accept", "text/html")]);
    let meanwhile = async {
        gate.reached(1).await;
        let meanwhile = explain("&header=accept:text/html").await;
        gate.open();
        meanwhile
    };
    let (_, meanwhile) = tokio::join!(asked, meanwhile);
    assert!(meanwhile.contains("miss; detail=absent"), "{meanwhile}");
    for (header, is_hit) in [("accept:%20text/html", true), ("accept:text/plain", false)] {
        let said = explain(&format!("&header={header}")).await;
        assert_eq!(said.contains("\"hit"), is_hit, "{said}");
    }
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn it_does_not_listen_to_other_machines_without_a_token() {
    let origin = Origin::start(|_| Reply::ok("a")).await;
    let proxy = before(&origin).await;
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = Admin::new(&proxy.proxy, None)
        .serve(listener, std::future::pending())
        .await;
    assert!(refused.unwrap_err().to_string().contains("has no token"));
}

/// A browser of this machine sends what a page of anywhere tells it to; by a name that its owner points here it even reads the answers.
#[tokio::test]
async fn without_a_token_no_page_of_elsewhere_is_obeyed() {
    let origin = Origin::start(|_| Reply::ok("a").header("cache-control", "max-age=60")).await;
    let proxy = before(&origin).await;
    proxy.get("/a").await;
    let client = restow_testkit::http_client().build().unwrap();
    let send = async |url: &str, method: &str, path: &str, (name, value): (&str, &str)| {
        let request = client.request(method.parse().unwrap(), format!("{url}{path}"));
        let request = request.header(name, value);
        let request = request.header("authorization", "Bearer secret");
        request.send().await.unwrap().status().as_u16()
    };
    let (open, closed) = (
        admin(&proxy, None).await,
        admin(&proxy, Some("secret")).await,
    );
    for foreign in [
        ("host", "evil.example"),
        ("host", "evil.example:9090"),
        ("host", "127.0.0.1.evil.example"),
        ("host", "192.0.2.1"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        for (method, path) in [
            ("POST", "/purge?all"),
            ("PUT", "/mode"),
            ("GET", "/explain?url=/a"),
        ] {
            assert_eq!(
                send(&open, method, path, foreign).await,
                403,
                "{path} {foreign:?}"
            );
        }
        assert_eq!(send(&open, "GET", "/healthz", foreign).await, 200);
        // Who shows a token is no page.
        assert_eq!(send(&closed, "GET", "/metrics", foreign).await, 200);
    }
    assert!(proxy.get("/a").await.is_hit());
    for host in [
        "localhost",
        "LOCALHOST:9090",
        "127.0.0.1:9090",
        "127.1.2.3",
        "[::1]:9090",
    ] {
        assert_eq!(
            send(&open, "GET", "/metrics", ("host", host)).await,
            200,
            "{host}"
        );
    }
}

#[tokio::test]
async fn the_bytes_of_an_answer_that_is_passed_on_are_counted() {
    let origin = Origin::start(|call| match &*call.target {
        "/stored" => Reply::ok("12345").header("cache-control", "max-age=60"),
        _ => Reply::ok("1234567"),
    })
    .await;
    let proxy = before(&origin).await;
    let url = admin(&proxy, None).await;
    proxy.get("/stored").await;
    proxy.ask("HEAD", "/other", &[]).await;
    proxy.ask("POST", "/other", &[]).await;
    let (_, page) = ask("GET", &format!("{url}/metrics"), "", "").await;
    for (outcome, detail, bytes) in [("miss", "absent", 5), ("bypass", "method", 7)] {
        let line = format!(
            "restow_response_body_bytes_total{{outcome=\"{outcome}\",detail=\"{detail}\"}} {bytes}"
        );
        assert!(page.lines().any(|l| l == line), "{line}: {page}");
    }
}

#[tokio::test]
async fn the_bytes_of_a_body_whose_length_nobody_told_are_counted_on_their_way() {
    // In pieces it comes in chunks.
    let origin = Origin::start(|call| {
        let kept = Reply::status(200).header("cache-control", "max-age=60");
        match &*call.target {
            "/stored" => kept.then("123").then("45"),
            _ => Reply::status(200).then("1234").then("567"),
        }
    })
    .await;
    let proxy = before(&origin).await;
    let url = admin(&proxy, None).await;
    for _ in 0..2 {
        assert_eq!(proxy.get("/stored").await.body, "12345");
        assert_eq!(proxy.ask("POST", "/other", &[]).await.body, "1234567");
    }
    let (_, page) = ask("GET", &format!("{url}/metrics"), "", "").await;
    for (outcome, detail, bytes) in [
        ("miss", "absent", 5),
        ("hit", "", 5),
        ("bypass", "method", 14),
    ] {
        let line = format!(
            "restow_response_body_bytes_total{{outcome=\"{outcome}\",detail=\"{detail}\"}} {bytes}"
        );
        assert!(page.lines().any(|l| l == line), "{line}: {page}");
    }
}
