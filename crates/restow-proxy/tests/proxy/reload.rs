//! Other settings while it runs.

use crate::{
    admin::{ask, serve},
    kit::Running,
};
use restow::Mode;
use restow_proxy::{Admin, EVERYTHING, Options, Tls, Upstream};
use restow_testkit::{Gate, Origin, Reply, http_client};
use std::path::Path;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// An API that says its name and may be stored; what is asked for at `/slow` waits at a gate.
async fn api(name: &'static str, gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |call| {
        let reply = Reply::ok(name).header("cache-control", "max-age=60");
        if call.target.starts_with("/slow") {
            reply.behind(&gate)
        } else {
            reply
        }
    })
    .await
}

fn to(origin: &Origin) -> Vec<Upstream> {
    vec![Upstream::new(&origin.url("")).unwrap()]
}

/// A connection that is kept.
struct Kept(TcpStream);

impl Kept {
    async fn open(proxy: &Running) -> Self {
        Self(TcpStream::connect(proxy.address).await.unwrap())
    }

    async fn send(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        self.0.write_all(request.as_bytes()).await.unwrap();
    }

    /// Reads one answer and returns its body, which has a length.
    async fn receive(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        String::from_utf8(body).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_ends_as_it_began_and_the_next_of_its_connection_goes_by_what_is_new() {
    let gate = Gate::closed();
    let (old, new) = (api("old", &gate).await, api("new", &gate).await);
    let proxy = Running::start(to(&old), Options::default(), "").await;
    let (mut busy, mut idle) = (Kept::open(&proxy).await, Kept::open(&proxy).await);
    idle.send("/").await;
    assert_eq!(idle.receive().await, "old");
    busy.send("/slow").await;
    gate.reached(1).await;
    proxy
        .reload(to(&new), Options::default(), "")
        .await
        .unwrap();
    idle.send("/").await;
    assert_eq!(idle.receive().await, "new");
    gate.open();
    assert_eq!(busy.receive().await, "old");
    busy.send("/slow").await;
    assert_eq!(busy.receive().await, "new");
    assert_eq!((old.asked(), new.asked()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn so_do_the_requests_of_one_http_2_connection() {
    let gate = Gate::closed();
    let (old, new) = (api("old", &gate).await, api("new", &gate).await);
    let proxy = Running::start(to(&old), Options::default(), "").await;
    let url = serve(Admin::new(&proxy.proxy, None)).await;
    let client = http_client().http2_prior_knowledge();
    let client = client.pool_max_idle_per_host(1).build().unwrap();
    let get = |path: &str| {
        let asked = client.get(proxy.url(path)).send();
        async { asked.await.unwrap().text().await.unwrap() }
    };
    assert_eq!(get("/").await, "old");
    let slow = tokio::spawn(get("/slow"));
    gate.reached(1).await;
    proxy
        .reload(to(&new), Options::default(), "")
        .await
        .unwrap();
    assert_eq!(get("/").await, "new");
    let (_, metrics) = ask("GET", &format!("{url}/metrics"), "", "").await;
    for line in [
        "restow_connections 1",
        r#"restow_reloads_total{result="success"} 1"#,
        r#"restow_reloads_total{result="failure"} 0"#,
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}: {metrics}");
    }
    gate.open();
    assert_eq!(slow.await.unwrap(), "old");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_stays_and_a_fetch_under_way_is_waited_for() {
    let gate = Gate::closed();
    let origin = api("a", &gate).await;
    let endpoint = |name: &str, rule: &str| {
        let route = origin.url(&format!("/slow/{name}/{{id}}"));
        format!("[[endpoint]]\nname = \"{name}\"\nroute = \"GET {route}\"\n{rule}\n")
    };
    let before = [endpoint("same", ""), endpoint("other", "")].concat();
    let proxy = Running::start(to(&origin), Options::default(), &before).await;
    proxy.get("/held").await;
    let paths = ["/slow", "/slow/same/1", "/slow/other/1"];
    let first = futures_util::future::join_all(paths.map(|path| proxy.get(path)));
    let reloaded = async {
        gate.reached(3).await;
        let after = [endpoint("same", ""), endpoint("other", "share = true")].concat();
        proxy
            .reload(to(&origin), Options::default(), &after)
            .await
            .unwrap();
        assert!(proxy.get("/held").await.is_hit());
        let second = futures_util::future::join_all(paths.map(|path| proxy.get(path)));
        let open = async {
            // What is fetched by other rules is nothing to wait for.
            gate.reached(4).await;
            gate.open();
        };
        tokio::join!(second, open).0
    };
    let (first, second) = tokio::join!(first, reloaded);
    assert!(first.iter().chain(&second).all(|a| a.body == "a"));
    let asked = paths.map(|path| origin.calls_to(path).len());
    assert_eq!(asked, [1, 1, 2]);
}

#[tokio::test]
async fn endpoints_come_and_go_with_their_rules_and_a_mode_stays() {
    let origin = Origin::start(|_| Reply::ok("{}")).await;
    let route = origin.url("/items/{id}");
    let endpoint = format!("[[endpoint]]\nname = \"items\"\nroute = \"GET {route}\"\n");
    let proxy = Running::start(to(&origin), Options::default(), "").await;
    let reload = async |endpoints: &str| {
        let options = Options::default();
        proxy.reload(to(&origin), options, endpoints).await.unwrap();
    };
    // An answer that does not say how long it is fresh is asked for each time.
    for asked in [1, 2] {
        proxy.get("/items/1").await;
        assert_eq!(origin.asked(), asked);
    }
    reload(&endpoint).await;
    for _ in 0..2 {
        proxy.get("/items/1").await;
        assert_eq!(origin.asked(), 3);
    }
    let cache = proxy.proxy.cache();
    assert!(cache.contains_repository("items") && cache.contains_repository(EVERYTHING));
    proxy.proxy.cache().set_mode(Mode::Offline);
    reload("").await;
    assert!(!proxy.proxy.cache().contains_repository("items"));
    assert_eq!(proxy.proxy.cache().mode(), Mode::Offline);
    proxy.proxy.cache().set_mode(Mode::Live);
    proxy.get("/items/1").await;
    assert_eq!(origin.asked(), 4);
    // It was closed, not removed.
    reload(&endpoint).await;
    assert!(proxy.get("/items/1").await.is_hit());
    assert_eq!(origin.asked(), 4);
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_counted_and_all_goes_on() {
    let gate = Gate::closed();
    let (old, new) = (api("old", &gate).await, api("new", &gate).await);
    let proxy = Running::start(to(&old), Options::default(), "").await;
    let url = serve(Admin::new(&proxy.proxy, None)).await;
    let twice = [to(&new), to(&new)].concat();
    let error = proxy.reload(twice, Options::default(), "").await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("two upstreams have the mount"), "{error}");
    let missing = Options {
        tls: Some(Tls {
            certificate: "no/cert.pem".into(),
            key: "no/key.pem".into(),
            client_authority: None,
        }),
        ..Options::default()
    };
    let error = proxy.reload(to(&new), missing, "").await.unwrap_err();
    assert!(error.to_string().contains("no/cert.pem"), "{error}");
    proxy.proxy.refuse_reload();
    assert_eq!(proxy.get("/").await.body, "old");
    let (_, metrics) = ask("GET", &format!("{url}/metrics"), "", "").await;
    for line in [
        r#"restow_reloads_total{result="success"} 0"#,
        r#"restow_reloads_total{result="failure"} 3"#,
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn a_certificate_that_was_replaced_is_for_the_handshakes_to_come() {
    let gate = Gate::closed();
    let origin = api("a", &gate).await;
    let folder = tempfile::tempdir().unwrap();
    let files = Tls {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
        client_authority: None,
    };
    let options = || Options {
        tls: Some(files.clone()),
        ..Options::default()
    };
    let first = certificate(folder.path());
    let proxy = Running::start(to(&origin), options(), "").await;
    let url = format!("https://localhost:{}/", proxy.address.port());
    let client = |trusted: &reqwest::Certificate| {
        let builder = http_client().tls_certs_only([trusted.clone()]);
        let builder = builder.resolve("localhost", proxy.address);
        builder.pool_max_idle_per_host(1).build().unwrap()
    };
    let get = async |client: &reqwest::Client| client.get(&url).send().await?.text().await;
    let kept = client(&first);
    assert_eq!(get(&kept).await.unwrap(), "a");
    let second = certificate(folder.path());
    assert_eq!(get(&client(&first)).await.unwrap(), "a", "not yet");
    proxy.reload(to(&origin), options(), "").await.unwrap();
    assert_eq!(get(&client(&second)).await.unwrap(), "a");
    get(&client(&first)).await.unwrap_err();
    // It has a connection.
    assert_eq!(get(&kept).await.unwrap(), "a");
}

/// Writes a certificate for localhost and its key into a folder.
fn certificate(folder: &Path) -> reqwest::Certificate {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
}

#[tokio::test]
async fn an_operator_reloads_where_the_program_can_and_is_told_what_is_wrong() {
    let gate = Gate::closed();
    let origin = api("a", &gate).await;
    let proxy = Running::start(to(&origin), Options::default(), "").await;
    let unable = serve(Admin::new(&proxy.proxy, None)).await;
    let reload =
        async |url: &str, token: &str| ask("POST", &format!("{url}/reload"), token, "").await;
    assert_eq!(reload(&unable, "").await.0, 501);
    let nth = std::sync::atomic::AtomicUsize::new(0);
    let admin = Admin::new(&proxy.proxy, Some("old")).reloads_by(move || {
        let first = nth.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        async move {
            if first {
                Ok(vec!["listen".to_owned()])
            } else {
                Err("line 7 is wrong".into())
            }
        }
    });
    let able = serve(admin.clone()).await;
    assert_eq!(
        ask("GET", &format!("{able}/reload"), "old", "").await.0,
        405
    );
    assert_eq!(
        reload(&able, "old").await,
        (
            200,
            "{\"kept\":[\"listen\"],\"reloaded\":true}\n".to_owned()
        )
    );
    admin.set_token("new");
    assert_eq!(reload(&able, "old").await.0, 401);
    let (status, why) = reload(&able, "new").await;
    assert_eq!(status, 500);
    assert!(why.contains("line 7 is wrong"), "{why}");
}
