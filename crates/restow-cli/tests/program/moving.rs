//! `restow copy`, `export`, `import` and `schema`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what tests share is no test to clippy"
)]

use crate::support::{Done, Place, api, config};
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// A place with three items, two of them public and one of ada's, and one answer of a credential's.
pub(crate) async fn stored() -> Place {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    for id in 1..3 {
        place.ok(&["fetch", "-q", &api.url(&format!("/items/{id}"))]);
    }
    place.ok(&["fetch", "-q", "--principal", "ada", &api.url("/items/3")]);
    let place = place.with("TOKEN", "canary");
    place.ok(&["fetch", "-q", "--bearer-env", "TOKEN", &api.url("/me")]);
    place
}

/// What a cache lists, without what differs between two runs.
pub(crate) fn listed(place: &Place, cache: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for repository in ["items", "me"] {
        all.extend(place.json(&["ls", repository, "--cache", cache]));
    }
    all.sort_by_key(Value::to_string);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_the_same_cache() {
    let place = stored().await;
    let out = place.ok(&["copy", "items.db", "copy.db"]);
    assert!(out.contains("verified 4 in "), "{out}");
    assert_eq!(listed(&place, "copy.db"), listed(&place, "items.db"));
    // The credential finds its answer there: the secret went with it.
    let url = place.json(&["ls", "me"])[0]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let offline = [
        "fetch",
        "--cache",
        "copy.db",
        "--mode",
        "offline",
        "--bearer-env",
        "TOKEN",
        &url,
    ];
    assert_eq!(place.json(&offline)[0]["outcome"], "hit");
    let again = place.json(&["copy", "items.db", "copy.db"]);
    let numbers: Vec<_> = again
        .iter()
        .map(|c| {
            (
                &c["repository"],
                &c["present"],
                &c["written"],
                &c["compared"],
            )
        })
        .collect();
    assert_eq!(
        numbers,
        [
            (&"items".into(), &3.into(), &0.into(), &3.into()),
            (&"me".into(), &1.into(), &0.into(), &1.into())
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_in_use_refuses_what_nobody_would_find_in_it() {
    let place = stored().await;
    place.ok(&["copy", "items.db", "other.db", "--repository", "items"]);
    // Another cache, with a secret of its own.
    let export = place.ok(&["export", "items", "-q", "--cache", "items.db"]);
    assert_eq!(
        place
            .run_with_input(&["import", "-", "--cache", "used.db"], &export)
            .code,
        0
    );
    let done = place.fails(&["copy", "items.db", "used.db"], 2, "--without-digests");
    assert!(!done.err.contains("canary"), "{}", done.err);
    let done = &place.json(&["copy", "items.db", "used.db", "--without-digests"]);
    assert_eq!(
        (&done[1]["left_out"], &done[1]["missing"]),
        (&1.into(), &0.into()),
        "{done:?}"
    );
    // The one that took over the secret before takes the rest too.
    assert_eq!(
        place.json(&["copy", "items.db", "other.db"])[1]["written"],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_copies_nothing_and_makes_no_file() {
    let place = stored().await;
    let done = &place.json(&["copy", "items.db", "none.db", "--dry-run"])[0];
    assert_eq!(
        (&done["written"], &done["dry_run"]),
        (&3.into(), &true.into())
    );
    assert!(!place.path("none.db").exists());
    place.fails(&["copy", "nowhere.db", "none.db"], 4, "nowhere.db");
    place.fails(
        &["copy", "items.db", "sqlite://items.db"],
        2,
        "source and target at once",
    );
    place.fails(&["copy", "items.db", "gopher://x"], 2, "gopher");
    place.fails(
        &["copy", "items.db", "x.db", "--repository", "item"],
        4,
        "did you mean",
    );
    let done = &place.json(&[
        "copy",
        "items.db",
        "lamps.db",
        "--where",
        "kind=lamp",
        "--principal",
        "ada",
    ]);
    assert_eq!((done.len(), &done[0]["seen"]), (1, &1.into()), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_read_in_again() {
    let place = stored().await;
    let out = place.ok(&["export", "-o", "all.ndjson", "--with-secret"]);
    assert!(out.starts_with("exported 4 entries to all.ndjson"), "{out}");
    let text = std::fs::read_to_string(place.path("all.ndjson")).unwrap();
    assert!(!text.contains("canary"));
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((lines.len(), &lines[5]["end"]["entries"]), (6, &4.into()));
    let item = lines.iter().find(|line| line["key"]["id"] == "1").unwrap();
    assert_eq!(
        (
            &item["body"]["json"]["kind"],
            &item["columns"]["kind"],
            &item["status"]
        ),
        (&"lamp".into(), &"lamp".into(), &200.into())
    );
    let done = &place.json(&["import", "all.ndjson", "--cache", "new.db"])[0];
    assert_eq!(
        (&done["repositories"][0]["written"], &done["lines"]),
        (&3.into(), &6.into()),
        "{done}"
    );
    assert_eq!(listed(&place, "new.db"), listed(&place, "items.db"));
    let again = &place.json(&["import", "all.ndjson", "--cache", "new.db"])[0];
    assert_eq!(again["repositories"][0]["present"], 3);
    // Without the secret, what hangs on it has to be left out.
    place.ok(&["export", "-o", "plain.ndjson"]);
    let refused = place.fails(
        &["import", "plain.ndjson", "--cache", "other.db"],
        2,
        "--without-digests",
    );
    assert!(refused.err.contains("plain.ndjson"), "{}", refused.err);
    let done = &place.json(&[
        "import",
        "plain.ndjson",
        "--cache",
        "other.db",
        "--without-digests",
    ])[0];
    assert_eq!(done["repositories"][1]["left_out"], 1);
    let done = &place.json(&[
        "import",
        "plain.ndjson",
        "--cache",
        "none.db",
        "--without-digests",
        "--dry-run",
    ])[0];
    assert_eq!(done["repositories"][0]["written"], 3);
    assert!(!place.path("none.db").exists());
    let selected = place.ok(&["export", "items", "-q", "--where", "id=2"]);
    assert_eq!(selected.lines().count(), 3, "{selected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_principal_is_named_the_rest_is_left_and_that_is_said() {
    let place = stored().await;
    let done = place.run(&["export", "--principal", "ada"]);
    assert_eq!((done.code, done.out.lines().count()), (0, 3), "{done:?}");
    assert!(
        done.err.contains("what belongs to others is left"),
        "{done:?}"
    );
    let place = place.with("RESTOW_PRINCIPAL", "ada");
    let done = place.run(&["copy", "items.db", "adas.db"]);
    assert!(done.out.contains("verified 1 in "), "{done:?}");
    assert!(
        done.err.contains("what belongs to others is left"),
        "{done:?}"
    );
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_exported_file_is_for_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = stored().await;
    place.ok(&["export", "-o", "all.ndjson"]);
    let mode = std::fs::metadata(place.path("all.ndjson"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!place.path("all.ndjson.part").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_named_and_can_be_left_out() {
    let place = stored().await;
    place.ok(&["export", "items", "-o", "all.ndjson"]);
    let text = std::fs::read_to_string(place.path("all.ndjson")).unwrap();
    place.write(
        "bad.ndjson",
        &text.replacen("\"status\":200", "\"status\":201", 1),
    );
    let failed = place.fails(
        &["import", "bad.ndjson", "--cache", "a.db"],
        3,
        "bad.ndjson: line 2: ",
    );
    assert!(failed.err.contains("checksum"), "{}", failed.err);
    let done = place.fails(
        &[
            "import",
            "bad.ndjson",
            "--cache",
            "b.db",
            "--skip-bad",
            "--json",
        ],
        1,
        "2 lines of bad.ndjson",
    );
    let done: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(
        (
            &done["skipped"],
            &done["bad"][0]["line"],
            &done["repositories"][0]["written"]
        ),
        (&2.into(), &2.into(), &2.into())
    );
    place.fails(&["import", "none.ndjson"], 4, "none.ndjson");
    place.write("other.json", "{\"a\":1}\n");
    place.fails(
        &["import", "other.json", "--cache", "c.db"],
        3,
        "other.json: line 1: ",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_for_people_has_no_bodies_unless_they_are_wanted() {
    let place = stored().await;
    let table = place.ok(&["export", "--format", "csv", "-q"]);
    let mut lines = table.lines();
    assert_eq!(
        lines.next().unwrap(),
        "repository,id,lang,query,partition,variant,status,label,url,stored_at,checked_at,changed_at,expires_at,size,tags,kind"
    );
    let first = lines.find(|line| line.starts_with("items,1,")).unwrap();
    assert!(
        first.contains(",public,,200,Item 1,http://") && first.ends_with(",lamp"),
        "{first}"
    );
    assert_eq!(table.lines().count(), 5);
    assert!(!table.contains("{\"\"id"), "{table}");
    let bodies = place.ok(&[
        "export", "items", "--format", "csv", "--bodies", "-q", "--where", "id=1",
    ]);
    assert!(bodies.contains("\"{\"\"id\"\":\"\"1\"\""), "{bodies}");
    place.fails(&["export", "--format", "csv", "--with-secret"], 2, "ndjson");
    place.fails(&["export", "--bodies"], 2, "csv");
    place.fails(
        &["export", "-o", "no/such/folder/x"],
        3,
        "cannot be written",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statements_are_those_of_the_file() {
    let place = stored().await;
    let printed = place.ok(&["schema", "--print"]);
    assert!(
        printed.contains("CREATE TABLE \"items\" (")
            && printed.contains("CREATE VIEW \"restow_me\""),
        "{printed}"
    );
    // A file that is made by them is one that the program takes for its own.
    let made = rusqlite::Connection::open(place.path("made.db")).unwrap();
    made.execute_batch(&printed).unwrap();
    let statements = |conn: &rusqlite::Connection| -> Vec<String> {
        let mut found = conn
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            .unwrap();
        let found = found.query_map([], |row| row.get(0)).unwrap();
        found.map(Result::unwrap).collect()
    };
    let file = rusqlite::Connection::open(place.path("items.db")).unwrap();
    assert_eq!(statements(&made), statements(&file));
    drop((made, file));
    place.ok(&["ls", "--cache", "made.db"]);
    std::fs::remove_file(place.path("restow.toml")).unwrap();
    assert_eq!(
        place.ok(&["schema", "--print", "--cache", "items.db"]),
        printed
    );
    place.fails(&["schema"], 2, "--print");
    place.write("restow.toml", "cache = \"memory:\"\n");
    place.fails(&["schema", "--print"], 2, "memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_killed_goes_on_and_ends_the_same() {
    let place = Place::new();
    let body = "x".repeat(2_000);
    fill(&place, 6_000, &body).await;
    let expected = digest(&place, "from.db").await;
    let mut kills = 0;
    for _ in 0..5 {
        let mut copy = place.command(env!("CARGO_BIN_EXE_restow"));
        copy.args(["copy", "-q", "from.db", "to.db"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut copy = copy.spawn().unwrap();
        let before = rows(&place.path("to.db"));
        // Until some more rows are there, or it came to its end.
        let ended = loop {
            if let Some(status) = copy.try_wait().unwrap() {
                break Some(status);
            }
            if rows(&place.path("to.db")) > before {
                break None;
            }
        };
        if let Some(status) = ended {
            assert!(status.success());
            break;
        }
        copy.kill().unwrap();
        copy.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 1, "it was too fast to be killed");
    let done = &place.json(&["copy", "from.db", "to.db"])[0];
    assert_eq!(
        (&done["seen"], &done["missing"], &done["differing"]),
        (&6_000.into(), &0.into(), &0.into()),
        "{done}"
    );
    assert_eq!(digest(&place, "to.db").await, expected);
}

/// How many rows a file holds; none while it is not there.
fn rows(path: &Path) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let open = || rusqlite::Connection::open_with_flags(path, flags);
    let count = |conn: rusqlite::Connection| {
        conn.query_row("SELECT count(*) FROM pages", [], |row| row.get::<_, i64>(0))
    };
    open().and_then(count).unwrap_or(0)
}

/// Makes `from.db` with so many pages.
pub(crate) async fn fill(place: &Place, count: usize, body: &str) {
    let path = place.path("from.db").display().to_string();
    let cache = restow::connect(&path).await.unwrap();
    let pages = restow::DeclaredEndpoint::get("pages", "https://example.com/pages/{id}").unwrap();
    let pages = cache.create_repository(pages).await.unwrap();
    let pairs: Vec<_> = (0..count)
        .map(|n| {
            let id = n.to_string();
            let key = restow::RawKey::new([restow::FieldRef::Text(&id)], "").unwrap();
            (key, format!("{body}{n}").into())
        })
        .collect();
    for pairs in pairs.chunks(1_000) {
        pages.save_many(pairs).await.unwrap();
    }
    cache.close().await.unwrap();
}

/// A digest of all that a file holds, generations apart.
async fn digest(place: &Place, file: &str) -> u64 {
    digest_at(&place.path(file).display().to_string()).await
}

/// A digest of all that a store holds, generations apart.
pub(crate) async fn digest_at(url: &str) -> u64 {
    use futures_util::TryStreamExt as _;
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let cache = restow::connect(url).await.unwrap();
    let repositories = cache.open_stored().await.unwrap();
    let entries = repositories[0].everyone().select().whole_entries();
    let sums = entries.try_fold(0_u64, |sum, entry| async move {
        let mut hash = DefaultHasher::new();
        let meta = &entry.meta;
        (
            &entry.id,
            &entry.body,
            meta.stored_at,
            meta.checked_at,
            meta.changed_at,
            meta.expires_at,
        )
            .hash(&mut hash);
        (meta.head.lines(), meta.head.url(), &meta.label, meta.seal).hash(&mut hash);
        Ok(sum.wrapping_add(hash.finish()))
    });
    let sums = sums.await.unwrap();
    cache.close().await.unwrap();
    sums
}

/// Runs a script of a foreign program, which must succeed.
pub(crate) fn script(place: &Place, name: &str, zone: &str, arguments: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/program/foreign")
        .join(name);
    let mut command: Command = place.command(restow_testkit::python());
    command.env("TZ", zone).arg(path).args(arguments);
    let done = Done::of(&mut command);
    assert_eq!(done.code, 0, "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_aiorequestful_is_taken_over() {
    let (place, api) = (Place::new(), api().await);
    let root = api.url("");
    let pages = format!(
        "[[endpoint]]\nname = \"pages\"\nroute = \"GET {root}/pages/{{page}}{{?offset:int}}\"\ncodec = \"text\"\n"
    );
    place.write("restow.toml", &(config(&api) + &pages));
    script(
        &place,
        "aiorequestful_file.py",
        "Asia/Kathmandu",
        &["music.sqlite"],
    );
    let before = std::fs::read(place.path("music.sqlite")).unwrap();
    let run = [
        "import",
        "aiorequestful",
        "music.sqlite",
        "--timezone",
        "Asia/Kathmandu",
    ];
    let import = |more: &[&str]| place.json(&[&run[..], more].concat())[0].clone();
    let map = ["--map", "pages:id=page"];
    let dry = import(&[&map[..], &["--dry-run"]].concat());
    assert_eq!(dry["repositories"][0]["written"], 3, "{dry}");
    assert!(!place.path("items.db").exists());
    place.fails(&run, 2, "--map pages:COLUMN=page");
    let now = jiff::Timestamp::now();
    let done = import(&map);
    let items = &done["repositories"][0];
    assert_eq!(
        (&items["rows"], &items["written"]),
        (&5.into(), &3.into()),
        "{done}"
    );
    assert_eq!(
        items["left"],
        serde_json::json!({ "another method": 1, "no payload": 1 })
    );
    assert_eq!(done["repositories"][1]["written"], 1);
    assert_eq!(import(&map)["repositories"][0]["present"], 3);
    assert_eq!(std::fs::read(place.path("music.sqlite")).unwrap(), before);
    let item = &place.json(&["ls", "items", "--where", "kind=lamp", "--where", "id=2"])[0];
    assert_eq!(
        (&item["partition"], &item["label"]),
        (&"public".into(), &"Lamp 2".into())
    );
    // The zone is 5 hours and 45 minutes ahead: a time that is taken for another zone's is far off.
    let stored: jiff::Timestamp = item["stored_at"].as_str().unwrap().parse().unwrap();
    assert!(
        now.duration_since(stored).abs() < jiff::SignedDuration::from_mins(10),
        "{item}"
    );
    let expires: jiff::Timestamp = item["expires_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(expires.duration_since(stored).as_hours(), 7 * 24);
    // A request finds it, with the content type of the codec.
    let url = api.url("/items/2");
    assert_eq!(
        place.json(&["fetch", "--mode", "offline", &url])[0]["outcome"],
        "hit"
    );
    assert!(place.ok(&["show", &url]).contains("application/json"));
    assert_eq!(
        place.ok(&["get", "pages", "a", "20"]).trim(),
        "the second page"
    );
    let mine = import(&[&map[..], &["--principal", "me", "--repository", "items"]].concat());
    assert_eq!(mine["repositories"][0]["written"], 3);
    assert_eq!(place.json(&["ls", "items", "--principal", "me"]).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_to_no_principal_that_was_not_named_for_them() {
    let (place, api) = (Place::new(), api().await);
    place.write(
        "restow.toml",
        &format!("principal = \"me\"\n{}", config(&api)),
    );
    script(&place, "aiorequestful_file.py", "UTC", &["music.sqlite"]);
    let run = [
        "import",
        "aiorequestful",
        "music.sqlite",
        "--timezone",
        "UTC",
        "--repository",
        "items",
    ];
    let done = place.run(&run);
    assert!(
        done.code == 0 && done.err.contains("--principal NAME"),
        "{done:?}"
    );
    assert_eq!(place.json(&["ls", "items", "--count"])[0]["count"], 0);
    let rows = place.json(&["sql", "SELECT DISTINCT partition FROM items"]);
    assert_eq!(rows[0]["partition"], "");
    place.fails(
        &[
            "import",
            "aiorequestful",
            "music.sqlite",
            "--timezone",
            "Mars/Olympus",
        ],
        2,
        "IANA",
    );
    place.fails(
        &["import", "aiorequestful", "items.db", "--timezone", "UTC"],
        3,
        "restow copy",
    );
    place.fails(
        &[
            "import",
            "aiorequestful",
            "none.sqlite",
            "--timezone",
            "UTC",
        ],
        3,
        "none.sqlite",
    );
    place.fails(
        &[
            "import",
            "aiorequestful",
            "music.sqlite",
            "--timezone",
            "UTC",
            "--map",
            "items",
        ],
        2,
        "REPOSITORY:COLUMN=FIELD",
    );
    // Options of every command stand where one likes, others behind what they are of.
    place.ok(&[
        &["--cache", "b.db"][..],
        &run[..1],
        &["--cache", "b.db"],
        &run[1..],
    ]
    .concat());
    place.fails(
        &[
            "import",
            "--dry-run",
            "aiorequestful",
            "music.sqlite",
            "--timezone",
            "UTC",
        ],
        2,
        "behind the name",
    );
    // Of `pages` nothing is declared.
    place.fails(
        &[
            "import",
            "aiorequestful",
            "music.sqlite",
            "--timezone",
            "UTC",
        ],
        4,
        "--repository",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_requests_cache_is_taken_over() {
    for serializer in ["pickle", "json"] {
        let (place, api) = (Place::new(), api().await);
        place.write("restow.toml", &config(&api));
        script(
            &place,
            "requests_cache_file.py",
            "UTC",
            &["http.sqlite", serializer, &api.url("")],
        );
        let before = std::fs::read(place.path("http.sqlite")).unwrap();
        let asked = api.asked();
        let run = ["import", "requests-cache", "http.sqlite"];
        let dry = &place.json(&[&run[..], &["--dry-run"]].concat())[0];
        assert_eq!(dry["repositories"][0]["written"], 3, "{dry}");
        assert!(!place.path("items.db").exists());
        let done = &place.json(&run)[0];
        assert_eq!(
            done["repositories"][0]["written"], 3,
            "{serializer}: {done}"
        );
        let left = done["repositories"][1]["left"].as_object().unwrap();
        let why: Vec<&String> = left.keys().collect();
        assert!(
            why.len() == 1 && why[0].contains("blanked out"),
            "{serializer}: {done}"
        );
        assert_eq!(done["left"], serde_json::json!({ "no endpoint": 1 }));
        assert_eq!(place.json(&run)[0]["repositories"][0]["present"], 3);
        assert_eq!(std::fs::read(place.path("http.sqlite")).unwrap(), before);
        // Requests find them, whose they are.
        let url = api.url("/items/2");
        assert_eq!(place.json(&["fetch", &url])[0]["outcome"], "hit");
        assert!(place.ok(&["get", &url]).contains("\"lamp\""));
        let theirs = api.url("/items/3");
        assert_eq!(
            place.json(&["fetch", "-H", "private-token: canary", &theirs])[0]["outcome"],
            "hit"
        );
        assert_eq!(api.asked(), asked);
        let theirs = &place.json(&["ls", "items", "--where", "id=3"])[0];
        assert!(
            theirs["partition"].as_str().unwrap().starts_with("c:"),
            "{theirs}"
        );
        let file = place.ok(&["export", "-q"]);
        assert!(!file.contains("canary"), "{file}");
        let expires = place.json(&["ls", "items"])[0]["expires_at"]
            .as_str()
            .unwrap()
            .to_owned();
        let left = expires
            .parse::<jiff::Timestamp>()
            .unwrap()
            .duration_since(jiff::Timestamp::now());
        assert!((50..=60).contains(&left.as_mins()), "{expires}");
        let named = &place.json(&[&run[..], &["--principal", "ada"]].concat())[0];
        assert_eq!(named["repositories"][1]["written"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pickle_that_would_run_something_is_left() {
    let (place, api) = (Place::new(), api().await);
    place.write("restow.toml", &config(&api));
    let file = rusqlite::Connection::open(place.path("http.sqlite")).unwrap();
    file.execute_batch(
        "CREATE TABLE responses (key TEXT PRIMARY KEY, value BLOB, expires INTEGER)",
    )
    .unwrap();
    let run = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0btouch ran.txt\x85R.";
    file.execute(
        "INSERT INTO responses VALUES ('a', ?1, 0), ('b', 'a: 1', 0)",
        [&run[..]],
    )
    .unwrap();
    drop(file);
    let done = &place.json(&["import", "requests-cache", "http.sqlite"])[0];
    let left = done["left"].as_object().unwrap();
    let why: Vec<&String> = left.keys().collect();
    assert!(
        why.iter()
            .any(|why| why.contains("GLOBAL") && why.contains("serializer='json'")),
        "{done}"
    );
    assert!(
        why.iter().any(|why| why.contains("another serializer")),
        "{done}"
    );
    assert!(!place.path("ran.txt").exists());
    place.fails(
        &["import", "requests-cache", "restow.toml"],
        3,
        "restow.toml",
    );
}
