//! Names that try to be SQL.

use crate::{
    common::{a_thousand_round_trips, round_trip},
    support::*,
};
use restow::{
    ErrorKind, Field,
    store::{Column, Store, TableName, TableSpec},
};

#[tokio::test]
async fn a_thousand_hostile_names_are_names_or_typed_errors() {
    a_thousand_round_trips(&memory().await).await;
}

#[tokio::test]
async fn fields_and_columns_may_have_the_names_of_our_own() {
    let store = memory().await;
    let ours = [
        "entry_id",
        "query",
        "partition",
        "variant",
        "generation",
        "label",
        "status",
        "url",
        "stored_at",
        "checked_at",
        "changed_at",
        "expires_at",
        "used_at",
        "size",
        "tags",
        "facts",
        "completeness",
        "headers",
        "body",
        "rowid",
        "oid",
        "Status",
        "field_status",
        "restow_x",
    ];
    for name in ours {
        for other in ours.into_iter().filter(|o| !o.eq_ignore_ascii_case(name)) {
            let mut spec = TableSpec::new("t", vec![Field::text(name)]).unwrap();
            spec.columns = [Column {
                name: other.into(),
                pointer: "/a".into(),
            }]
            .into();
            round_trip(&store, &spec).await;
            store.remove(&spec.name).await.unwrap();
        }
    }
}

#[tokio::test]
async fn repositories_named_like_our_tables_and_keywords_live_side_by_side() {
    let folder = folder();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    let names = [
        "meta",
        "counts",
        "dictionaries",
        "tags",
        "restow",
        "order",
        "my repo",
        "tracks-v2",
        "日本",
        "a\"b",
        "it's",
        "select",
        "index",
    ];
    for name in names {
        let mut spec = TableSpec::new(name, vec![Field::text("id")]).unwrap();
        spec.columns = [Column {
            name: "c".into(),
            pointer: "/c".into(),
        }]
        .into();
        round_trip(&store, &spec).await;
    }
    let mut listed: Vec<_> = store
        .tables()
        .await
        .unwrap()
        .iter()
        .map(|t| t.name.to_string())
        .collect();
    let mut expected: Vec<_> = names.map(String::from).to_vec();
    expected.sort();
    assert_eq!(listed, expected, "ordered by name");
    listed.clear();
    store.close().await.unwrap();
    let views: i64 = plain(&path)
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'view'",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(views, names.len() as i64);
}

#[tokio::test]
async fn names_that_differ_only_in_case_are_refused() {
    let store = memory().await;
    store
        .open(&TableSpec::new("Tracks", vec![Field::text("id")]).unwrap())
        .await
        .unwrap();
    let error = store
        .open(&TableSpec::new("tracks", vec![Field::text("id")]).unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Name);
    assert!(
        !store
            .remove(&TableName::new("tracks").unwrap())
            .await
            .unwrap()
    );
}
