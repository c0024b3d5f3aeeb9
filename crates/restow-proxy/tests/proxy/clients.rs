//! Versions of HTTP on the listening side.

use crate::kit::{Running, before};
use restow_proxy::{Options, Proxy, Tls, Upstream};
use restow_testkit::{Origin, Reply, http_client};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

#[tokio::test]
async fn http_2_is_spoken_where_the_client_knows() {
    let origin = Origin::start(|c| {
        Reply::ok(c.header("host").to_owned()).header("cache-control", "max-age=60")
    })
    .await;
    let proxy = before(&origin).await;
    let client = http_client().http2_prior_knowledge().build().unwrap();
    for _ in 0..2 {
        let answer = client.get(proxy.url("/")).send().await.unwrap();
        assert_eq!(answer.version(), http::Version::HTTP_2);
        // The version in which the API answered, and not the client's (RFC 9110 section 7.6.3).
        assert_eq!(answer.headers()["via"], "1.1 restow");
        assert_eq!(answer.text().await.unwrap(), origin.address().to_string());
    }
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn via_tells_the_version_in_which_each_side_sent_its_message() {
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", api.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut stream, _) = api.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        let answer = b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na";
        stream.write_all(answer).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let upstreams = vec![Upstream::new(&url).unwrap()];
    let proxy = Running::start(upstreams, Options::default(), "").await;
    let client = http_client().http2_prior_knowledge().build().unwrap();
    let answer = client.get(proxy.url("/")).send().await.unwrap();
    assert_eq!(answer.headers()["via"], "1.0 restow");
    let request = asked.await.unwrap();
    assert!(request.contains("via: 2 restow\r\n"), "{request}");
}

#[tokio::test]
async fn tls_takes_a_certificate_and_says_which_file_is_wrong() {
    let origin = Origin::start(|_| Reply::ok("a")).await;
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let options = |key: &std::path::Path| Options {
        tls: Some(Tls {
            certificate: certificate.clone(),
            key: key.to_owned(),
            client_authority: None,
        }),
        ..Options::default()
    };
    let upstreams = || vec![Upstream::new(&origin.url("")).unwrap()];
    let proxy = Running::start(upstreams(), options(&key), "").await;
    let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = http_client()
        .tls_certs_only([trusted])
        .resolve("localhost", proxy.address)
        .build()
        .unwrap();
    let url = format!("https://localhost:{}/", proxy.address.port());
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(
        answer.version(),
        http::Version::HTTP_2,
        "it is agreed on by ALPN"
    );
    assert_eq!(answer.text().await.unwrap(), "a");

    let cache = restow::connect("memory:").await.unwrap();
    let wrong = options(&folder.path().join("nothing.pem"));
    let error = Proxy::new(cache, upstreams(), wrong).await.unwrap_err();
    assert!(error.to_string().contains("nothing.pem"), "{error}");
}
