//! APIs by https: whom the system trusts, and whom the configuration names.

#![allow(
    clippy::unwrap_used,
    reason = "where a test cannot run the program, it has to fail"
)]

use crate::{running::Proxy, support::Place};
use restow_testkit::{Authority, Origin, Reply, http_client};

async fn api(authority: &Authority) -> Origin {
    let shown = authority.vouch(&["127.0.0.1"]);
    Origin::secure(shown, &["h2", "http/1.1"], |_| {
        Reply::ok("by https").header("cache-control", "max-age=60")
    })
    .await
}

fn trusting(authority: &Authority) -> Place {
    Place::new().with("SSL_CERT_FILE", authority.file().to_str().unwrap())
}

/// Status, `Cache-Status` and body.
async fn ask(url: &str) -> (u16, String, String) {
    let client = http_client().build().unwrap();
    let answer = client.get(url).send().await.unwrap();
    let says = answer.headers()["cache-status"].to_str().unwrap();
    let (status, says) = (answer.status().as_u16(), says.to_owned());
    (status, says, answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_system_trusts_vouches_for_an_api() {
    let (ours, other) = (Authority::make(), Authority::make());
    let api = api(&ours).await;
    let url = api.url("/a");
    let arguments = ["--cache", "memory:", "--upstream", &api.url("")];
    let place = trusting(&ours);
    let proxy = Proxy::start(&place, &arguments);
    for hit in [false, true] {
        let (status, says, body) = ask(&format!("{}/a", proxy.url)).await;
        assert_eq!((status, &*body), (200, "by https"));
        assert_eq!(says.contains("; hit"), hit, "{says}");
    }
    place.ok(&["--cache", "a.db", "fetch", &url]);
    let asked = api.asked();

    let place = trusting(&other);
    let proxy = Proxy::start(&place, &arguments);
    let (status, _, body) = ask(&format!("{}/a", proxy.url)).await;
    assert_eq!(status, 502);
    assert!(body.contains("certificate"), "{body}");
    let done = place.run(&["--cache", "a.db", "fetch", &url]);
    assert_eq!(done.code, 5, "{done:?}");
    assert!(done.out.contains("certificate"), "{done:?}");
    assert_eq!(api.asked(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_the_configuration_vouches_for_its_upstream_alone() {
    let (ours, other) = (Authority::make(), Authority::make());
    let (mine, theirs) = (api(&ours).await, api(&other).await);
    let place = trusting(&other);
    let certificate = |of: &Authority| std::fs::read_to_string(of.file()).unwrap();
    place.write("ca.pem", &certificate(&ours));
    let config = format!(
        "cache = \"memory:\"\n[[upstream]]\nmount = \"/mine\"\nurl = \"{}\"\nca = \"ca.pem\"\n[[upstream]]\nmount = \"/theirs\"\nurl = \"{}\"\n",
        mine.url(""),
        theirs.url("")
    );
    place.write("restow.toml", &config);
    let proxy = Proxy::start(&place, &[]);
    let status = async |path: &str| ask(&format!("{}{path}", proxy.url)).await.0;
    assert_eq!(status("/mine/a").await, 200);
    assert_eq!(status("/theirs/a").await, 200);
    // It is looked at again when it changes.
    place.write("ca.pem", &certificate(&other));
    proxy.wait_for("read anew");
    assert_eq!(status("/mine/b").await, 502);
    assert_eq!(status("/theirs/b").await, 200);

    std::fs::remove_file(place.path("ca.pem")).unwrap();
    let missing = "the certificate ca.pem cannot be read as PEM";
    place.fails(&["proxy", "--listen", "127.0.0.1:0"], 2, missing);
}
