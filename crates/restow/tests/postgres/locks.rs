//! Rows that another session has in hand.

use crate::support::*;
use restow::{
    Millis, Selection,
    store::{Store, Table},
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
        let server = Postgres::start();
        let url = server.fresh();
        let store = open(&format!("{url}&server_timeout=500ms")).await.unwrap();
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
        let (client, connection) = tokio_postgres::connect(&self.server.url(), NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let sql = format!(
            "BEGIN; SELECT FROM {}.tracks WHERE id = ANY('{{{ids}}}') FOR UPDATE",
            self.schema
        );
        client.batch_execute(&sql).await.unwrap();
        client
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
        let swept = tokio::time::timeout(PATIENCE, self.table.sweep(limit, past()));
        swept.await.expect("it waits for nobody").unwrap()
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

/// A change that nobody waits for any more is waited for by all later ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_dropped_holds_up_others_for_no_longer_than_a_server_may_take() {
    let place = Place::with(20).await;
    let other = place.holding("3,4").await;
    let table = place.table.clone();
    let cleared = tokio::spawn(async move { table.clear(&Selection::default(), 100, T0).await });
    place
        .until("the rest is waited for", |place| place.waiting() == "1")
        .await;
    cleared.abort();
    assert!(cleared.await.unwrap_err().is_cancelled());
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
