//! The statements of a table that find rows by their keys. Each is a transaction of its own: all of it happens or nothing.

use super::{engine::Query, layout::Layout};
use crate::{
    FieldKind,
    store::{Parts, TableSpec},
};
use tokio_postgres::types::Type;

/// The columns that a 304 may change, without the declared ones, which follow.
const META: [(&str, Type); 11] = [
    ("stored_at", Type::INT8_ARRAY),
    ("checked_at", Type::INT8_ARRAY),
    ("changed_at", Type::INT8_ARRAY),
    ("expires_at", Type::INT8_ARRAY),
    ("size", Type::INT8_ARRAY),
    ("status", Type::INT4_ARRAY),
    ("label", Type::TEXT_ARRAY),
    ("url", Type::TEXT_ARRAY),
    ("tags", Type::JSONB_ARRAY),
    ("facts", Type::BYTEA_ARRAY),
    ("headers", Type::BYTEA_ARRAY),
];

/// Keeps the index by expiry out of a statement that finds rows by their keys: of a table whose statistics are not there yet, PostgreSQL
/// takes that index besides the one of the keys, and goes over all of it.
const UNINDEXED: &str = "+";

/// The seal of the body within the facts: see [`Record`](crate::entry::Record).
const SEAL: &str = "substr(%.facts, 4, 16)";

/// Reads an address: parameters are its place, and the moment that retained entries expire after.
pub(super) fn read(layout: &Layout, parts: Parts) -> Query {
    let sql = format!(
        "SELECT {} FROM {} WHERE {} = $1 AND {UNINDEXED}expires_at > $2",
        selected(layout, parts),
        layout.table,
        layout.address
    );
    Query::new(sql, [Type::BYTEA, Type::INT8])
}

/// The same for many places; a row ends with its own.
pub(super) fn read_many(layout: &Layout, parts: Parts) -> Query {
    let address = &layout.address;
    let sql = format!(
        "SELECT {}, {address} FROM {} WHERE {address} = ANY($1) AND {UNINDEXED}expires_at > $2",
        selected(layout, parts),
        layout.table,
    );
    Query::new(sql, [Type::BYTEA_ARRAY, Type::INT8])
}

/// Writes entries. Parameters: horizon, now, channel, notices, whether any is of a variant; with `leases` the repository, places and
/// fences; then the columns, each of all entries. Answers whether there are others at the addresses, and whether a fence is no longer the newest.
pub(super) fn put(layout: &Layout, spec: &TableSpec, leases: Option<&str>) -> Query {
    let mut types = vec![
        Type::INT8,
        Type::INT8,
        Type::TEXT,
        Type::TEXT_ARRAY,
        Type::BOOL,
    ];
    let mut sql = "WITH ".to_owned();
    if let Some(leases) = leases {
        types.extend([Type::TEXT, Type::BYTEA_ARRAY, Type::INT8_ARRAY]);
        // Who takes a lease waits until this is done, and this for who is taking it.
        sql += &format!(
            "held AS MATERIALIZED (SELECT l.fence > w.fence AS newer FROM unnest($7, $8) AS w(place, fence) \
             JOIN {leases} AS l ON l.repository = $6 AND l.place = w.place ORDER BY l.place FOR SHARE OF l), "
        );
    }
    let row = [
        (layout.address.to_string(), Type::BYTEA_ARRAY),
        ("variant".to_owned(), Type::BYTEA_ARRAY),
    ];
    let fields = layout
        .fields
        .iter()
        .zip(spec.fields.iter())
        .map(|(column, field)| {
            let ty = match field.kind() {
                FieldKind::Text => Type::TEXT_ARRAY,
                FieldKind::Integer => Type::INT8_ARRAY,
            };
            (column.to_string(), ty)
        });
    let rest = [
        ("query", Type::TEXT_ARRAY),
        ("partition", Type::TEXT_ARRAY),
        ("generation", Type::INT8_ARRAY),
        ("body", Type::BYTEA_ARRAY),
    ];
    let rest = rest.map(|(name, ty)| (name.to_owned(), ty));
    let columns: Vec<_> = row
        .into_iter()
        .chain(meta(layout))
        .chain(fields)
        .chain(rest)
        .collect();
    let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(", ");
    let arrays: Vec<_> = (types.len() + 1..)
        .zip(&columns)
        .map(|(n, _)| format!("${n}"))
        .collect();
    types.extend(columns.iter().map(|(_, ty)| ty.clone()));
    let set: Vec<_> = meta(layout)
        .map(|(name, _)| name)
        .filter(|name| name != "changed_at")
        .chain(["used_at".to_owned(), "body".to_owned()])
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    let (table, address) = (&layout.table, &layout.address);
    let unless_fenced = leases.map_or("", |_| "WHERE NOT EXISTS (SELECT FROM held WHERE newer)");
    sql += &format!(
        "put AS (INSERT INTO {table} AS t ({names}, used_at) \
         SELECT {names}, $2 FROM unnest({}) AS n({names}) {unless_fenced} \
         ON CONFLICT ({address}, variant) DO UPDATE SET {}, \
         generation = CASE WHEN t.expires_at > $1 THEN t.generation + 1 ELSE excluded.generation END, \
         changed_at = CASE WHEN t.expires_at > $1 AND {} = {} THEN t.changed_at ELSE excluded.changed_at END \
         RETURNING {address} AS place, variant) \
         SELECT (SELECT count(pg_notify($3, p)) FROM unnest($4) AS p {unless_fenced}), \
         CASE WHEN $5 OR EXISTS (SELECT FROM {table} WHERE variant <> '') \
         THEN EXISTS (SELECT FROM put JOIN {table} AS o ON o.{address} = put.place AND o.variant <> put.variant) END, {}",
        arrays.join(", "),
        set.join(", "),
        SEAL.replace('%', "t"),
        SEAL.replace('%', "excluded"),
        leases.map_or("false", |_| "EXISTS (SELECT FROM held WHERE newer)"),
    );
    Query::new(sql, types)
}

/// Removes what else is at addresses: what is past its keep, and the oldest where there are too many. Parameters: places, the variant
/// written last at each, horizon, the most.
pub(super) fn crowd(layout: &Layout) -> Query {
    let (table, address) = (&layout.table, &layout.address);
    let sql = format!(
        "DELETE FROM {table} AS t USING (SELECT o.{address} AS place, o.variant, o.generation, o.expires_at, \
         row_number() OVER (PARTITION BY o.{address} \
         ORDER BY o.variant = w.variant DESC, o.expires_at > $3 DESC, o.stored_at DESC, o.variant) AS rank \
         FROM unnest($1, $2) AS w(place, variant) JOIN {table} AS o ON o.{address} = w.place) AS r \
         WHERE r.rank > 1 AND (r.rank > $4 OR r.expires_at <= $3) \
         AND t.{address} = r.place AND t.variant = r.variant AND t.generation = r.generation"
    );
    Query::new(
        sql,
        [Type::BYTEA_ARRAY, Type::BYTEA_ARRAY, Type::INT8, Type::INT8],
    )
}

/// Puts new metas on the entries that are still the ones read. Parameters: horizon, now, channel, notices; places, variants, generations
/// read; then the columns of the meta. Answers how many were.
pub(super) fn renew(layout: &Layout) -> Query {
    let mut types = vec![
        Type::INT8,
        Type::INT8,
        Type::TEXT,
        Type::TEXT_ARRAY,
        Type::BYTEA_ARRAY,
        Type::BYTEA_ARRAY,
        Type::INT8_ARRAY,
    ];
    let columns: Vec<_> = meta(layout).collect();
    let arrays: Vec<_> = (5..5 + 3 + columns.len())
        .map(|n| format!("${n}"))
        .collect();
    types.extend(columns.iter().map(|(_, ty)| ty.clone()));
    let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let set: Vec<_> = names
        .iter()
        .map(|name| format!("{name} = n.{name}"))
        .collect();
    let sql = format!(
        "WITH done AS (UPDATE {table} AS t SET {}, used_at = $2, generation = t.generation + 1 \
         FROM unnest({}) AS n(place, variant, read, {}) \
         WHERE t.{} = n.place AND t.variant = n.variant AND t.generation = n.read AND {UNINDEXED}t.expires_at > $1 \
         AND {} = {} RETURNING 1) \
         SELECT (SELECT count(*) FROM done), \
         (SELECT count(pg_notify($3, p)) FROM unnest($4) AS p WHERE EXISTS (SELECT FROM done))",
        set.join(", "),
        arrays.join(", "),
        names.join(", "),
        layout.address,
        // The body stays, and what is said of it has to.
        SEAL.replace('%', "t"),
        SEAL.replace('%', "n"),
        table = layout.table,
    );
    Query::new(sql, types)
}

/// Deletes every variant at places. Parameters: places, channel, notices. Answers the place and expiry of each.
pub(super) fn delete(layout: &Layout) -> Query {
    let (table, address) = (&layout.table, &layout.address);
    let sql = format!(
        "WITH gone AS (DELETE FROM {table} WHERE {address} = ANY($1) RETURNING {address} AS place, expires_at), \
         told AS MATERIALIZED (SELECT count(pg_notify($2, p)) AS number FROM unnest($3) AS p WHERE EXISTS (SELECT FROM gone)) \
         SELECT gone.place, gone.expires_at FROM gone CROSS JOIN told"
    );
    Query::new(sql, [Type::BYTEA_ARRAY, Type::TEXT, Type::TEXT_ARRAY])
}

/// Deletes rows that are still of the generation given. Parameters: places, variants, generations. Answers how many.
pub(super) fn delete_rows(layout: &Layout) -> Query {
    let sql = format!(
        "WITH gone AS (DELETE FROM {} AS t USING unnest($1, $2, $3) AS n(place, variant, generation) \
         WHERE t.{} = n.place AND t.variant = n.variant AND t.generation = n.generation RETURNING 1) \
         SELECT count(*) FROM gone",
        layout.table, layout.address
    );
    Query::new(
        sql,
        [Type::BYTEA_ARRAY, Type::BYTEA_ARRAY, Type::INT8_ARRAY],
    )
}

/// Writes uses. Parameters: places, variants, moments. Rows that somebody else has in hand are left.
pub(super) fn used(layout: &Layout) -> Query {
    let (table, address) = (&layout.table, &layout.address);
    let sql = format!(
        "UPDATE {table} AS t SET used_at = u.used FROM (SELECT o.{address} AS place, o.variant, n.used \
         FROM unnest($1, $2, $3) AS n(place, variant, used) JOIN {table} AS o ON o.{address} = n.place AND o.variant = n.variant \
         WHERE o.used_at < n.used FOR UPDATE OF o SKIP LOCKED) AS u \
         WHERE t.{address} = u.place AND t.variant = u.variant"
    );
    Query::new(
        sql,
        [Type::BYTEA_ARRAY, Type::BYTEA_ARRAY, Type::INT8_ARRAY],
    )
}

/// The columns that an entry is made of, in the order in which they are read.
pub(super) fn selected(layout: &Layout, parts: Parts) -> String {
    // Who wants a body alone pays for as few columns as can be.
    let mut sql =
        "variant, generation, stored_at, checked_at, expires_at, used_at, facts".to_owned();
    if parts != Parts::Meta {
        sql += ", body";
    }
    if parts != Parts::Body {
        sql += ", status, label, changed_at, tags, url, headers";
        for column in &layout.columns {
            sql += &format!(", {column}");
        }
    }
    sql
}

/// The columns of a scan: those of the entry, then those of its address, then its place.
pub(super) fn selected_with_address(layout: &Layout, parts: Parts) -> String {
    let mut sql = selected(layout, parts);
    for field in &layout.fields {
        sql += &format!(", {field}");
    }
    format!("{sql}, query, partition, {}", layout.address)
}

/// The columns that a 304 may change.
fn meta(layout: &Layout) -> impl Iterator<Item = (String, Type)> {
    let declared = layout
        .columns
        .iter()
        .map(|c| (c.to_string(), Type::JSONB_ARRAY));
    META.into_iter()
        .map(|(name, ty)| (name.to_owned(), ty))
        .chain(declared)
}
