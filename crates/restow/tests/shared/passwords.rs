//! Where the password of a server is found, in a process that has it in its environment or in a file.

use restow::{Cache, Config, ErrorKind, RouteEndpoint, Text, exchange::Saved};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

const PASSWORD: &str = "a pass/word: @100%";
/// The URL or the configuration that a child opens.
const PLACE: &str = "RESTOW_TEST_PLACE";
const VARIABLE: &str = "RESTOW_TEST_PASSWORD";
const CACHE: &str = "RESTOW_TEST_CACHE";

/// Does the part of a child, in a process that was started as one.
async fn is_child() -> bool {
    let Ok(place) = std::env::var(PLACE) else {
        return false;
    };
    let cache = match place.ends_with(".toml") {
        true => Config::load(&place).unwrap().open().await.unwrap(),
        false => restow::connect(&place).await.unwrap(),
    };
    works(&cache).await;
    true
}

async fn works(cache: &Cache) {
    let pages = RouteEndpoint::<String, Text>::get("pages", "https://example.com/{id}").unwrap();
    let pages = cache.create_repository(pages).await.unwrap();
    let saved = pages.save("a", &"body".to_owned()).await.unwrap();
    assert_eq!(saved, Saved::Stored);
    assert_eq!(pages.get("a").await.unwrap().as_deref(), Some("body"));
    assert!(cache.health().unwrap().opened);
    cache.close().await.unwrap();
}

/// A server that wants [`PASSWORD`], and files beside it.
struct Locked {
    test: &'static str,
    /// Its URL, which ends so that a parameter can follow.
    url: String,
    folder: tempfile::TempDir,
}

impl Locked {
    fn new(test: &'static str, url: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let locked = Self { test, url, folder };
        locked.file("password", &format!("{PASSWORD}\n"));
        locked
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn by_variable(&self) -> String {
        format!("{}password_env={VARIABLE}", self.url)
    }

    fn by_file(&self) -> String {
        let file = self.folder.path().join("password");
        format!("{}password_file={}", self.url, file.display())
    }

    /// A configuration whose cache is said so.
    fn config(&self, cache: &str) -> String {
        let path = self.file("restow.toml", &format!("cache = {{ {cache} }}\n"));
        path.display().to_string()
    }

    /// Starts the test again as a child with these variables; it opens the place, and saves and reads.
    fn opens(&self, place: &str, variables: &[(&str, &str)]) {
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", self.test, "--nocapture", "--test-threads=1"])
            .env(PLACE, place)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = [out.stdout, out.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(out.status.success(), "{place}: {said}");
        assert!(said.contains("1 passed"), "{place}: {said}");
        assert!(!said.contains(PASSWORD), "{said}");
    }

    async fn is_open_to_who_has_the_password(&self) {
        let nobody = restow::connect(&self.url).await.map(drop).unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::Config, "{nobody:?}");
        self.opens(&self.by_variable(), &[(VARIABLE, PASSWORD)]);
        self.opens(&self.by_file(), &[]);
        let by_variable = self.by_variable();
        let place = self.config(&format!("env = '{CACHE}'"));
        self.opens(&place, &[(CACHE, &by_variable), (VARIABLE, PASSWORD)]);
        let file = self.file("url", &format!("{}\n", self.by_file()));
        self.opens(&self.config(&format!("file = '{}'", file.display())), &[]);
    }
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_of_redis_is_found_where_the_url_says() {
    if is_child().await {
        return;
    }
    let server = restow_testkit::redis::Redis::with(&["--requirepass", PASSWORD]);
    let url = format!("redis://127.0.0.1:{}/?timeout=5s&", server.port());
    let test = "passwords::a_password_of_redis_is_found_where_the_url_says";
    let locked = Locked::new(test, url);
    locked.is_open_to_who_has_the_password().await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_of_postgres_is_found_where_the_url_says() {
    if is_child().await {
        return;
    }
    let server = restow_testkit::Postgres::with_user("locked", PASSWORD);
    let url = server.fresh().replace("restow@", "locked@");
    let test = "passwords::a_password_of_postgres_is_found_where_the_url_says";
    let locked = Locked::new(test, format!("{url}&timeout=5s&"));
    locked.is_open_to_who_has_the_password().await;
    locked.opens(&locked.url, &[("PGPASSWORD", PASSWORD)]);
    // What the URL names goes before it.
    let other = [("PGPASSWORD", "another"), (VARIABLE, PASSWORD)];
    locked.opens(&locked.by_variable(), &other);
}
