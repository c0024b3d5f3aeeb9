//! What is in the database, and what happens where it is not as it should be.

use crate::support::*;
use restow::{
    ErrorKind, Field, FieldValue, Millis, Selection,
    store::{Budget, OnSchemaChange, Parts, PostgresOptions, PostgresStore, Store, TableSpec},
};
use restow_testkit::Postgres;

/// A fresh store, and its schema.
async fn fresh() -> (std::sync::Arc<dyn Store>, String, String) {
    let url = Postgres::shared().fresh();
    let schema = url.split_once("schema=").unwrap().1.to_owned();
    (open(&url).await.unwrap(), url, schema)
}

#[tokio::test]
async fn another_format_is_refused_and_nothing_is_changed() {
    let (store, url, schema) = fresh().await;
    store.open(&tracks()).await.unwrap();
    let server = Postgres::shared();
    for format in ["0", "2", "99", "x"] {
        server.sql(&format!(
            "UPDATE {schema}.restow_meta SET value = '{format}' WHERE key = 'format'"
        ));
        let error = open(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{error:?}");
        assert!(error.to_string().contains("restow migrate"), "{error}");
        let stored = server.sql(&format!(
            "SELECT value FROM {schema}.restow_meta WHERE key = 'format'"
        ));
        assert_eq!(stored, format);
    }
}

#[tokio::test]
async fn a_view_shows_live_rows_to_people() {
    let (store, _, schema) = fresh().await;
    let table = store.open(&tracks()).await.unwrap();
    let mut live = entry(at("a"), "{\"a\": 1}");
    live.meta.expires_at = Millis::MAX;
    live.meta.label = Some("Blue in Green".into());
    table
        .write(&[write(live), write(entry(at("gone"), "old"))], T0)
        .await
        .unwrap();
    Postgres::shared().sql(&format!(
        "UPDATE {schema}.tracks SET expires_at = 0 WHERE id = 'gone'"
    ));
    let sql = format!(
        "SELECT id, label, status, stored_at, expires_at, headers, body FROM {schema}.restow_tracks"
    );
    assert_eq!(
        Postgres::shared().sql(&sql),
        "a|Blue in Green|200|2026-05-28T20:26:40.000Z||etag: \"1\"\r\n|{\"a\": 1}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_counts_as_absent_and_is_removed() {
    let (store, _, schema) = fresh().await;
    let table = store.open(&tracks()).await.unwrap();
    let server = Postgres::shared();
    let flip =
        |column: &str| format!("{column} = set_byte({column}, 5, get_byte({column}, 5) # 1)");
    let damages = [
        flip("body"),
        flip("facts"),
        flip("headers"),
        "status = 404".to_owned(),
        "url = 'https://other.example.com/'".to_owned(),
        "facts = ''".to_owned(),
        "partition = 'x'".to_owned(),
        // The row of another key.
        "id = 'b'".to_owned(),
    ];
    for damage in damages {
        save(&*table, "a", "a body of some length").await.unwrap();
        server.sql(&format!("UPDATE {schema}.tracks SET {damage}"));
        let by_scan = damage.starts_with("id") || damage.starts_with("partition");
        if !by_scan {
            let found = table.read(&at("a"), Parts::Whole, T0).await.unwrap();
            assert_eq!(found.len(), 0, "{damage}");
        } else {
            use futures_util::TryStreamExt;
            let all = Selection::default();
            let found: Vec<_> = table
                .scan(&all, Parts::Whole, T0)
                .try_collect()
                .await
                .unwrap();
            assert_eq!(found.len(), 0, "{damage}");
        }
        // It is removed by a task of its own.
        let removed = async {
            while server.sql(&format!("SELECT count(*) FROM {schema}.tracks")) != "0" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), removed)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_table_that_another_program_changed_is_not_taken_for_the_old_one() {
    let (store, url, _) = fresh().await;
    let old = store.open(&tracks()).await.unwrap();
    save(&*old, "a", "body").await.unwrap();
    let other = open(&url).await.unwrap();
    let wider = TableSpec {
        defaults: [("market".into(), FieldValue::from("GB"))].into(),
        on_schema_change: OnSchemaChange::Migrate,
        ..TableSpec::new("tracks", vec![Field::text("id"), Field::text("market")]).unwrap()
    };
    let new = other.open(&wider).await.unwrap();
    assert_eq!(new.count(&Selection::default(), T0).await.unwrap(), 1);
    let missing = |what: &str, error: restow::Error| {
        assert_eq!(
            error.kind(),
            ErrorKind::NoSuchRepository,
            "{what}: {error:?}"
        );
        assert!(
            error.to_string().contains("open it again"),
            "{what}: {error}"
        );
    };
    let all = Selection::default();
    missing("read", body(&*old, "a").await.unwrap_err());
    missing("write", save(&*old, "a", "other").await.unwrap_err());
    missing("delete", old.delete(&[at("a")], T0).await.unwrap_err());
    missing("count", old.count(&all, T0).await.unwrap_err());
    missing("clear", old.clear(&all, 10, T0).await.unwrap_err());
    missing("stats", old.stats(T0).await.unwrap_err());
    missing("partitions", old.partitions(T0).await.unwrap_err());
    {
        use futures_util::StreamExt;
        let first = old.scan(&all, Parts::Whole, T0).next().await;
        missing("scan", first.unwrap().unwrap_err());
    }
    assert_eq!(new.count(&Selection::default(), T0).await.unwrap(), 1);
}

#[tokio::test]
async fn a_table_of_another_program_is_left_alone() {
    let (store, _, schema) = fresh().await;
    let server = Postgres::shared();
    server.sql(&format!(
        "CREATE TABLE {schema}.tracks (id int); INSERT INTO {schema}.tracks VALUES (7)"
    ));
    let error = store.open(&tracks()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Name, "{error:?}");
    assert_eq!(server.sql(&format!("SELECT * FROM {schema}.tracks")), "7");
}

#[tokio::test]
async fn statements_for_an_administrator_make_what_a_store_makes() {
    let server = Postgres::shared();
    let (store, _, schema) = fresh().await;
    let spec = TableSpec {
        budget: Budget {
            bytes: Some(1 << 20),
            entries: None,
        },
        ..TableSpec::new(
            "tracks",
            vec![Field::text("id"), Field::integer("page").optional()],
        )
        .unwrap()
    };
    store.open(&spec).await.unwrap();
    let made = server.fresh();
    let by_hand = made.split_once("schema=").unwrap().1.to_owned();
    server.sql(&PostgresStore::ddl(
        &PostgresOptions::parse(&made).unwrap(),
        &[spec],
    ));
    let shape = |schema: &str| {
        let columns = server.sql(&format!(
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = '{schema}' ORDER BY 1, 2"
        ));
        let indexes = server.sql(&format!(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = '{schema}' ORDER BY 1"
        ));
        format!("{columns}\n{indexes}").replace(schema, "s")
    };
    assert_eq!(shape(&schema), shape(&by_hand));
}

#[tokio::test]
async fn who_may_make_nothing_uses_what_an_administrator_made() {
    let server = Postgres::shared();
    let url = server.fresh();
    let schema = url.split_once("schema=").unwrap().1;
    let spec = TableSpec {
        budget: Budget {
            bytes: Some(1 << 20),
            entries: None,
        },
        // It is in a literal of the statements.
        declaration: r#"{"of":"it's a \ \"test\""}"#.into(),
        ..tracks()
    };
    // With a budget of the whole store.
    let plain = TableSpec {
        ranked: true,
        ..TableSpec::new("plain", vec![Field::text("id")]).unwrap()
    };
    let options = PostgresOptions::parse(&url).unwrap();
    let ddl = PostgresStore::ddl(&options, &[spec.clone(), plain.clone()]);
    assert!(!ddl.contains(";CREATE") && !ddl.contains("DROP"), "{ddl}");
    server.sql(&ddl);
    let role = format!("user_of_{schema}");
    server.sql(&format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}"
    ));
    let url = url.replace("restow@", &format!("{role}@"));
    let (ours, theirs) = (open(&url).await.unwrap(), open(&url).await.unwrap());
    let secret = ours.secret().await.unwrap();
    assert_eq!(secret, theirs.secret().await.unwrap());
    assert_ne!(secret, [0; 32]);
    let stored = ours.tables().await.unwrap();
    assert_eq!(stored, [plain.clone(), spec.clone()]);
    ours.open(&plain).await.unwrap();
    let table = ours.open(&spec).await.unwrap();
    for id in ["a", "b"] {
        save(&*table, id, "body").await.unwrap();
    }
    let other = theirs.open(&spec).await.unwrap();
    assert_eq!(body(&*other, "a").await.unwrap().as_deref(), Some("body"));
    let hold = std::time::Duration::from_secs(1);
    let lease = theirs.leases().unwrap();
    let lease = lease.acquire(&spec.name, &at("c"), hold, T0).await.unwrap();
    assert!(matches!(lease, restow::store::Lease::Held(_)), "{lease:?}");
    let most = Budget {
        bytes: None,
        entries: Some(1),
    };
    assert_eq!(theirs.trim(most, 10).await.unwrap().entries, 1);
    let all = Selection::default();
    assert_eq!(table.clear(&all, 10, T0).await.unwrap(), 1);
    // What is declared may change, as far as the table stays as it is.
    let longer = TableSpec {
        keep: HOUR,
        ..spec.clone()
    };
    ours.open(&longer).await.unwrap();
    // Anything else is for the administrator.
    let wider = TableSpec {
        columns: [restow::store::Column {
            name: "artist".into(),
            pointer: "/artist".into(),
        }]
        .into(),
        on_schema_change: OnSchemaChange::Migrate,
        ..spec
    };
    let error = ours.open(&wider).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error:?}");
    assert!(
        error.to_string().contains("restow schema --print"),
        "{error}"
    );
}
