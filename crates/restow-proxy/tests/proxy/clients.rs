//! Versions of HTTP on the listening side.

use crate::kit::{Running, before};
use restow_proxy::{Options, Proxy, Tls, Upstream};
use restow_testkit::{Origin, Reply, http_client};

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
        assert_eq!(answer.headers()["via"], "2 restow");
        assert_eq!(answer.text().await.unwrap(), origin.address().to_string());
    }
    assert_eq!(origin.asked(), 1);
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
