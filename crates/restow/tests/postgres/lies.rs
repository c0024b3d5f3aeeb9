//! A server that lies, behind a relay that changes what it says: nobody is given a wrong body, nobody panics, and no request fails.

use crate::{
    liar::{How, Liar, Lie, ROW, lies},
    panics::panics,
    support::*,
};
use futures_util::TryStreamExt as _;
use restow::{
    ErrorKind, Field, Selection,
    entry::Entry,
    store::{Budget, Lease, Parts, Renewal, Store, Table, TableSpec},
};
use restow_testkit::Postgres;
use std::{sync::Arc, time::Duration};

/// What a store may fail with that is lied to.
const KINDS: [ErrorKind; 7] = [
    ErrorKind::Store,
    ErrorKind::Busy,
    ErrorKind::Corrupt,
    ErrorKind::ReadOnly,
    ErrorKind::NoSuchRepository,
    // A write's answer says by one bit whether a lease was lost.
    ErrorKind::Fenced,
    // Which format it has is also what the server says.
    ErrorKind::Format,
];

fn failed(lie: Lie, error: &restow::Error) {
    assert!(KINDS.contains(&error.kind()), "{lie:?}: {error:?}");
}

fn body_of(id: &str) -> String {
    format!("this is the body of {id}")
}

/// An entry is its own, or not there.
fn check(lie: Lie, entry: &Entry) {
    let id = entry.id.address.key.to_string();
    let body = std::str::from_utf8(&entry.body).unwrap();
    assert!(
        (0..10).any(|n| id.contains(&n.to_string()) && body == body_of(&n.to_string())),
        "{lie:?}: {id} has the body {body:?}"
    );
}

async fn fill(table: &dyn Table) {
    let all: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    let all = all.iter().map(|id| write(entry(at(id), &body_of(id))));
    table.write(&all.collect::<Vec<_>>(), T0).await.unwrap();
}

/// Asks for all there is, in each way; what comes is right, and errors are of the kinds that a store's failures have.
async fn ask(lie: Lie, table: &dyn Table) {
    let ids: Vec<_> = (0..10).map(|n| at(&n.to_string())).collect();
    let mut read = Vec::new();
    for id in &ids {
        match table.read(id, Parts::Whole, T0).await {
            Ok(found) => found.iter().for_each(|entry| {
                assert_eq!(entry.id.address, *id, "{lie:?}");
                check(lie, entry);
                read.push(entry.clone());
            }),
            Err(error) => failed(lie, &error),
        }
    }
    match table.read_many(&ids, Parts::Whole, T0).await {
        Ok(all) => {
            assert_eq!(all.len(), ids.len(), "{lie:?}");
            for (id, found) in ids.iter().zip(&all) {
                for entry in found.iter() {
                    assert_eq!(entry.id.address, *id, "{lie:?}");
                    check(lie, entry);
                }
            }
        }
        Err(error) => failed(lie, &error),
    }
    if let Err(error) = save(table, "0", &body_of("0")).await {
        failed(lie, &error);
    }
    let renewals = read.iter().map(|entry| Renewal {
        id: entry.id.clone(),
        read: entry.generation,
        meta: entry.meta.clone(),
    });
    let renewals: Vec<_> = renewals.collect();
    for changed in [
        table.renew(&renewals, T0).await,
        table.delete(&ids[9..], T0).await,
    ] {
        if let Err(error) = changed {
            failed(lie, &error);
        }
    }
    go_over(lie, table).await;
}

/// Asks what may go over a whole table. That takes its time; it is the breaker that bounds it.
async fn go_over(lie: Lie, table: &dyn Table) {
    let bounded = Duration::from_millis(500);
    let all = Selection::default();
    let scanned = async {
        let scanned = table.scan(&all, Parts::Whole, T0).try_collect::<Vec<_>>();
        for entry in scanned.await? {
            check(lie, &entry);
        }
        Ok(0)
    };
    let stats = async { table.stats(T0).await.map(|stats| stats.entries) };
    let partitions = async { table.partitions(T0).await.map(|all| all.len() as u64) };
    let asked = tokio::join!(
        tokio::time::timeout(bounded, scanned),
        tokio::time::timeout(bounded, stats),
        tokio::time::timeout(bounded, partitions),
        tokio::time::timeout(bounded, table.count(&all, T0)),
        tokio::time::timeout(bounded, table.sweep(10, T0)),
        tokio::time::timeout(bounded, table.clear(&all, 1, T0)),
    );
    for asked in [asked.0, asked.1, asked.2, asked.3, asked.4, asked.5] {
        if let Ok(Err(error)) = asked {
            failed(lie, &error);
        }
    }
}

/// Asks the store itself, and for a lease.
async fn ask_store(lie: Lie, store: &dyn Store) {
    let bounded = Duration::from_millis(500);
    let leases = store.leases().unwrap();
    let (name, place, hold) = (tracks().name, at("0"), Duration::from_secs(1));
    let leased = async {
        let lease = leases.acquire(&name, &place, hold, T0).await?;
        if let Lease::Held(fence) = lease {
            leases.renew(&name, &place, fence, hold, T0).await?;
            leases.release(&name, &place, fence).await?;
        }
        Ok(())
    };
    let most = Budget::default();
    let asked = tokio::join!(
        tokio::time::timeout(bounded, leased),
        tokio::time::timeout(bounded, async { store.secret().await.map(drop) }),
        tokio::time::timeout(bounded, async { store.tables().await.map(drop) }),
        tokio::time::timeout(bounded, async { store.trim(most, 1).await.map(drop) }),
        tokio::time::timeout(bounded, store.commit()),
    );
    for asked in [asked.0, asked.1, asked.2, asked.3, asked.4] {
        if let Ok(Err(error)) = asked {
            failed(lie, &error);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_server_says_nobody_is_given_a_wrong_body() {
    let (server, panics) = (Postgres::start(), panics());
    let liar = Liar::before(&server).await;
    let url = server.fresh();
    let through = liar.through(&server, &url);
    let store = open(&format!("{through}&server_timeout=100ms"))
        .await
        .unwrap();
    let table = store.open(&tracks()).await.unwrap();
    let honest = open(&url).await.unwrap().open(&tracks()).await.unwrap();
    for lie in lies() {
        let told = liar.told();
        let asked = async {
            // One bit in each row, and each time another one.
            for _ in 0..if lie == Lie::Of(ROW, How::Flipped) {
                30
            } else {
                1
            } {
                // What a lie had removed as damaged is put there again, by who is not lied to.
                fill(&*honest).await;
                liar.tell(lie);
                ask(lie, &*table).await;
                ask_store(lie, &*store).await;
            }
        };
        // Each call has the time that the driver waits for, and is tried again where that may help.
        let asked = tokio::time::timeout(Duration::from_secs(60), asked).await;
        asked.unwrap_or_else(|_| panic!("{lie:?}: somebody waits without end"));
        assert!(liar.told() > told, "{lie:?} was never told");
        liar.tell(Lie::None);
        // What it was lied to about may have been removed, and its own save refused.
        fill(&*honest).await;
        comes_back(lie, &table).await;
    }
    assert_eq!(panics(), 0);
    store.close().await.unwrap();
}

async fn comes_back(lie: Lie, table: &Arc<dyn Table>) {
    let mut last = Ok(None);
    let back = async {
        while !matches!(last, Ok(Some(_))) {
            last = body(&**table, "0").await;
            tokio::task::yield_now().await;
        }
    };
    let back = tokio::time::timeout(Duration::from_secs(10), back).await;
    assert!(back.is_ok(), "after {lie:?} it never comes back: {last:?}");
    let counted = async { while table.count(&Selection::default(), T0).await.ok() != Some(10) {} };
    let counted = tokio::time::timeout(Duration::from_secs(10), counted).await;
    assert!(counted.is_ok(), "after {lie:?} nothing is counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_server_says_at_the_opening_is_an_error_or_no_lie_at_all() {
    let (server, panics) = (Postgres::start(), panics());
    let liar = Liar::before(&server).await;
    let url = server.fresh();
    let through = format!("{}&server_timeout=100ms", liar.through(&server, &url));
    let others = TableSpec::new("others", vec![Field::text("id")]).unwrap();
    let other = open(&url).await.unwrap().open(&others).await.unwrap();
    // Some of what an opening asks is answered before.
    let all = lies().flat_map(|lie| [0, 1, 3, 8, 20].map(|honest| (lie, honest)));
    for (lie, honest) in all {
        // An entry of the same address that is another's.
        save(&*other, "0", "of another").await.unwrap();
        liar.tell_after(honest, lie);
        let opened = async {
            let store = open(&through).await?;
            let table = store.open(&tracks()).await?;
            Ok((store, table))
        };
        // To open may take its time; it is the breaker that bounds it.
        match tokio::time::timeout(Duration::from_millis(700), opened).await {
            Ok(Ok((store, table))) => {
                let asked = async {
                    ask(lie, &*table).await;
                    ask_store(lie, &*store).await;
                };
                let asked = tokio::time::timeout(Duration::from_secs(30), asked).await;
                asked.unwrap_or_else(|_| panic!("{lie:?}: somebody waits without end"));
            }
            Ok(Err(error)) => failed(lie, &error),
            Err(_) => {}
        }
        liar.tell(Lie::None);
        let store = open(&url).await.unwrap();
        let table = store.open(&tracks()).await.unwrap();
        if let Some(body) = body(&*table, "0").await.unwrap() {
            assert_eq!(body, body_of("0"), "{lie:?} after {honest}");
        }
        fill(&*table).await;
        let theirs = body(&*other, "0").await.unwrap();
        assert_eq!(theirs.unwrap(), "of another", "{lie:?} after {honest}");
        // The next one makes it anew.
        store.remove(&tracks().name).await.unwrap();
        store.close().await.unwrap();
    }
    assert_eq!(panics(), 0);
}

/// As where answers come one question late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_another_repository_under_the_same_key_is_none() {
    let server = Postgres::start();
    let liar = Liar::before(&server).await;
    let url = server.fresh();
    let store = open(&liar.through(&server, &url)).await.unwrap();
    let albums = TableSpec::new("albums", vec![Field::text("id")]).unwrap();
    let tracks = store.open(&tracks()).await.unwrap();
    let albums = store.open(&albums).await.unwrap();
    for (table, body) in [(&tracks, "of tracks"), (&albums, "of albums")] {
        save(&**table, "0", body).await.unwrap();
    }
    // Its row is the last that the liar has heard.
    assert_eq!(body(&*albums, "0").await.unwrap().unwrap(), "of albums");
    liar.tell(Lie::Of(ROW, How::Others));
    assert_eq!(body(&*tracks, "0").await.unwrap(), None);
    assert!(liar.told() > 0);
    store.close().await.unwrap();
}

#[cfg(feature = "reqwest")]
mod requests {
    use super::*;
    use crate::asks::Asks;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whatever_a_server_says_no_request_fails() {
        let (server, panics) = (Postgres::start(), panics());
        let liar = Liar::before(&server).await;
        let through = liar.through(&server, &server.fresh());
        let asks = Asks::open(&format!("{through}&server_timeout=200ms")).await;
        for lie in lies() {
            assert!(asks.hits("/pages/0").await, "before {lie:?} it never hits");
            let told = liar.told();
            liar.tell(lie);
            for _ in 0..4 {
                asks.ask_all().await;
            }
            asks.call(lie, &KINDS).await;
            asks.ask_all().await;
            assert!(liar.told() > told, "{lie:?} was never told");
            liar.tell(Lie::None);
            assert!(asks.hits("/pages/0").await, "after {lie:?} it never hits");
        }
        assert_eq!(panics(), 0);
        asks.cache.close().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_program_starts_whatever_a_server_says_and_uses_it_once_it_is_honest() {
        let (server, panics) = (Postgres::start(), panics());
        let liar = Liar::before(&server).await;
        // Half of the programs find tables there.
        let places = [server.fresh(), server.fresh()];
        // Tables that do not fit, and a server that only gives, do not heal by themselves: there a program may say so.
        let lasts = ["42P01", "0A000", "25006"].map(|code| Lie::Of(ROW, How::Error(code)));
        let heals = lies().filter(|lie| !lasts.contains(lie));
        for (n, lie) in heals.enumerate() {
            let told = liar.told();
            liar.tell(lie);
            let through = liar.through(&server, &places[n % 2]);
            let asks = Asks::open(&format!("{through}&server_timeout=200ms")).await;
            asks.ask_all().await;
            assert!(liar.told() > told, "{lie:?} was never told");
            liar.tell(Lie::None);
            assert!(asks.hits("/pages/0").await, "after {lie:?} it never hits");
            assert!(asks.hits("/texts/0").await, "after {lie:?} it never hits");
            asks.cache.close().await.unwrap();
        }
        assert_eq!(panics(), 0);
    }
}
