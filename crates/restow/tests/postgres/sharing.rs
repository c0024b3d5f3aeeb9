//! Many programs on one database.

use crate::{
    liar::{AUTHENTICATION, How, Liar, Lie},
    support::*,
};
use futures_util::{StreamExt, future::try_join_all};
use restow::{
    BoxStream, Selection,
    store::{Change, Store, TableName, TierOptions, TieredStore},
};
use restow_testkit::Postgres;
use std::{sync::Arc, time::Duration};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_starters_make_one_store() {
    let server = Postgres::shared();
    for _ in 0..4 {
        let url = server.fresh();
        let starters = (0..16).map(|n: u32| {
            let url = url.clone();
            tokio::spawn(async move {
                let store = open(&url).await?;
                let table = store.open(&tracks()).await?;
                save(&*table, &n.to_string(), "body").await?;
                store.secret().await
            })
        });
        let mut secrets = Vec::new();
        for secret in try_join_all(starters.collect::<Vec<_>>()).await.unwrap() {
            secrets.push(secret.unwrap());
        }
        secrets.dedup();
        assert_eq!(secrets.len(), 1);
        let store = open(&url).await.unwrap();
        let table = store.open(&tracks()).await.unwrap();
        assert_eq!(table.count(&Selection::default(), T0).await.unwrap(), 16);
        assert_eq!(store.tables().await.unwrap().len(), 1);
    }
}

/// Waits for what is told next.
async fn heard(changes: &mut BoxStream<'static, Change>) -> String {
    let next = tokio::time::timeout(Duration::from_secs(10), changes.next()).await;
    match next
        .expect("something is heard")
        .expect("the store is open")
    {
        Change::Address(table, at) => format!("{table} {}", at.key),
        Change::Table(table) => format!("{table}"),
        Change::Everything => "everything".to_owned(),
        other => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_hears_what_others_change_and_not_itself() {
    let url = Postgres::shared().fresh();
    let (one, other) = (open(&url).await.unwrap(), open(&url).await.unwrap());
    let (mine, theirs) = (
        one.open(&tracks()).await.unwrap(),
        other.open(&tracks()).await.unwrap(),
    );
    let mut changes = one.changes().unwrap();
    assert_eq!(
        heard(&mut changes).await,
        "everything",
        "it begins to listen"
    );
    save(&*mine, "mine", "body").await.unwrap();
    save(&*theirs, "a", "body").await.unwrap();
    assert_eq!(heard(&mut changes).await, "tracks a");
    theirs.delete(&[at("nothing")], T0).await.unwrap();
    theirs.delete(&[at("a"), at("b")], T0).await.unwrap();
    assert_eq!(heard(&mut changes).await, "tracks a");
    assert_eq!(heard(&mut changes).await, "tracks b");
    theirs.clear(&Selection::default(), 10, T0).await.unwrap();
    assert_eq!(heard(&mut changes).await, "tracks");
    let many: Vec<_> = (0..5_000)
        .map(|i| write(entry(at(&format!("{i:0100}")), "body")))
        .collect();
    theirs.write(&many, T0).await.unwrap();
    // Told as a whole, once.
    assert_eq!(heard(&mut changes).await, "tracks");
    other
        .remove(&TableName::new("tracks").unwrap())
        .await
        .unwrap();
    while heard(&mut changes).await != "tracks" {}
    one.close().await.unwrap();
    assert!(
        changes.next().await.is_none(),
        "a closed store tells nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_connection_means_that_everything_may_have_changed() {
    let server = Postgres::start();
    let store = open(&server.fresh()).await.unwrap();
    let mut changes = store.changes().unwrap();
    assert_eq!(heard(&mut changes).await, "everything");
    server.kill();
    assert_eq!(heard(&mut changes).await, "Silence");
    server.restart();
    assert_eq!(heard(&mut changes).await, "everything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_login_that_is_not_answered_is_tried_again() {
    let server = Postgres::shared();
    let liar = Liar::before(server).await;
    let url = liar.through(server, &server.fresh());
    let store = open(&format!("{url}&server_timeout=500ms")).await.unwrap();
    let mut changes = store.changes().unwrap();
    liar.tell(Lie::Of(AUTHENTICATION, How::HalfAndSilence));
    let heard = tokio::spawn(async move { heard(&mut changes).await });
    let lied = async {
        while liar.told() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let lied = tokio::time::timeout(Duration::from_secs(10), lied).await;
    lied.expect("it connects");
    liar.tell(Lie::None);
    assert_eq!(heard.await.unwrap(), "everything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_memory_tier_forgets_what_others_change() {
    let url = Postgres::shared().fresh();
    let options = TierOptions::new(1 << 20).recheck(Duration::from_secs(3_600));
    let tier = TieredStore::new(open(&url).await.unwrap(), options).unwrap();
    let (mine, other) = (
        tier.open(&tracks()).await.unwrap(),
        open(&url).await.unwrap(),
    );
    let theirs = other.open(&tracks()).await.unwrap();
    save(&*theirs, "a", "0").await.unwrap();
    for n in 1..20 {
        let before = body(&*mine, "a").await.unwrap();
        assert!(before.is_some());
        save(&*theirs, "a", &n.to_string()).await.unwrap();
        // It is told after the commit, and heard within a second.
        let heard = async {
            while body(&*mine, "a").await.unwrap().as_deref() != Some(&n.to_string()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(1), heard)
            .await
            .expect("it is heard within a second");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_the_same_entries_in_other_orders_all_succeed() {
    let url = Postgres::shared().fresh();
    let store = open(&url).await.unwrap();
    let table = store.open(&tracks()).await.unwrap();
    let writers = (0..8_u32).map(|n| {
        let table = Arc::clone(&table);
        tokio::spawn(async move {
            for _ in 0..10 {
                let mut all: Vec<_> = (0..200)
                    .map(|i: u32| write(entry(at(&i.to_string()), "body")))
                    .collect();
                all.rotate_left(n as usize * 25);
                table.write(&all, T0).await?;
                table.clear(&Selection::default(), 50, T0).await?;
            }
            Ok::<_, restow::Error>(())
        })
    });
    for done in try_join_all(writers.collect::<Vec<_>>()).await.unwrap() {
        done.unwrap();
    }
}
