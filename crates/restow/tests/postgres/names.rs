//! Names that try to be SQL.

use crate::{
    common::{a_thousand_round_trips, round_trip},
    support::*,
};
use restow::{
    ErrorKind, Field, FieldKind,
    store::{Column, TableSpec},
};
use restow_testkit::Postgres;

#[tokio::test]
async fn a_thousand_hostile_names_are_names_or_typed_errors() {
    let server = Postgres::shared();
    let store = open(&server.fresh()).await.unwrap();
    a_thousand_round_trips(&*store).await;
}

#[tokio::test]
async fn the_longest_names_are_kept_and_longer_ones_refused() {
    let server = Postgres::shared();
    let prefix = format!("{}&prefix=teams_", server.fresh());
    let store = open(&prefix).await.unwrap();
    let long = |letter: char| letter.to_string().repeat(48);
    let mut spec =
        TableSpec::new(&long('t'), vec![Field::new(long('f'), FieldKind::Text)]).unwrap();
    let column = |letter| Column {
        name: long(letter).into(),
        pointer: "/a".into(),
    };
    spec.columns = [column('c')].into();
    round_trip(&*store, &spec).await;
    let store = open(&format!("{}&prefix=0123456789", server.fresh()))
        .await
        .unwrap();
    let error = store.open(&spec).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Name, "{error}");
    assert!(error.to_string().contains("63 bytes"), "{error}");
    assert_eq!(store.tables().await.unwrap(), []);
}
