//! `sql` and `train`: questions to the file, and what makes it smaller.

use crate::support::{Place, api, config};
use serde_json::json;
use std::process::Stdio;

/// A cache of sixty items that are compressed, half of them with a dictionary.
async fn compressed() -> (Place, restow_testkit::Origin) {
    let (place, api) = (Place::new(), api().await);
    let config = config(&api).replace("codec =", "compression = \"zstd\"\ncodec =");
    place.write("restow.toml", &config);
    place.ok(&["fetch", "-q", &api.url("/items/{1..40}")]);
    place.ok(&["train"]);
    place.ok(&["fetch", "-q", &api.url("/items/{41..60}")]);
    (place, api)
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_queried_whatever_they_are_stored_as() {
    let (place, _api) = compressed().await;
    for table in ["items", "restow_items"] {
        let sql = format!(
            "SELECT id, json_extract(body, '$.name') AS name FROM {table} WHERE id IN ('7', '50') ORDER BY id"
        );
        let table = place.ok(&["sql", &sql]);
        assert_eq!(table, "id  name\n50  Item 50\n7   Item 7\n");
        let rows = place.json(&["sql", &sql]);
        let expected = [("50", "Item 50"), ("7", "Item 7")];
        assert_eq!(
            rows,
            expected.map(|(id, name)| json!({ "id": id, "name": name }))
        );
        let rows = place.ok(&["sql", "--csv", &sql]);
        assert_eq!(rows, "id,name\n50,Item 50\n7,Item 7\n");
    }
    let codings = "SELECT coding, count(*) AS entries FROM main.items GROUP BY coding ORDER BY 1";
    let rows = place.json(&["sql", codings]);
    assert_eq!(rows.last(), Some(&json!({ "coding": 1, "entries": 20 })));
    assert_eq!(place.json(&["doctor"])[0]["ok"], true);
    let body = place.ok(&["get", "items", "50"]);
    assert_eq!(
        body,
        "{\"id\":\"50\",\"kind\":\"lamp\",\"name\":\"Item 50\"}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_shown_so_that_each_is_one_cell() {
    let place = Place::new();
    let api = api().await;
    place.write("restow.toml", &config(&api));
    place.ok(&["fetch", "-q", &api.url("/items/1")]);
    let sql = "SELECT 1 AS a, -2.5 AS b, NULL AS c, x'00ff' AS d, 'x' || char(10, 27) || 'y' AS e, 'comma, \"quote\"' AS a";
    let table = place.ok(&["sql", sql]);
    let expected = [
        "a  b     c  d            e           a",
        "1  -2.5  -  x'00ff' 2 B  x\\n\\u{1b}y  comma, \"quote\"",
    ];
    assert_eq!(table.lines().collect::<Vec<_>>(), expected);
    let row = &place.json(&["sql", sql])[0];
    let expected = json!({ "a": 1, "b": -2.5, "c": null, "d": "00ff", "e": "x\n\u{1b}y", "a_2": "comma, \"quote\"" });
    assert_eq!(*row, expected);
    let rows = place.ok(&["sql", "--csv", "SELECT 'comma, \"quote\"' AS a, NULL AS b"]);
    assert_eq!(rows, "a,b\n\"comma, \"\"quote\"\"\",\n");
    let wide = "SELECT replace(hex(zeroblob(100)), '00', 'ab') AS x";
    let cut = place.ok(&["sql", "--width", "10", wide]);
    assert_eq!(cut, "x\nababababa…\n");
    assert!(
        place
            .ok(&["sql", "--width", "0", wide])
            .contains(&"ab".repeat(100))
    );
    assert_eq!(place.ok(&["sql", "SELECT 1 AS x WHERE 0"]), "x\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_writes_or_is_wrong_is_exit_2_and_says_why() {
    let (place, _api) = compressed().await;
    let before = place.json(&["stats"]);
    for (sql, says) in [
        ("DELETE FROM main.items", "does not only read"),
        ("DROP TABLE main.items", "does not only read"),
        ("VACUUM INTO 'copy.db'", "does not only read"),
        (
            "SELECT 1; DELETE FROM main.items",
            "more than one statement",
        ),
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM songs", "no such table: songs; there are"),
        ("", "there is no statement"),
    ] {
        place.fails(&["sql", sql], 2, says);
    }
    place.fails(&["sql", "--csv", "--json", "SELECT 1"], 2, "--csv");
    place.fails(&["sql", "--cache", "none.db", "SELECT 1"], 4, "none.db");
    place.fails(&["sql", "--cache", "memory:", "SELECT 1"], 2, "SQLite");
    assert!(!place.path("copy.db").exists());
    assert_eq!(place.json(&["stats"]), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_enough_is_no_error() {
    let (place, _api) = compressed().await;
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c";
    for form in ["--json", "--csv", "--quiet"] {
        let mut command = place.command(env!("CARGO_BIN_EXE_restow"));
        command.args(["sql", form, endless]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Nobody reads; the program has to end by itself.
        drop(child.stdout.take());
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{form}: {done:?}");
        assert!(done.stderr.is_empty(), "{form}: {done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn training_says_what_it_came_to_and_rewriting_leaves_nothing_as_it_was() {
    let (place, api) = compressed().await;
    let codings = "SELECT coding, count(*) AS entries FROM main.items GROUP BY coding ORDER BY 1";
    let done = &place.json(&["train", "items", "--rewrite"])[0];
    assert_eq!(done["repository"], "items");
    assert_eq!(done["compressed"], true);
    assert!(done["samples"].as_u64() > Some(40), "{done}");
    assert!(done["ratio_after"].as_f64() < Some(0.7), "{done}");
    assert_eq!(done["rewritten"]["entries"], 60);
    let rows = place.json(&["sql", codings]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let table = place.ok(&["train", "items"]);
    assert!(table.starts_with("REPOSITORY"), "{table}");
    assert!(table.contains("items"), "{table}");
    place.fails(
        &["train", "nothing"],
        4,
        "there is no repository \"nothing\"",
    );
    place.fails(&["train", "--cache", "memory:"], 2, "SQLite");
    let url = format!("sqlite://{}?mode=ro", place.path("items.db").display());
    place.fails(&["train", "--cache", &url], 2, "reading only");
    // Switched off, everything is as it came again.
    place.write("restow.toml", &config(&api));
    place.fails(&["train", "items"], 2, "compression = \"zstd\"");
    place.fails(&["train"], 2, "compression = \"zstd\"");
    place.ok(&["train", "--rewrite"]);
    let rows = place.json(&["sql", codings]);
    assert_eq!(rows, [json!({ "coding": 0, "entries": 60 })]);
    let body = place.ok(&["get", "items", "7"]);
    assert_eq!(body, "{\"id\":\"7\",\"kind\":\"lamp\",\"name\":\"Item 7\"}");
}
