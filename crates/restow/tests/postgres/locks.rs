//! Rows that another session has in hand.

use crate::support::*;
use futures_util::StreamExt as _;
use restow::{
    ErrorKind, Field, Millis, Result, Selection,
    store::{Budget, Lease, Parts, Store, Table, TableSpec},
};
use restow_testkit::Postgres;
use std::{sync::Arc, time::Duration};
use tokio_postgres::{Client, NoTls};

/// However busy a machine is, it is done by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// A table, and SQL beside it.
struct Place {
    server: Postgres,
    schema: String,
    store: Arc<dyn Store>,
    table: Arc<dyn Table>,
}

impl Place {
    /// With so many entries.
    async fn with(entries: usize) -> Self {
        Self::within("500ms", entries).await
    }

    /// The same where the server may take so long.
    async fn within(timeout: &str, entries: usize) -> Self {
        let server = Postgres::start();
        let url = server.fresh();
        let store = open(&format!("{url}&server_timeout={timeout}"))
            .await
            .unwrap();
        let table = store.open(&tracks()).await.unwrap();
        let all: Vec<_> = (0..entries)
            .map(|n| write(entry(at(&n.to_string()), "body")))
            .collect();
        table.write(&all, T0).await.unwrap();
        let schema = url.split_once("schema=").unwrap().1.to_owned();
        Self {
            server,
            schema,
            store,
            table,
        }
    }

    /// A session that holds what has these ids, until it is told otherwise.
    async fn holding(&self, ids: &str) -> Client {
        let rows = format!("SELECT FROM tracks WHERE id = ANY('{{{ids}}}') FOR UPDATE");
        self.session(&rows).await
    }

    /// A session that has done this, in a transaction that does not end by itself.
    async fn session(&self, sql: &str) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.server.url(), NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let schema = &self.schema;
        let sql = format!("SET search_path = {schema}; BEGIN; {sql}");
        client.batch_execute(&sql).await.unwrap();
        client
    }

    /// Clears the table where rows are held, and gives that up.
    async fn drop_a_clear_that_waits(&self) {
        let table = self.table.clone();
        let cleared =
            tokio::spawn(async move { table.clear(&Selection::default(), 100, T0).await });
        self.until("the rest is waited for", |place| place.waiting() == "1")
            .await;
        cleared.abort();
        assert!(cleared.await.unwrap_err().is_cancelled());
    }

    /// From now on it is counted how many indexes are made, whatever becomes of them.
    fn count_indexes(&self) {
        let schema = &self.schema;
        self.server.sql(&format!(
            "CREATE SEQUENCE {schema}.made MINVALUE 0; \
             CREATE FUNCTION {schema}.made() RETURNS event_trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM nextval('{schema}.made'); END $$; \
             CREATE EVENT TRIGGER made ON ddl_command_end WHEN TAG IN ('CREATE INDEX') \
             EXECUTE FUNCTION {schema}.made()"
        ));
    }

    fn indexes(&self) -> String {
        let sql = "SELECT last_value + is_called::int FROM";
        self.server.sql(&format!("{sql} {}.made", self.schema))
    }

    /// A table that nobody has in hand, and that is ready for a budget.
    async fn other_table(&self) -> Arc<dyn Table> {
        let spec = TableSpec {
            ranked: true,
            ..TableSpec::new("others", vec![Field::text("id")]).unwrap()
        };
        self.store.open(&spec).await.unwrap()
    }

    /// Tries what takes longer than anybody waits, then lets it be done: it was begun once, and others went on meanwhile.
    async fn is_begun_once<T>(&self, attempt: impl AsyncFn() -> Result<T>) {
        let other = self.other_table().await;
        self.count_indexes();
        let holder = self.session("LOCK TABLE tracks IN ROW EXCLUSIVE MODE");
        let holder = holder.await;
        for _ in 0..4 {
            // Longer than a server may take.
            let tried = tokio::time::timeout(Duration::from_millis(300), attempt()).await;
            assert!(
                tried.is_err(),
                "it is done while another one holds the table"
            );
        }
        in_time(save(&*other, "a", "body")).await.unwrap();
        self.until("one of them waits", |place| place.waiting() == "1")
            .await;
        holder.batch_execute("ROLLBACK").await.unwrap();
        in_time(attempt()).await.unwrap();
        assert_eq!(self.indexes(), "1");
    }

    /// The ids of what is there.
    fn ids(&self) -> String {
        let sql = "SELECT coalesce(string_agg(id, ',' ORDER BY id), '') FROM";
        self.server.sql(&format!("{sql} {}.tracks", self.schema))
    }

    /// How many statements wait for a lock.
    fn waiting(&self) -> String {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        self.server.sql(sql)
    }

    async fn until(&self, why: &str, is: impl Fn(&Self) -> bool) {
        let so = async {
            while !is(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let so = tokio::time::timeout(PATIENCE, so).await;
        so.unwrap_or_else(|_| panic!("{why}: {:?} are there", self.ids()));
    }

    async fn sweep(&self, limit: u64) -> u64 {
        in_time(self.table.sweep(limit, past())).await.unwrap()
    }
}

async fn in_time<T>(what: impl IntoFuture<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, what).await;
    done.expect("it waits for nobody")
}

/// A budget of entries that is no matter.
fn budget() -> Budget {
    Budget {
        entries: Some(1_000),
        ..Budget::default()
    }
}

/// When nothing is kept any more.
fn past() -> Millis {
    T0.plus(HOUR).plus(tracks().keep).plus(HOUR)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_goes_past_what_others_have_in_hand_and_takes_it_later() {
    let place = Place::with(20).await;
    let other = place.holding("3,4").await;
    assert_eq!(place.sweep(100).await, 18);
    assert_eq!(place.ids(), "3,4");
    assert_eq!(place.sweep(100).await, 0);
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(place.sweep(100).await, 2);
    assert_eq!(place.ids(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_removes_no_more_than_its_limit_and_that_in_chunks() {
    let place = Place::with(2_500).await;
    let schema = &place.schema;
    place.server.sql(&format!(
        "CREATE TABLE {schema}.gone (count bigint); \
         CREATE FUNCTION {schema}.note() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO {schema}.gone SELECT count(*) FROM gone; RETURN NULL; END $$; \
         CREATE TRIGGER note AFTER DELETE ON {schema}.tracks REFERENCING OLD TABLE AS gone \
         FOR EACH STATEMENT EXECUTE FUNCTION {schema}.note()"
    ));
    assert_eq!(place.sweep(0).await, 0);
    assert_eq!(place.sweep(1_700).await, 1_700);
    assert_eq!(place.sweep(5_000).await, 800);
    let chunks = format!("SELECT count FROM {schema}.gone WHERE count > 0 ORDER BY count");
    assert_eq!(place.server.sql(&chunks), "700\n800\n1000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_clears_waits_in_the_end_for_what_others_have_in_hand() {
    let place = Place::with(20).await;
    let other = place.holding("3,4").await;
    let table = place.table.clone();
    let cleared =
        tokio::spawn(async move { table.clear(&Selection::default(), 100, T0).await.unwrap() });
    place
        .until("what is free goes first", |place| place.ids() == "3,4")
        .await;
    place
        .until("the rest is waited for", |place| place.waiting() == "1")
        .await;
    other.batch_execute("ROLLBACK").await.unwrap();
    let cleared = tokio::time::timeout(PATIENCE, cleared).await;
    assert_eq!(cleared.expect("it goes on").unwrap(), 20);
}

/// A change that nobody waits for any more is waited for by all later ones of the same table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_dropped_holds_up_others_for_no_longer_than_a_server_may_take() {
    let place = Place::with(20).await;
    let other = place.holding("3,4").await;
    place.drop_a_clear_that_waits().await;
    // It is not the lock that ends.
    let saved = tokio::time::timeout(PATIENCE, save(&*place.table, "new", "body"));
    saved.await.expect("it is answered").unwrap();
    place
        .until("it is ended", |place| place.waiting() == "0")
        .await;
    assert_eq!(place.ids(), "3,4,new");
    let closed = tokio::time::timeout(PATIENCE, place.store.close());
    closed.await.expect("it is closed").unwrap();
    drop(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_dropped_holds_up_neither_other_tables_nor_leases() {
    // Longer than the test.
    let place = Place::within("3600s", 20).await;
    let other = place.other_table().await;
    let holder = place.holding("3,4").await;
    place.drop_a_clear_that_waits().await;
    in_time(save(&*other, "a", "body")).await.unwrap();
    let leases = place.store.leases().unwrap();
    let (name, key) = (tracks().name, at("3"));
    let lease = in_time(leases.acquire(&name, &key, HOUR, T0)).await;
    let Lease::Held(fence) = lease.unwrap() else {
        panic!("nobody else has it");
    };
    assert!(
        in_time(leases.renew(&name, &key, fence, HOUR, T0))
            .await
            .unwrap()
    );
    in_time(leases.release(&name, &key, fence)).await.unwrap();
    in_time(place.table.sweep(100, T0)).await.unwrap();
    assert_eq!(place.waiting(), "1", "it is still not done");
    drop(holder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_takes_longer_than_anybody_waits_is_made_once() {
    let place = Place::within("100ms", 20).await;
    let spec = TableSpec {
        budget: budget(),
        ..tracks()
    };
    place
        .is_begun_once(async || place.store.open(&spec).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_a_budget_over_all_tables_is_made_once() {
    let place = Place::within("100ms", 20).await;
    place
        .is_begun_once(async || place.store.trim(budget(), 1).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_while_a_table_is_locked_does_not_stay_on_the_server() {
    let place = Place::within("100ms", 1).await;
    let other = place.other_table().await;
    let holder = place.session("LOCK TABLE tracks IN ACCESS EXCLUSIVE MODE");
    let holder = holder.await;
    let many: Vec<_> = (0..300)
        .map(|n| write(entry(at(&n.to_string()), "body")))
        .collect();
    let everything = Selection::default();
    for _ in 0..10 {
        let (read, saved) = tokio::join!(body(&*place.table, "0"), save(&*place.table, "0", ""));
        for error in [read.unwrap_err(), saved.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
        }
        // Who takes a connection of his own is waited for.
        let mut scan = place.table.scan(&everything, Parts::Whole, T0);
        let long = Duration::from_millis(100);
        let scanned = tokio::time::timeout(long, scan.next()).await;
        let written = tokio::time::timeout(long, place.table.write(&many, T0)).await;
        assert!(scanned.is_err() && written.is_err());
    }
    place
        .until("all of it ends", |place| place.waiting() == "0")
        .await;
    in_time(save(&*other, "a", "body")).await.unwrap();
    holder.batch_execute("ROLLBACK").await.unwrap();
    in_time(save(&*place.table, "0", "new")).await.unwrap();
}
