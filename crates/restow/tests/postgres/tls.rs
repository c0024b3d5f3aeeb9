//! A server that speaks TLS, with certificates made here.

use crate::support::*;
use futures_util::StreamExt as _;
use restow::{ErrorKind, store::Change};
use restow_testkit::Authority;
use restow_testkit::Postgres;

/// The URL by this host name, with these parameters.
fn url(server: &Postgres, host: &str, more: &str) -> String {
    let url = server.fresh().replace("127.0.0.1", host);
    format!("{url}&{more}")
}

#[tokio::test]
async fn a_certificate_that_is_vouched_for_is_taken_and_everything_is_encrypted() {
    let ours = Authority::make();
    let (certificate, key) = ours.vouch(&["localhost"]);
    let server = Postgres::with_tls(&certificate, &key);
    let root = ours.file().display().to_string();
    for mode in ["require", "verify-full", "prefer"] {
        let more = format!("sslmode={mode}&sslrootcert={root}");
        let store = open(&url(&server, "localhost", &more)).await.unwrap();
        let table = store.open(&tracks()).await.unwrap();
        save(&*table, "a", "over TLS").await.unwrap();
        assert_eq!(
            body(&*table, "a").await.unwrap().as_deref(),
            Some("over TLS")
        );
        let mut changes = store.changes().unwrap();
        assert!(matches!(changes.next().await, Some(Change::Everything)));
        let plain = "SELECT count(*) FILTER (WHERE NOT ssl), count(*) > 2 FROM pg_stat_ssl \
                     JOIN pg_stat_activity USING (pid) WHERE application_name = 'restow'";
        assert_eq!(server.sql(plain), "0|t", "{mode}");
        drop(changes);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn whoever_nobody_vouches_for_is_refused_with_the_way_out() {
    let (ours, other) = (Authority::make(), Authority::make());
    let (certificate, key) = ours.vouch(&["localhost"]);
    let server = Postgres::with_tls(&certificate, &key);
    let (ours, other) = (ours.file(), other.file());
    let (ours, other) = (ours.display(), other.display());
    for (host, more, kind, says) in [
        (
            "localhost",
            format!("sslmode=require&sslrootcert={other}"),
            ErrorKind::Config,
            "(PEM) with sslrootcert=",
        ),
        // It never falls back to what is not encrypted.
        (
            "localhost",
            format!("sslmode=prefer&sslrootcert={other}"),
            ErrorKind::Config,
            "(PEM) with sslrootcert=",
        ),
        (
            "127.0.0.1",
            format!("sslmode=require&sslrootcert={ours}"),
            ErrorKind::Config,
            "another host name",
        ),
        (
            "localhost",
            "sslmode=require&sslrootcert=/no/such.pem".to_owned(),
            ErrorKind::Config,
            "/no/such.pem",
        ),
        (
            "localhost",
            "sslmode=require".to_owned(),
            ErrorKind::Config,
            "(PEM) with sslrootcert=",
        ),
    ] {
        let error = open(&url(&server, host, &more)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{more}: {error:?}");
        assert!(error.to_string().contains(says), "{more}: {error:?}");
    }
    assert_eq!(
        server.sql(
            "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 's%' AND nspname NOT LIKE 'pg%'"
        ),
        "0",
        "nothing was made"
    );
}

#[tokio::test]
async fn a_certificate_that_has_expired_passes_once_it_is_renewed_and_no_tls_is_said() {
    let ours = Authority::make();
    let (certificate, key) = ours.vouch_until(&["localhost"], 2020);
    let server = Postgres::with_tls(&certificate, &key);
    let more = format!("sslmode=require&sslrootcert={}", ours.file().display());
    let error = open(&url(&server, "localhost", &more)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "{error:?}");
    assert!(error.to_string().contains("expired"), "{error}");
    let plain = Postgres::shared();
    let error = open(&url(plain, "localhost", &more)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("sslmode=disable"), "{error}");
    let more = more.replace("require", "prefer");
    open(&url(plain, "localhost", &more)).await.unwrap();
}
