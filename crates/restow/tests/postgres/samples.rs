//! Tables that are too large to be counted: their numbers are those of a sample.

use crate::support::*;
use restow::store::{Budget, Stats, Store, Table, TableSpec};
use restow_testkit::Postgres;
use std::{sync::Arc, time::Duration};

const ENTRIES: u64 = 40_000;
/// Every third has the first of them, the next the second, and so on.
const SIZES: [u64; 3] = [100, 600, 1_400];
const BYTES: u64 = ENTRIES / 3 * (SIZES[0] + SIZES[1] + SIZES[2]);
const DAYS: Duration = Duration::from_secs(2 * 86_400);

/// A table of many pages, filled by SQL: half of the entries are of two days ago, every fourth has expired, and they were used one after the other.
struct Large {
    server: Postgres,
    table_name: String,
    store: Arc<dyn Store>,
    table: Arc<dyn Table>,
}

impl Large {
    async fn with(budget: Budget) -> Self {
        let server = Postgres::start();
        let url = server.fresh();
        let store = open(&url).await.unwrap();
        let spec = TableSpec { budget, ..tracks() };
        let table = store.open(&spec).await.unwrap();
        save(&*table, "template", "body").await.unwrap();
        let schema = url.split_once("schema=").unwrap().1;
        let large = Self {
            table_name: format!("{schema}.tracks"),
            server,
            store,
            table,
        };
        large.fill(schema);
        large
    }

    fn fill(&self, schema: &str) {
        let table = &self.table_name;
        let columns = self.server.sql(&format!(
            "SELECT quote_ident(column_name) FROM information_schema.columns \
             WHERE table_schema = '{schema}' AND table_name = 'tracks'"
        ));
        let values: Vec<_> = columns.lines().map(value).collect();
        let columns: Vec<_> = columns.lines().collect();
        // So that a few rows make a page.
        self.server.sql(&format!(
            "ALTER TABLE {table} SET (fillfactor = 10); \
             INSERT INTO {table} ({}) SELECT {} FROM {table}, generate_series(1, {ENTRIES}) AS i; \
             DELETE FROM {table} WHERE id = 'template'; ANALYZE {table}",
            columns.join(", "),
            values.join(", "),
        ));
        let pages = self.ask("pg_relation_size(min(tableoid)) / 8192");
        assert!(pages > 10_000, "{pages} pages would be counted");
    }

    fn ask(&self, what: &str) -> u64 {
        let sql = format!("SELECT {what} FROM {}", self.table_name);
        self.server.sql(&sql).parse().unwrap()
    }

    /// Checks that what is left was used last.
    fn is_in_order(&self) {
        let left = self.ask("count(*)");
        assert_eq!(self.ask("max(id::int)"), ENTRIES);
        assert_eq!(self.ask("min(id::int)"), ENTRIES + 1 - left);
    }
}

/// What the `i`th entry has in a column.
fn value(column: &str) -> String {
    let now = T0.0;
    match column {
        "id" => "i::text".to_owned(),
        "used_at" => format!("{now} + i"),
        "stored_at" => format!("{now} - i % 2 * {}", DAYS.as_millis()),
        "expires_at" => format!("CASE i % 4 WHEN 0 THEN {now} - 1 ELSE {now} + 60000 END"),
        "size" => format!("(ARRAY{SIZES:?})[1 + i % 3]"),
        address if address.starts_with("restow_key_") => {
            "substr(sha256(i::text::bytea), 1, 24)".to_owned()
        }
        other => other.to_owned(),
    }
}

/// Checks that a number is right within some percent.
fn about(what: &str, number: u64, right: u64, percent: u64) {
    let off = number.abs_diff(right) * 100;
    assert!(
        off <= right * percent,
        "{what}: {number} is not about {right}"
    );
}

/// What all these estimates say in the mean.
fn mean(all: &[Stats], of: fn(&Stats) -> u64) -> u64 {
    all.iter().map(of).sum::<u64>() / all.len() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_numbers_of_a_large_table_are_right_within_some_percent() {
    let large = Large::with(Budget::default()).await;
    let mut all = Vec::new();
    for _ in 0..20 {
        let stats = large.table.stats(T0).await.unwrap();
        assert!(!stats.exact && !stats.ages.exact, "{stats:?}");
        // Each of them is of some 400 pages: five times what they are off by as a rule.
        about("entries", stats.entries, ENTRIES, 25);
        about("bytes", stats.bytes, BYTES, 30);
        assert_eq!(stats.newest, Some(T0));
        assert_eq!(stats.oldest, Some(T0.minus(DAYS)));
        all.push(stats);
    }
    about("entries", mean(&all, |s| s.entries), ENTRIES, 8);
    about("bytes", mean(&all, |s| s.bytes), BYTES, 8);
    about("expired", mean(&all, |s| s.expired), ENTRIES / 4, 8);
    let [today, _, lately, ..]: [fn(&Stats) -> u64; 5] = [
        |s| s.ages.stored[0].entries,
        |s| s.ages.stored[1].entries,
        |s| s.ages.stored[2].entries,
        |s| s.ages.stored[3].entries,
        |s| s.ages.stored[4].entries,
    ];
    about("of today", mean(&all, today), ENTRIES / 2, 8);
    about("of two days ago", mean(&all, lately), ENTRIES / 2, 8);
    let expires = mean(&all, |s| s.ages.expires[0].entries);
    about("that expire soon", expires, ENTRIES / 4 * 3, 8);
    let trimmed = large.store.trim(Budget::default(), 0).await.unwrap();
    about("entries of all tables", trimmed.entries, ENTRIES, 12);
    about("bytes of all tables", trimmed.bytes, BYTES, 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_table_is_kept_within_its_budget() {
    let most = 30_000;
    let large = Large::with(Budget {
        entries: Some(most),
        ..Budget::default()
    })
    .await;
    // No more than that at once.
    assert_eq!(large.table.sweep(1_000, T0).await.unwrap(), 1_000);
    assert_eq!(large.ask("count(*)"), ENTRIES - 1_000);
    large.is_in_order();
    let swept = large.table.sweep(u64::MAX, T0).await.unwrap();
    assert_eq!(large.ask("count(*)"), ENTRIES - 1_000 - swept);
    about("what is left", large.ask("count(*)"), most, 15);
    large.is_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_tables_are_kept_within_a_budget_of_bytes() {
    let large = Large::with(Budget::default()).await;
    let most = BYTES / 4 * 3;
    let budget = Budget {
        bytes: Some(most),
        ..Budget::default()
    };
    let trimmed = large.store.trim(budget, u64::MAX).await.unwrap();
    assert_eq!(large.ask("count(*)"), ENTRIES - trimmed.removed);
    about("what is left", large.ask("sum(size)"), most, 15);
    about("what is said to be left", trimmed.bytes, most, 1);
    large.is_in_order();
}
