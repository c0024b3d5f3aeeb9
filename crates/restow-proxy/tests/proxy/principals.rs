//! Whose answers they are.

use crate::kit::{Running, before, tenants_of};
use restow::Config;
use restow_proxy::{Options, Tls, Upstream};
use restow_testkit::{Authority, Origin, Reply, http_client};

/// What an answer to an authorized request says, and whether everyone may have it (RFC 9111 section 3.5).
const CASES: [(&str, bool); 9] = [
    ("max-age=60", false),
    ("public, max-age=60", true),
    ("s-maxage=60", true),
    ("max-age=60, must-revalidate", true),
    ("max-age=60, max-age=60", false),
    ("s-maxage=60, s-maxage=61", false),
    ("public, max-age=60;", false),
    ("private, public, max-age=60", false),
    ("ext=\"public\", max-age=60", false),
];

#[tokio::test]
async fn an_authorized_answer_is_shared_only_where_it_says_so() {
    for (says, shared) in CASES {
        let origin = Origin::start(move |call| {
            Reply::ok(call.header("authorization").to_owned()).header("cache-control", says)
        })
        .await;
        let proxy = before(&origin).await;
        let alice = proxy.get_with("/", &[("authorization", "alice")]).await;
        assert_eq!(alice.body, "alice");
        let bob = proxy.get_with("/", &[("authorization", "bob")]).await;
        assert_eq!(bob.body, if shared { "alice" } else { "bob" }, "{says}");
        assert_eq!(bob.is_hit(), shared, "{says}");
        let nobody = proxy.get("/").await;
        assert_eq!(nobody.body, if shared { "alice" } else { "" }, "{says}");
    }
}

#[tokio::test]
async fn what_was_stored_for_nobody_is_not_given_to_a_credential() {
    let origin = Origin::start(|call| {
        Reply::ok(call.header("cookie").to_owned()).header("cache-control", "max-age=60")
    })
    .await;
    let proxy = before(&origin).await;
    assert_eq!(proxy.get("/").await.body, "");
    assert_eq!(
        proxy.get_with("/", &[("cookie", "session=1")]).await.body,
        "session=1"
    );
    assert!(proxy.get("/").await.is_hit());
}

#[tokio::test]
async fn a_principal_has_answers_of_its_own_private_ones_too() {
    let origin = Origin::start(|call| {
        assert_eq!(call.header("x-tenant"), "", "it never goes to the API");
        Reply::ok(call.header("authorization").to_owned())
            .header("cache-control", "private, max-age=60")
    })
    .await;
    let options = tenants_of("127.0.0.0/8");
    let proxy = Running::start(vec![Upstream::new(&origin.url("")).unwrap()], options, "").await;
    let ask = async |tenant: &str, token: &str| {
        proxy
            .get_with("/", &[("x-tenant", tenant), ("authorization", token)])
            .await
    };
    assert_eq!(ask("alice", "1").await.body, "1");
    // A token that rotates does not empty the cache.
    assert_eq!(ask("alice", "2").await.body, "1");
    assert_eq!(ask("bob", "3").await.body, "3");
    // Names that cannot be one name nobody.
    assert_eq!(ask("", "4").await.body, "4");
}

#[tokio::test]
async fn a_principal_is_believed_of_those_alone_who_are_trusted() {
    let origin = Origin::start(|call| {
        Reply::ok(call.header("x-tenant").to_owned()).header("cache-control", "private, max-age=60")
    })
    .await;
    let options = tenants_of("10.0.0.0/8");
    let proxy = Running::start(vec![Upstream::new(&origin.url("")).unwrap()], options, "").await;
    for _ in 0..2 {
        let answer = proxy.get_with("/", &[("x-tenant", "alice")]).await;
        assert_eq!(answer.body, "");
        assert!(!answer.is_hit());
    }
}

#[test]
fn a_header_that_is_believed_of_nobody_is_a_mistake() {
    let options = |principal: &str| {
        let text = format!("[proxy]\nprincipal = {principal}\n");
        let config = Config::parse(&text, "restow.toml").unwrap();
        Options::from_settings(config.proxy().unwrap())
    };
    for principal in ["{ header = 'X-T' }", "{ header = 'X-T', trust = [] }"] {
        let error = options(principal).unwrap_err().to_string();
        assert!(error.contains("principal in [proxy]"), "{error}");
        assert!(error.contains("trust = [\"127.0.0.1/32\"]"), "{error}");
    }
    options("{ header = 'X-T', trust = ['127.0.0.1'] }").unwrap();
}

#[tokio::test]
async fn a_client_s_certificate_is_its_principal() {
    let origin = Origin::start(|call| {
        Reply::ok(call.nth.to_string()).header("cache-control", "private, max-age=60")
    })
    .await;
    let (ours, other) = (Authority::make(), Authority::make());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (certificate, key) = ours.vouch(&["localhost"]);
    let options = Options {
        tls: Some(Tls {
            certificate: file("cert.pem", certificate),
            key: file("key.pem", key),
            client_authority: Some(ours.file()),
        }),
        ..Options::default()
    };
    let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
    let proxy = Running::start(upstreams, options, "").await;
    let url = format!("https://localhost:{}/", proxy.address.port());
    let trusted = std::fs::read(ours.file()).unwrap();
    let trusted = reqwest::Certificate::from_pem(&trusted).unwrap();
    let client = |shows: Option<(String, String)>| {
        let builder = http_client()
            .tls_certs_only([trusted.clone()])
            .resolve("localhost", proxy.address);
        let builder = match shows {
            Some((certificate, key)) => {
                let pem = certificate + &key;
                builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
            }
            None => builder,
        };
        builder.build().unwrap()
    };
    let get = async |client: &reqwest::Client| client.get(&url).send().await?.text().await;
    let (alice, bob) = (
        client(Some(ours.vouch(&["alice"]))),
        client(Some(ours.vouch(&["bob"]))),
    );
    assert_eq!(get(&alice).await.unwrap(), "0");
    assert_eq!(get(&bob).await.unwrap(), "1");
    assert_eq!(get(&alice).await.unwrap(), "0");
    // Who shows none, or one that somebody else vouches for, does not come in.
    get(&client(None)).await.unwrap_err();
    get(&client(Some(other.vouch(&["alice"]))))
        .await
        .unwrap_err();
    assert_eq!(origin.asked(), 2);
    let held = proxy.proxy.cache().repository(restow_proxy::EVERYTHING);
    let count = held.unwrap().everyone().count(restow::Scope::All).await;
    assert_eq!(count.unwrap(), 2);
}
