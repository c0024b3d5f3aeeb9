//! Tables: apart from each other, listed, removed.

use super::{Subject, kit::*};
use crate::{
    ErrorKind, Field, FieldRef, Millis, RawKey, Selection,
    store::{Budget, Table, TableName, TableSpec},
};
use std::sync::Arc;

promises! {
    a_new_store_has_no_tables: "A fresh store lists no tables.",
    tables_are_listed_with_their_specs: "tables() gives the spec of each table, ordered by name.",
    a_table_knows_its_spec: "spec() is what the table was opened with.",
    two_tables_do_not_mix: "What is written to one table is not found, counted, cleared or swept in another.",
    tables_may_have_any_name: "Tables may have the names of SQL words, of the store's own, and of any text, and are apart.",
    names_that_differ_in_case_do_not_mix: "Tables whose names differ in case are apart, or the second is refused with an error of kind Name.",
    tables_may_have_other_fields: "Two tables with other fields hold their own keys.",
    opening_twice_is_one_table: "A table that is opened twice holds the same entries in both hands.",
    opening_again_takes_the_new_rules: "A table that is opened again with another keep, budget or most variants follows the new ones, and is listed with them.",
    a_removed_table_is_empty_when_it_returns: "A removed table is not listed, and is empty when it is made again.",
    a_removed_table_may_return_with_other_fields: "A removed table can be made again with other fields.",
    removing_tells_whether_there_was_one: "remove says whether there was such a table.",
    removing_leaves_the_others: "Removing a table leaves the others and their entries.",
    invalid_specs_are_refused: "A spec with two fields of one name is an error of kind Name.",
}

fn named(name: &str) -> Kept<TableSpec> {
    Ok(TableSpec {
        name: TableName::new(name)?,
        ..spec()?
    })
}

async fn held(table: &Arc<dyn Table>) -> Kept<u64> {
    Ok(table.count(&Selection::default(), T0).await?)
}

async fn a_new_store_has_no_tables(subject: &dyn Subject) -> Kept {
    let store = subject.fresh().await?;
    same!(store.tables().await?, [], "tables");
    Ok(())
}

async fn tables_are_listed_with_their_specs(subject: &dyn Subject) -> Kept {
    let store = subject.fresh().await?;
    let full = TableSpec {
        method: http::Method::POST,
        defaults: Arc::new([("market".into(), "GB".into()), ("page".into(), 1.into())]),
        codec: "json".into(),
        budget: Budget {
            bytes: Some(1 << 30),
            entries: Some(7),
        },
        max_variants: 3,
        declaration: "{\"name\": \"b\"}".into(),
        ..named("b")?
    };
    let specs = [named("a")?, full, named("c c")?, named("日本")?];
    for spec in specs.iter().rev() {
        store.open(spec).await?;
    }
    let mut listed = store.tables().await?;
    for (spec, wanted) in listed.iter_mut().zip(&specs) {
        // What to do about a change is asked of a declaration, not of a table.
        spec.on_schema_change = wanted.on_schema_change;
    }
    same!(listed, specs, "tables");
    Ok(())
}

async fn a_table_knows_its_spec(subject: &dyn Subject) -> Kept {
    let spec = spec()?;
    let t = Trial::with(subject, &spec).await?;
    same!(*t.table.spec(), spec, "spec");
    Ok(())
}

async fn two_tables_do_not_mix(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let other = Trial {
        table: t.store.open(&named("other")?).await?,
        store: t.store.clone(),
    };
    t.write(T0, [entry("a")?.body("of tracks").tags(&["t"])])
        .await?;
    same!(other.all(T0).await?, 0, "entries in the other table");
    same!(
        other.read(&address("a")?, T0).await?.len(),
        0,
        "entries read from the other table"
    );
    other.write(T0, [entry("a")?.body("of other")]).await?;
    same!(t.one(&address("a")?, T0).await?.body, "of tracks", "body");
    let by_tag = Selection {
        tag: Some("t".into()),
        ..Selection::default()
    };
    same!(
        other.count(&by_tag, T0).await?,
        0,
        "entries with a tag of the other table"
    );
    let read = t.one(&address("a")?, T0).await?;
    same!(
        other.renew(T0, &read, read.meta.clone()).await?,
        0,
        "entries of the other table renewed"
    );
    same!(
        other.table.delete(&[address("a")?], T0).await?,
        1,
        "addresses deleted"
    );
    same!(
        other.table.clear(&Selection::default(), 10, T0).await?,
        0,
        "entries cleared"
    );
    same!(
        other.table.sweep(10, Millis(i64::MAX - 1)).await?,
        0,
        "entries swept"
    );
    same!(
        t.count(&by_tag, T0).await?,
        1,
        "entries left in the first table"
    );
    Ok(())
}

async fn tables_may_have_any_name(subject: &dyn Subject) -> Kept {
    let store = subject.fresh().await?;
    let long = "n".repeat(48);
    let names = [
        "order",
        "select",
        "table",
        "my repo",
        "tracks-v2",
        "日本",
        "a\"b",
        "a'b",
        "a.b",
        "a/b",
        "a]b",
        "a;b",
        "100%",
        "1",
        "main",
        "meta",
        "counts",
        "dictionaries",
        "leases",
        "tags",
        "rowid",
        "main.x",
        "x_tags",
        "x",
        "--",
        "..",
        &long,
    ];
    for name in names {
        let table = store.open(&named(name)?).await?;
        same!(held(&table).await?, 0, "entries in the new table {name:?}");
        table
            .write(
                &writes([entry("a")?.body(name.to_owned()).tags(&[name])]),
                T0,
            )
            .await?;
    }
    for name in names {
        let table = store.open(&named(name)?).await?;
        let t = Trial {
            store: store.clone(),
            table,
        };
        same!(
            t.one(&address("a")?, T0).await?.body,
            name.to_owned(),
            "body in {name:?}"
        );
    }
    same!(store.tables().await?.len(), names.len(), "tables");
    Ok(())
}

async fn names_that_differ_in_case_do_not_mix(subject: &dyn Subject) -> Kept {
    let store = subject.fresh().await?;
    let lower = store.open(&named("tracks")?).await?;
    match store.open(&named("Tracks")?).await {
        Err(e) => same!(e.kind(), ErrorKind::Name, "kind of the error"),
        Ok(upper) => {
            lower.write(&writes([entry("a")?]), T0).await?;
            same!(held(&upper).await?, 0, "entries in the table in upper case");
            same!(store.tables().await?.len(), 2, "tables");
        }
    }
    Ok(())
}

async fn tables_may_have_other_fields(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let numbers = TableSpec::new("numbers", [Field::integer("n")])?;
    let other = Trial {
        table: t.store.open(&numbers).await?,
        store: t.store.clone(),
    };
    let key = RawKey::new([FieldRef::Integer(1)], "")?;
    other.comes_back(entry_at(address_of(key)?)?).await?;
    t.comes_back(entry("1")?).await?;
    same!(
        (t.all(T0).await?, other.all(T0).await?),
        (1, 1),
        "entries held in each"
    );
    Ok(())
}

async fn opening_twice_is_one_table(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let again = Trial {
        table: t.store.open(&spec()?).await?,
        store: t.store.clone(),
    };
    t.write(T0, [entry("a")?]).await?;
    same!(again.all(T0).await?, 1, "entries in the other hand");
    same!(
        again.table.delete(&[address("a")?], T0).await?,
        1,
        "addresses deleted"
    );
    same!(t.all(T0).await?, 0, "entries left");
    same!(t.store.tables().await?.len(), 1, "tables");
    Ok(())
}

async fn opening_again_takes_the_new_rules(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    let shorter = TableSpec {
        keep: DAY,
        max_variants: 1,
        ..spec()?
    };
    let again = Trial {
        table: t.store.open(&shorter).await?,
        store: t.store.clone(),
    };
    let now = T0.plus(DAY).plus(DAY);
    same!(
        again.all(now.minus(MS)).await?,
        1,
        "entries before the end of the new keep"
    );
    same!(
        again.all(now).await?,
        0,
        "entries at the end of the new keep"
    );
    again.write(T0, [entry("b")?.variant(1)]).await?;
    again
        .write(T0, [entry("b")?.variant(2).stored(T0.plus(MS))])
        .await?;
    same!(again.read(&address("b")?, T0).await?.len(), 1, "variants");
    same!(t.store.tables().await?, [shorter], "tables");
    Ok(())
}

async fn a_removed_table_is_empty_when_it_returns(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?.tags(&["t"])]).await?;
    same!(
        t.store.remove(&spec()?.name).await?,
        true,
        "whether a table was removed"
    );
    same!(t.store.tables().await?, [], "tables");
    let again = Trial {
        table: t.store.open(&spec()?).await?,
        store: t.store.clone(),
    };
    same!(again.all(T0).await?, 0, "entries held");
    same!(
        again.read(&address("a")?, T0).await?.len(),
        0,
        "entries read"
    );
    again.comes_back(entry("a")?).await?;
    let by_tag = Selection {
        tag: Some("t".into()),
        ..Selection::default()
    };
    same!(
        again.count(&by_tag, T0).await?,
        0,
        "entries with a tag from before"
    );
    Ok(())
}

async fn a_removed_table_may_return_with_other_fields(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    t.store.remove(&spec()?.name).await?;
    let other = TableSpec::new("tracks", [Field::integer("n")])?;
    let again = Trial {
        table: t.store.open(&other).await?,
        store: t.store.clone(),
    };
    let key = RawKey::new([FieldRef::Integer(1)], "")?;
    again.comes_back(entry_at(address_of(key)?)?).await?;
    Ok(())
}

async fn removing_tells_whether_there_was_one(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    same!(
        t.store.remove(&TableName::new("unknown")?).await?,
        false,
        "whether an unknown table was removed"
    );
    same!(
        t.store.remove(&spec()?.name).await?,
        true,
        "whether a table was removed"
    );
    same!(
        t.store.remove(&spec()?.name).await?,
        false,
        "whether it was removed again"
    );
    Ok(())
}

async fn removing_leaves_the_others(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let other = t.store.open(&named("other")?).await?;
    t.write(T0, [entry("a")?]).await?;
    t.store.remove(&TableName::new("other")?).await?;
    drop(other);
    same!(t.all(T0).await?, 1, "entries left");
    same!(t.store.tables().await?, [spec()?], "tables");
    Ok(())
}

async fn invalid_specs_are_refused(subject: &dyn Subject) -> Kept {
    let store = subject.fresh().await?;
    let twice = TableSpec {
        fields: Arc::new([Field::text("id"), Field::text("ID")]),
        ..spec()?
    };
    fails(store.open(&twice).await, ErrorKind::Name, "open")?;
    same!(store.tables().await?, [], "tables");
    Ok(())
}
