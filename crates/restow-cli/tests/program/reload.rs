//! A proxy whose settings change while it runs.

#![allow(
    clippy::unwrap_used,
    reason = "where a test cannot run a program, it has to fail"
)]

use crate::{running::Proxy, support::Place};
use restow_testkit::{Origin, Reply, http_client};
use std::{fs, os::unix::fs::symlink};

/// An API that tells its name, and the key that it was shown.
async fn api(name: &'static str) -> Origin {
    Origin::start(move |call| Reply::ok(format!("{name} {}", call.header("x-key")))).await
}

fn config(api: &Origin) -> String {
    let url = api.url("");
    format!(
        "cache = \"memory:\"\n[proxy]\nmax_connections = 100\n[[upstream]]\nurl = \"{url}\"\nheaders = {{ X-Key = {{ file = \"key\" }} }}\n"
    )
}

async fn body(url: &str) -> String {
    let client = http_client().build().unwrap();
    client.get(url).send().await.unwrap().text().await.unwrap()
}

async fn post(url: &str) -> (u16, serde_json::Value) {
    let client = http_client().build().unwrap();
    let answer = client.post(url).send().await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_and_a_file_that_changed_make_it_read_its_settings_anew() {
    let (place, old, new) = (Place::new(), api("old").await, api("new").await);
    place.write("key", "1\n");
    place.write("restow.toml", &config(&old));
    let proxy = Proxy::start(&place, &[]);
    assert_eq!(body(&proxy.url).await, "old 1");
    // A signal needs no change.
    proxy.signal("-HUP");
    proxy.wait_for("read anew");
    assert_eq!(body(&proxy.url).await, "old 1");
    // As editors do: another file is given the name.
    place.write("other", &config(&new));
    fs::rename(place.path("other"), place.path("restow.toml")).unwrap();
    proxy.wait_for_nth("read anew", 2);
    assert_eq!(body(&proxy.url).await, "new 1");
    place.write("key", "22\n");
    proxy.wait_for_nth("read anew", 3);
    assert_eq!(body(&proxy.url).await, "new 22");
    assert_eq!(proxy.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_behind_links_changes_with_any_of_them() {
    let (place, old, new) = (Place::new(), api("old").await, api("new").await);
    place.write("key", "1\n");
    for (version, api) in [("v1", &old), ("v2", &new)] {
        fs::create_dir(place.path(version)).unwrap();
        place.write(&format!("{version}/restow.toml"), &config(api));
    }
    symlink("v1", place.path("data")).unwrap();
    symlink("data/restow.toml", place.path("restow.toml")).unwrap();
    let proxy = Proxy::start(&place, &[]);
    assert_eq!(body(&proxy.url).await, "old 1");
    symlink("v2", place.path("next")).unwrap();
    fs::rename(place.path("next"), place.path("data")).unwrap();
    proxy.wait_for("read anew");
    assert_eq!(body(&proxy.url).await, "new 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_by_name_and_what_cannot_change_is_named() {
    let (place, api) = (Place::new(), api("old").await);
    place.write("key", "1\n");
    let right = config(&api);
    place.write("restow.toml", &right);
    let proxy = Proxy::start(&place, &["--admin", "127.0.0.1:0"]);
    let admin = proxy.admin.as_deref().unwrap();
    let reload = format!("{admin}/reload");
    place.write("restow.toml", &format!("{right}timeout = \"1 second\"\n"));
    let refused = proxy.wait_for("refused");
    assert!(
        refused.contains("restow.toml:7") && refused.contains("\"timeout\""),
        "{refused}"
    );
    let (status, told) = post(&reload).await;
    assert_eq!(status, 500);
    assert!(
        told["error"].as_str().unwrap().contains("\"timeout\""),
        "{told}"
    );
    // What the file names is looked at too, and two endpoints may not have one route.
    place.write("restow.toml", &right.replace("\"key\"", "\"no-key\""));
    let (status, told) = post(&reload).await;
    assert_eq!(status, 500);
    assert!(told["error"].as_str().unwrap().contains("no-key"), "{told}");
    let route = api.url("/{id}");
    let endpoint = |name: &str| format!("[[endpoint]]\nname = \"{name}\"\nroute = \"{route}\"\n");
    place.write(
        "restow.toml",
        &[right.clone(), endpoint("one"), endpoint("two")].concat(),
    );
    let (status, told) = post(&reload).await;
    assert_eq!(status, 500);
    assert!(
        told["error"]
            .as_str()
            .unwrap()
            .contains("neither is more specific"),
        "{told}"
    );
    assert_eq!(body(&proxy.url).await, "old 1");
    let metrics = body(&format!("{admin}/metrics")).await;
    for line in [
        r#"restow_reloads_total{result="success"} 0"#,
        r#"restow_reloads_total{result="failure"} 4"#,
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}: {metrics}");
    }

    let other = right
        .replace("memory:", "sqlite://other.db")
        .replace("100", "200");
    place.write("restow.toml", &[other, endpoint("one")].concat());
    let (status, told) = post(&reload).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(
        told["kept"],
        serde_json::json!(["cache", "memory", "max_connections in [proxy]"])
    );
    proxy.wait_for("cache was changed, and is as it was until the proxy is started again");
    assert!(!place.path("other.db").exists());
    let explained = body(&format!("{admin}/explain?url=/1")).await;
    assert!(!explained.contains("\"everything\""), "{explained}");
    let metrics = body(&format!("{admin}/metrics")).await;
    assert!(
        metrics.contains(r#"restow_entries{repository="one"} 0"#),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mode_of_the_file_counts_when_it_changes() {
    let (place, api) = (Place::new(), api("a").await);
    place.write("key", "1\n");
    let without = config(&api);
    let with = |top: &str| format!("{top}\n{without}");
    place.write("restow.toml", &without);
    let proxy = Proxy::start(&place, &["--admin", "127.0.0.1:0"]);
    let admin = proxy.admin.as_deref().unwrap();
    let mode = async || body(&format!("{admin}/mode")).await;
    let client = http_client().build().unwrap();
    let set = client.put(format!("{admin}/mode")).body("offline");
    set.send().await.unwrap();
    for (top, is) in [
        ("", "offline"),
        ("mode = \"read-only\"", "read-only"),
        ("mode = \"read-only\"", "read-only"),
        ("", "live"),
    ] {
        place.write("restow.toml", &with(top));
        assert_eq!(post(&format!("{admin}/reload")).await.0, 200);
        assert!(
            mode().await.contains(&format!("\"{is}\"")),
            "{is}: {}",
            mode().await
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_without_a_restart() {
    let (place, api) = (Place::new(), api("a").await);
    place.write("key", "1\n");
    let first = certificate(&place);
    let tls = "[proxy]\ntls = { certificate = \"cert.pem\", key = \"key.pem\" }\n";
    place.write("restow.toml", &config(&api).replace("[proxy]\n", tls));
    let proxy = Proxy::start(&place, &[]);
    let url = proxy.url.replace("127.0.0.1", "localhost");
    let get = async |trusted: &reqwest::Certificate| {
        let client = http_client().tls_certs_only([trusted.clone()]);
        client.build().unwrap().get(&url).send().await
    };
    assert_eq!(get(&first).await.unwrap().status(), 200);
    let second = certificate(&place);
    proxy.wait_for("read anew");
    assert_eq!(get(&second).await.unwrap().status(), 200);
    get(&first).await.unwrap_err();
}

fn certificate(place: &Place) -> reqwest::Certificate {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    place.write("cert.pem", &made.cert.pem());
    place.write("key.pem", &made.signing_key.serialize_pem());
    reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
}
