//! Schema changes: a table is never opened as what it is not.

use super::{Subject, kit::*};
use crate::{
    ErrorKind, Field, FieldRef, FieldValue, RawKey, Selection,
    store::{Column, OnSchemaChange, TableSpec},
};
use std::sync::Arc;

promises! {
    other_fields_are_a_mismatch: "Opening a table with other fields, another order, kind or optionality is an error of kind SchemaMismatch.",
    other_columns_are_a_mismatch: "Opening a table with other columns, or a column from elsewhere in the body, is an error of kind SchemaMismatch.",
    a_mismatch_shows_both_lists: "The error of a mismatch names the repository, the fields declared and the fields held.",
    a_mismatch_changes_nothing: "A table that was not opened for a mismatch is listed and holds its entries as before.",
    an_added_field_is_migrated: "With Migrate, entries get the default of an added field, and are found by their new key and by selections.",
    an_added_absent_field_is_migrated: "With Migrate, the default of an added optional field may be that it is absent.",
    a_field_without_default_is_not_migrated: "With Migrate, an added field without a default is a mismatch.",
    a_dropped_field_is_not_migrated: "With Migrate, a dropped field is a mismatch: keys would become alike.",
    added_columns_are_migrated: "With Migrate, an added column is absent in older entries and the others keep their values.",
    dropped_columns_are_migrated: "With Migrate, a dropped column is gone and the others keep their values.",
    a_new_table_waits_for_no_columns: "A table that was made or opened as it is has no pending columns.",
    added_columns_are_pending: "Added columns, and those that come from elsewhere in the body now, are pending until they are said to be filled.",
    a_dropped_column_is_not_pending: "A column that is dropped before it was filled is not pending any more.",
    pending_columns_outlive_a_close: "Reopened, a durable store still has the columns pending that were not filled.",
    a_migrated_table_is_as_declared: "A migrated table is listed as declared, opened so again, and takes writes.",
    a_table_set_aside_is_still_there: "With SetAside, the new table is empty and the old one is listed under another name with its entries.",
    tables_are_set_aside_again_and_again: "With SetAside, a second change keeps both older tables.",
    what_agrees_is_not_migrated_or_set_aside: "With Migrate or SetAside, a table as declared is opened as it is.",
}

fn column(name: &str, pointer: &str) -> Column {
    Column {
        name: name.into(),
        pointer: pointer.into(),
    }
}

fn changed(fields: &[Field], rule: OnSchemaChange) -> Kept<TableSpec> {
    Ok(TableSpec {
        fields: fields.into(),
        on_schema_change: rule,
        ..spec()?
    })
}

fn with_columns(columns: &[Column], rule: OnSchemaChange) -> Kept<TableSpec> {
    Ok(TableSpec {
        columns: columns.into(),
        on_schema_change: rule,
        ..spec()?
    })
}

const ID: Field = Field::text("id");
const MARKET: Field = Field::text("market").optional();
const PAGE: Field = Field::integer("page").optional();

async fn reopened(t: Trial, spec: &TableSpec) -> Kept<Trial> {
    Ok(Trial {
        table: t.store.open(spec).await?,
        store: t.store,
    })
}

async fn other_fields_are_a_mismatch(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let others: [&[Field]; 7] = [
        &[],
        &[ID],
        &[ID, MARKET],
        &[ID, PAGE, MARKET],
        &[ID, MARKET, Field::text("page").optional()],
        &[ID, Field::text("market"), PAGE],
        &[ID, MARKET, PAGE, Field::text("more").optional()],
    ];
    for fields in others {
        let spec = changed(fields, OnSchemaChange::Refuse)?;
        fails(
            t.store.open(&spec).await,
            ErrorKind::SchemaMismatch,
            format!("{fields:?}"),
        )?;
    }
    Ok(())
}

async fn other_columns_are_a_mismatch(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let (artist, year) = (column("artist", "/artist"), column("year", "/year"));
    let others: [&[Column]; 4] = [
        &[],
        std::slice::from_ref(&artist),
        &[artist.clone(), year.clone(), column("more", "/more")],
        &[artist.clone(), column("year", "/album/year")],
    ];
    for columns in others {
        let spec = with_columns(columns, OnSchemaChange::Refuse)?;
        fails(
            t.store.open(&spec).await,
            ErrorKind::SchemaMismatch,
            format!("{columns:?}"),
        )?;
    }
    Ok(())
}

async fn a_mismatch_shows_both_lists(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let spec = changed(&[Field::text("isrc")], OnSchemaChange::Refuse)?;
    let error = fails(t.store.open(&spec).await, ErrorKind::SchemaMismatch, "open")?;
    let said = error.to_string();
    for part in ["tracks", "isrc", "id", "market", "page"] {
        ensure!(
            said.contains(part),
            "the error does not name {part:?}: {said}"
        );
    }
    Ok(())
}

async fn a_mismatch_changes_nothing(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    let other = changed(&[ID], OnSchemaChange::Refuse)?;
    fails(
        t.store.open(&other).await,
        ErrorKind::SchemaMismatch,
        "open",
    )?;
    same!(t.store.tables().await?, [spec()?], "tables");
    same_entry(&*t.one(&address("a")?, T0).await?, &entry("a")?)?;
    let t = reopened(t, &spec()?).await?;
    same_entry(&*t.one(&address("a")?, T0).await?, &entry("a")?)
}

/// The table with a field `lang` before `market`, and what it is by default.
fn with_lang(field: Field, value: FieldValue) -> Kept<TableSpec> {
    Ok(TableSpec {
        defaults: Arc::new([("lang".into(), value)]),
        ..changed(&[ID, field, MARKET, PAGE], OnSchemaChange::Migrate)?
    })
}

fn lang_key(lang: FieldRef<'_>) -> Kept<RawKey> {
    let page = FieldRef::Integer(7);
    Ok(RawKey::new(
        [FieldRef::Text("a"), lang, FieldRef::Absent, page],
        "q=1",
    )?)
}

async fn is_migrated(subject: &dyn Subject, field: Field, value: FieldValue) -> Kept {
    let t = Trial::start(subject).await?;
    let old = key("a", FieldRef::Absent, FieldRef::Integer(7), "q=1")?;
    let old = entry_at(address_of(old)?)?
        .label("l")
        .columns("x", 1)
        .tags(&["t"])
        .variant(3);
    t.write(T0, [old.clone(), entry("other")?]).await?;
    let t = reopened(t, &with_lang(field, value.clone())?).await?;
    let mut wanted = old;
    wanted.id.address.key = lang_key(value.as_ref())?;
    same_entry(&*t.one(&wanted.id.address, T0).await?, &wanted)?;
    let by_lang = Selection::default().eq("lang", value).scan();
    same!(t.count(&by_lang, T0).await?, 2, "entries with the default");
    let by_tag = Selection {
        tag: Some("t".into()),
        ..Selection::default()
    };
    same!(t.count(&by_tag, T0).await?, 1, "entries with their tag");
    // The entry is the one at its key, so writing it replaces it.
    t.comes_back(wanted.body("new")).await?;
    same!(t.all(T0).await?, 2, "entries held");
    Ok(())
}

async fn an_added_field_is_migrated(subject: &dyn Subject) -> Kept {
    is_migrated(subject, Field::text("lang"), "it's".into()).await?;
    is_migrated(subject, Field::integer("lang"), (-5).into()).await
}

async fn an_added_absent_field_is_migrated(subject: &dyn Subject) -> Kept {
    is_migrated(subject, Field::text("lang").optional(), FieldValue::Absent).await
}

async fn a_field_without_default_is_not_migrated(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let spec = changed(
        &[ID, MARKET, PAGE, Field::text("lang")],
        OnSchemaChange::Migrate,
    )?;
    fails(t.store.open(&spec).await, ErrorKind::SchemaMismatch, "open")?;
    Ok(())
}

async fn a_dropped_field_is_not_migrated(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    let spec = changed(&[ID, MARKET], OnSchemaChange::Migrate)?;
    fails(t.store.open(&spec).await, ErrorKind::SchemaMismatch, "open")?;
    same!(t.all(T0).await?, 1, "entries left");
    Ok(())
}

async fn added_columns_are_migrated(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?.columns("x", 1)]).await?;
    let columns = [
        column("new", "/new"),
        column("artist", "/artist"),
        column("year", "/year"),
    ];
    let t = reopened(t, &with_columns(&columns, OnSchemaChange::Migrate)?).await?;
    let mut wanted = entry("a")?;
    wanted.meta.columns = Arc::new([FieldValue::Absent, "x".into(), 1.into()]);
    same_entry(&*t.one(&address("a")?, T0).await?, &wanted)?;
    for (name, value) in [
        ("new", FieldValue::Absent),
        ("artist", "x".into()),
        ("year", 1.into()),
    ] {
        let which = Selection::default().eq(name, value);
        same!(t.count(&which, T0).await?, 1, "entries in {which:?}");
    }
    wanted.meta.columns = Arc::new(["n".into(), "y".into(), 2.into()]);
    t.comes_back(wanted).await?;
    Ok(())
}

async fn dropped_columns_are_migrated(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?.columns("x", 1)]).await?;
    let columns = [column("year", "/year")];
    let t = reopened(t, &with_columns(&columns, OnSchemaChange::Migrate)?).await?;
    let mut wanted = entry("a")?;
    wanted.meta.columns = Arc::new([1.into()]);
    same_entry(&*t.one(&address("a")?, T0).await?, &wanted)?;
    same!(
        t.count(&Selection::default().eq("year", 1), T0).await?,
        1,
        "entries of the year"
    );
    Ok(())
}

async fn pending(t: &Trial) -> Kept<Vec<Box<str>>> {
    let mut names = t.table.pending_columns().await?;
    names.sort();
    Ok(names)
}

/// A table in which `year` comes from elsewhere and two columns are added.
async fn with_pending(subject: &dyn Subject) -> Kept<Trial> {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?.columns("x", 1)]).await?;
    let columns = [
        column("artist", "/artist"),
        column("year", "/album/year"),
        column("genre", "/genre"),
        column("it's", "/its"),
    ];
    reopened(t, &with_columns(&columns, OnSchemaChange::Migrate)?).await
}

async fn a_new_table_waits_for_no_columns(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    same!(pending(&t).await?.len(), 0, "pending columns");
    let t = reopened(t, &spec()?).await?;
    same!(pending(&t).await?.len(), 0, "pending columns");
    t.table.columns_filled(&["artist".into()]).await?;
    Ok(())
}

async fn added_columns_are_pending(subject: &dyn Subject) -> Kept {
    let t = with_pending(subject).await?;
    same!(
        pending(&t).await?,
        ["genre", "it's", "year"].map(Box::from),
        "pending columns"
    );
    // Writing an entry says nothing about the others.
    t.write(T0, [entry("b")?]).await?;
    t.table
        .columns_filled(&["it's".into(), "year".into()])
        .await?;
    same!(
        pending(&t).await?,
        ["genre"].map(Box::from),
        "pending columns"
    );
    let spec = t.table.spec().clone();
    let t = reopened(t, &spec).await?;
    same!(
        pending(&t).await?,
        ["genre"].map(Box::from),
        "pending columns, opened again"
    );
    t.table.columns_filled(&["genre".into()]).await?;
    same!(pending(&t).await?.len(), 0, "pending columns");
    Ok(())
}

async fn a_dropped_column_is_not_pending(subject: &dyn Subject) -> Kept {
    let t = with_pending(subject).await?;
    let columns = [column("artist", "/artist"), column("genre", "/genre")];
    let t = reopened(t, &with_columns(&columns, OnSchemaChange::Migrate)?).await?;
    same!(
        pending(&t).await?,
        ["genre"].map(Box::from),
        "pending columns"
    );
    Ok(())
}

async fn pending_columns_outlive_a_close(subject: &dyn Subject) -> Kept {
    let t = with_pending(subject).await?;
    t.table.columns_filled(&["year".into()]).await?;
    let t = t.reopen(subject).await?;
    same!(
        pending(&t).await?,
        ["genre", "it's"].map(Box::from),
        "pending columns"
    );
    Ok(())
}

async fn a_migrated_table_is_as_declared(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    let spec = with_lang(Field::text("lang"), "en".into())?;
    let t = reopened(t, &spec).await?;
    let listed = t.store.tables().await?;
    let fields: Vec<_> = listed.iter().map(|s| s.fields.clone()).collect();
    same!(
        fields,
        vec![spec.fields.clone()],
        "fields of the tables listed"
    );
    let plain = TableSpec {
        on_schema_change: OnSchemaChange::Refuse,
        ..spec
    };
    let t = reopened(t, &plain).await?;
    t.comes_back(entry_at(address_of(lang_key(FieldRef::Text("fr"))?)?)?)
        .await?;
    same!(t.all(T0).await?, 2, "entries held");
    Ok(())
}

async fn a_table_set_aside_is_still_there(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?.label("old").tags(&["t"])]).await?;
    let t = reopened(t, &changed(&[ID], OnSchemaChange::SetAside)?).await?;
    same!(t.all(T0).await?, 0, "entries in the new table");
    let key = RawKey::new([FieldRef::Text("a")], "")?;
    t.comes_back(entry_at(address_of(key)?)?).await?;
    let listed = t.store.tables().await?;
    same!(listed.len(), 2, "tables");
    for spec in listed.iter().filter(|s| s.name.as_str() != "tracks") {
        let old = Trial {
            table: t.store.open(spec).await?,
            store: t.store.clone(),
        };
        same_entry(
            &*old.one(&address("a")?, T0).await?,
            &entry("a")?.label("old").tags(&["t"]),
        )?;
        let by_tag = Selection {
            tag: Some("t".into()),
            ..Selection::default()
        };
        same!(old.count(&by_tag, T0).await?, 1, "entries with their tag");
    }
    Ok(())
}

async fn tables_are_set_aside_again_and_again(subject: &dyn Subject) -> Kept {
    let long = crate::store::TableName::new(&"日".repeat(16))?;
    let named = |fields: &[Field]| {
        Ok::<_, Broken>(TableSpec {
            name: long.clone(),
            ..changed(fields, OnSchemaChange::SetAside)?
        })
    };
    let mut t = Trial::with(subject, &named(&[ID, MARKET, PAGE])?).await?;
    for (n, fields) in (2..).zip([&[ID][..], &[ID, MARKET], &[ID]]) {
        t = reopened(t, &named(fields)?).await?;
        same!(t.store.tables().await?.len(), n, "tables");
        same!(t.all(T0).await?, 0, "entries in the new table");
    }
    Ok(())
}

async fn what_agrees_is_not_migrated_or_set_aside(subject: &dyn Subject) -> Kept {
    let mut t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    for rule in [OnSchemaChange::Migrate, OnSchemaChange::SetAside] {
        t = reopened(
            t,
            &TableSpec {
                on_schema_change: rule,
                ..spec()?
            },
        )
        .await?;
        same_entry(&*t.one(&address("a")?, T0).await?, &entry("a")?)?;
        same!(t.store.tables().await?.len(), 1, "tables");
    }
    Ok(())
}
