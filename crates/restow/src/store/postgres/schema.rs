//! The tables that every store has, and what is remembered of the others.

use super::{
    engine::{Engine, Query, Way},
    error::{Attempt, Fault},
    layout::{Area, FORMAT, Layout},
    values::Values,
};
use crate::{
    Error, ErrorKind, Result,
    store::{TableName, TableSpec, declared, ident::Literal},
};
use std::{fmt::Write as _, time::Duration};
use tokio_postgres::{
    GenericClient, Row,
    types::{ToSql, Type},
};

/// The tables that every store has.
pub(super) fn create_own(area: &Area) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (key TEXT COLLATE \"C\" PRIMARY KEY, value TEXT COLLATE \"C\" NOT NULL);\n\
         CREATE TABLE IF NOT EXISTS {} (repository TEXT COLLATE \"C\" NOT NULL, place BYTEA NOT NULL, fence BIGINT NOT NULL, \
         until BIGINT NOT NULL, free BOOLEAN NOT NULL, PRIMARY KEY (repository, place));\n\
         CREATE SEQUENCE IF NOT EXISTS {};\n",
        area.own("meta"),
        area.own("leases"),
        area.own("fences"),
    )
}

/// The rows that a new store begins with, for who makes it by hand. The secret is of the server's random numbers, so that nobody reads it here.
pub(super) fn fill_own(area: &Area) -> String {
    format!(
        "INSERT INTO {} VALUES ('format', '{FORMAT}'), ('secret', encode(sha256(convert_to(\
         gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')), 'hex')) ON CONFLICT DO NOTHING;\n",
        area.own("meta"),
    )
}

/// The row that says that a table is a repository's. Where there is one already, the table is not made either.
pub(super) fn declare(area: &Area, spec: &TableSpec) -> String {
    format!(
        "INSERT INTO {} VALUES ({}, {});\n",
        area.own("meta"),
        Literal(&key(&spec.name)),
        Literal(&declared::write(spec)),
    )
}

/// Makes the store's own tables where they are not there, and checks their format. Many programs may do so at once.
pub(super) async fn initialise(engine: &Engine) -> Result<()> {
    let at = |fault: Fault| fault.at(engine.place());
    let mut lent = engine.lend_unseen().await?;
    if let Some(format) = format(&engine.area, lent.client().map_err(at)?)
        .await
        .map_err(at)?
    {
        return check_format(engine.place(), format);
    }
    let transaction = lent.transaction().await.map_err(at)?;
    lock(&engine.area, &*transaction).await.map_err(at)?;
    create(&engine.area, &*transaction).await.map_err(at)?;
    transaction.commit().await.map_err(|e| at(e.into()))?;
    let made = format(&engine.area, lent.client().map_err(at)?)
        .await
        .map_err(at)?;
    check_format(engine.place(), made.unwrap_or_default())
}

/// Returns the format of a store; `None` where there is no store yet.
pub(super) async fn format(area: &Area, conn: &impl GenericClient) -> Attempt<Option<i32>> {
    if !exists(conn, &area.own("meta")).await? {
        return Ok(None);
    }
    let stored = get(area, conn, "format").await?;
    Ok(stored.map(|text| text.parse().unwrap_or_default()))
}

/// The statement that asks for the format.
pub(super) fn ask_format(area: &Area) -> Query {
    let sql = format!(
        "SELECT value FROM {} WHERE key = 'format'",
        area.own("meta")
    );
    Query::new(sql, [])
}

/// Reads its answer. Where nothing is there, nobody has made it another.
pub(super) fn check_answer(place: &str, answer: Attempt<Vec<Row>>) -> Result<()> {
    let rows = match answer.map_err(|fault| fault.at(place)) {
        // The tables are gone, as whoever asks for an entry is told.
        Err(error) if error.kind() == ErrorKind::NoSuchRepository => return Ok(()),
        rows => rows?,
    };
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let format: &str = row.try_get(0).map_err(|e| Fault::from(e).at(place))?;
    check_format(place, format.parse().unwrap_or_default())
}

fn check_format(place: &str, format: i32) -> Result<()> {
    if format == FORMAT {
        return Ok(());
    }
    let message = format!(
        "{place} has format {format}, and this program reads and writes {FORMAT}; `restow migrate` brings an older one to it, and a newer one needs a newer program"
    );
    Err(Error::new(ErrorKind::Format, message))
}

async fn create(area: &Area, conn: &impl GenericClient) -> Attempt<()> {
    let schema = ask(
        conn,
        "SELECT count(*) FROM pg_namespace WHERE nspname = $1",
        &[(&area.schema.as_str(), Type::TEXT)],
    )
    .await?;
    // Who may not make a schema may not say "if it is not there" either.
    if schema.first().and_then(|row| row.try_get::<_, i64>(0).ok()) == Some(0) {
        conn.batch_execute(&format!("CREATE SCHEMA {}", area.schema))
            .await?;
    }
    conn.batch_execute(&create_own(area)).await?;
    let mut secret = [0_u8; 32];
    getrandom::fill(&mut secret).map_err(|e| {
        Error::new(ErrorKind::Store, "the system has no random numbers")
            .with_source(std::io::Error::other(e.to_string()))
    })?;
    for (key, value) in [("format", FORMAT.to_string()), ("secret", hex(&secret))] {
        let sql = format!(
            "INSERT INTO {} VALUES ($1, $2) ON CONFLICT DO NOTHING",
            area.own("meta")
        );
        ask(conn, &sql, &[(&key, Type::TEXT), (&value, Type::TEXT)]).await?;
    }
    Ok(())
}

/// Waits until nobody else changes what tables there are, until the end of the transaction.
pub(super) async fn lock(area: &Area, conn: &impl GenericClient) -> Attempt<()> {
    let number = area.number().cast_signed();
    ask(
        conn,
        "SELECT pg_advisory_xact_lock($1)",
        &[(&number, Type::INT8)],
    )
    .await?;
    Ok(())
}

/// Tells whether the server works for whoever holds [`lock`], or has done so lately.
pub(super) async fn is_at_work(engine: &Engine, lately: Duration) -> Result<bool> {
    let sql = "SELECT FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) \
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
        AND (l.classid::int8 << 32 | l.objid::int8) = $1 \
        AND (a.state IS DISTINCT FROM 'idle in transaction' OR clock_timestamp() - a.state_change < $2 * interval '1 ms')";
    let query = Query::new(sql.to_owned(), [Type::INT8, Type::INT8]);
    let lately = i64::try_from(lately.as_millis()).unwrap_or(i64::MAX);
    let values: Values = vec![
        Box::new(engine.area.number().cast_signed()),
        Box::new(lately),
    ];
    let rows = engine.run(Way::ReadLatest, &query, &values).await?;
    Ok(!rows.is_empty())
}

/// Returns the key of this store's digests.
pub(super) async fn secret(engine: &Engine) -> Result<[u8; 32]> {
    let at = |fault: Fault| fault.at(engine.place());
    let lent = engine.lend().await?;
    let stored = get(&engine.area, lent.client().map_err(at)?, "secret")
        .await
        .map_err(at)?;
    stored.as_deref().and_then(unhex).ok_or_else(|| {
        let message = format!(
            "{} has lost its secret; restore the database, or begin a new schema",
            engine.place()
        );
        Error::new(ErrorKind::Corrupt, message)
    })
}

/// Takes over the key of another cache's digests, unless there is a table; tells whether the store's key is this one now.
pub(super) async fn adopt_secret(engine: &Engine, wanted: &[u8; 32]) -> Result<bool> {
    if secret(engine).await? == *wanted {
        return Ok(true);
    }
    let at = |fault: Fault| fault.at(engine.place());
    let mut lent = engine.lend().await?;
    let transaction = lent.transaction().await.map_err(at)?;
    // Whoever opens a table takes the lock too.
    lock(&engine.area, &*transaction).await.map_err(at)?;
    let tables = specs(&engine.area, &*transaction).await.map_err(at)?;
    let stored = get(&engine.area, &*transaction, "secret")
        .await
        .map_err(at)?;
    let wanted = hex(wanted);
    let is_free = tables.is_empty() && stored.as_deref() != Some(&wanted);
    if is_free {
        set(&engine.area, &*transaction, "secret", Some(&wanted))
            .await
            .map_err(at)?;
    }
    transaction.commit().await.map_err(|e| at(e.into()))?;
    Ok(tables.is_empty() || stored.as_deref() == Some(&wanted))
}

/// Returns the specs of all tables, ordered by name.
pub(super) async fn specs(area: &Area, conn: &impl GenericClient) -> Attempt<Vec<TableSpec>> {
    let sql = format!(
        "SELECT value FROM {} WHERE key >= 'repository:' AND key < 'repository;' ORDER BY key",
        area.own("meta")
    );
    let rows = ask(conn, &sql, &[]).await?;
    let read = |row: &Row| Ok(declared::read(row.try_get(0)?)?);
    rows.iter().map(read).collect()
}

/// Returns the spec of a table.
pub(super) async fn spec(
    area: &Area,
    conn: &impl GenericClient,
    name: &TableName,
) -> Attempt<Option<TableSpec>> {
    let stored = get(area, conn, &key(name)).await?;
    Ok(stored.map(|json| declared::read(&json)).transpose()?)
}

/// Remembers the spec of a table.
pub(super) async fn remember(
    area: &Area,
    conn: &impl GenericClient,
    spec: &TableSpec,
) -> Attempt<()> {
    set(area, conn, &key(&spec.name), Some(&declared::write(spec))).await
}

/// Forgets the spec of a table.
pub(super) async fn forget(
    area: &Area,
    conn: &impl GenericClient,
    name: &TableName,
) -> Attempt<()> {
    set(area, conn, &key(name), None).await
}

/// Makes the table of a spec, with all that belongs to it.
pub(super) async fn create_table(
    area: &Area,
    conn: &impl GenericClient,
    spec: &TableSpec,
) -> Attempt<()> {
    let layout = Layout::of(area, spec);
    conn.batch_execute(&layout.create_table()).await?;
    conn.batch_execute(&layout.create_rest()).await?;
    remember(area, conn, spec).await
}

/// Removes a table with all that belongs to it.
pub(super) async fn remove(
    area: &Area,
    conn: &impl GenericClient,
    name: &TableName,
) -> Attempt<bool> {
    let Some(spec) = spec(area, conn, name).await? else {
        return Ok(false);
    };
    conn.batch_execute(&Layout::of(area, &spec).drop_all())
        .await?;
    forget(area, conn, name).await?;
    Ok(true)
}

/// Returns what is remembered under a key.
pub(super) async fn get(
    area: &Area,
    conn: &impl GenericClient,
    key: &str,
) -> Attempt<Option<String>> {
    let sql = format!("SELECT value FROM {} WHERE key = $1", area.own("meta"));
    let rows = ask(conn, &sql, &[(&key, Type::TEXT)]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}

/// Remembers a value under a key, or forgets it.
pub(super) async fn set(
    area: &Area,
    conn: &impl GenericClient,
    key: &str,
    value: Option<&str>,
) -> Attempt<()> {
    let meta = area.own("meta");
    match value {
        None => {
            let sql = format!("DELETE FROM {meta} WHERE key = $1");
            ask(conn, &sql, &[(&key, Type::TEXT)]).await?;
        }
        Some(value) => {
            let sql = format!(
                "INSERT INTO {meta} VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            );
            ask(conn, &sql, &[(&key, Type::TEXT), (&value, Type::TEXT)]).await?;
        }
    }
    Ok(())
}

/// Tells whether there is a table, view or index of this quoted name.
pub(super) async fn exists(conn: &impl GenericClient, name: &str) -> Attempt<bool> {
    let rows = ask(
        conn,
        "SELECT to_regclass($1) IS NOT NULL",
        &[(&name, Type::TEXT)],
    )
    .await?;
    Ok(rows
        .first()
        .is_some_and(|row| row.try_get(0).unwrap_or_default()))
}

/// Tells others of the end of the transaction.
pub(super) async fn notify(
    conn: &impl GenericClient,
    channel: &str,
    notices: &[String],
) -> Attempt<()> {
    let sql = "SELECT count(pg_notify($1, p)) FROM unnest($2) AS p";
    ask(
        conn,
        sql,
        &[(&channel, Type::TEXT), (&notices, Type::TEXT_ARRAY)],
    )
    .await?;
    Ok(())
}

pub(super) async fn ask(
    conn: &impl GenericClient,
    sql: &str,
    values: &[(&(dyn ToSql + Sync), Type)],
) -> Attempt<Vec<Row>> {
    Ok(conn.query_typed(sql, values).await?)
}

fn key(name: &TableName) -> String {
    format!("repository:{name}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<_> = text
        .chars()
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()?;
    let byte = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    };
    let bytes = digits.chunks(2).map(byte).collect::<Option<Vec<_>>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_back() {
        let secret: [u8; 32] = std::array::from_fn(|i| i as u8 * 8);
        assert_eq!(unhex(&hex(&secret)), Some(secret));
        for text in ["", "0", "zz", &"0".repeat(62), &"0".repeat(66)] {
            assert_eq!(unhex(text), None, "{text:?}");
        }
    }
}
