use crate::support::{every_store, pages};
use restow::{Cache, Credentials, ErrorKind, Expiry, Mode, Scope, store};
use std::{process::Command, sync::Arc, time::Duration};

#[tokio::test]
async fn a_cache_needs_one_store_and_not_two() {
    let error = Cache::builder().build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let store = store::connect("memory:").await.unwrap();
    let error = Cache::builder()
        .url("memory:")
        .store(store)
        .build()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_scheme_that_is_not_there_is_named_with_those_that_are() {
    for url in ["mysql://host/db", "mongodb://host", "memcached://host"] {
        let error = restow::connect(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{url}");
        assert!(
            error.message().contains(url.split(':').next().unwrap())
                && error.message().contains("memory:"),
            "{error}"
        );
    }
    let error = restow::connect("memory:?max_byte=1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_bare_path_is_a_sqlite_file_and_its_folder_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/music.db");
    let cache = restow::connect(path.to_str().unwrap()).await.unwrap();
    assert_eq!(cache.kind(), "sqlite");
    cache.create_repository(pages()).await.unwrap();
    cache.close().await.unwrap();
    assert!(path.exists());
}

#[tokio::test]
async fn two_memories_share_nothing() {
    for (one, other) in every_store().await.into_iter().zip(every_store().await) {
        one.cache
            .create_repository(pages())
            .await
            .unwrap()
            .save("home", &"x".to_owned())
            .await
            .unwrap();
        assert_eq!(
            other
                .cache
                .create_repository(pages())
                .await
                .unwrap()
                .count(Scope::All)
                .await
                .unwrap(),
            0,
            "{}",
            one.url
        );
    }
}

#[tokio::test]
async fn a_cache_says_what_it_was_built_with() {
    let store = store::connect("memory:").await.unwrap();
    let day = Duration::from_secs(86_400);
    let builder = Cache::builder()
        .store(store.clone())
        .name("music")
        .expire_after(day)
        .credentials(Credentials::none());
    let cache = builder.mode(Mode::Revalidate).build().await.unwrap();
    assert_eq!(
        (cache.name(), cache.kind(), cache.mode()),
        ("music", "memory", Mode::Revalidate)
    );
    assert_eq!(cache.expire_after(), Expiry::from(day));
    assert!(Arc::ptr_eq(cache.store(), &store));
    assert_eq!(restow::connect("memory:").await.unwrap().name(), "memory:");
}

#[tokio::test]
async fn a_principal_that_cannot_be_one_is_refused() {
    let error = Cache::builder()
        .url("memory:")
        .principal("")
        .build()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Name);
}

/// Run by the tests below in a process of its own, for the environment is the whole process's.
#[tokio::test]
#[ignore = "is run in a process of its own"]
async fn shows_the_mode() {
    match restow::connect("memory:").await {
        Ok(cache) => println!("mode={}", cache.mode()),
        Err(error) => println!("{:?}: {error}", error.kind()),
    }
}

fn shown_with(mode: &str) -> String {
    let mut test = Command::new(std::env::current_exe().unwrap());
    let shown = test
        .args([
            "--exact",
            "build::shows_the_mode",
            "--ignored",
            "--nocapture",
        ])
        .env("RESTOW_MODE", mode)
        .output()
        .unwrap();
    String::from_utf8(shown.stdout).unwrap()
}

#[test]
fn the_environment_sets_the_mode_of_a_cache_that_does_not() {
    for (mode, shown) in [
        ("offline", "mode=offline"),
        ("read-only", "mode=read-only"),
        ("", "mode=live"),
    ] {
        let output = shown_with(mode);
        assert!(output.contains(shown), "{mode:?}: {output}");
    }
}

#[test]
fn a_mode_in_the_environment_that_is_none_is_an_error_that_names_the_variable() {
    let output = shown_with("ofline");
    assert!(
        output.contains("Config")
            && output.contains("RESTOW_MODE")
            && output.contains("\"ofline\""),
        "{output}"
    );
}
