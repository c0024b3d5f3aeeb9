//! A server that lies, behind a relay that changes what it says, and one whose data is damaged: nobody is given a wrong body, nobody panics,
//! and no request fails.

use crate::{
    liar::{LIES, Liar, Lie},
    panics::panics,
    support::*,
};
use futures_util::TryStreamExt as _;
use restow::{
    ErrorKind, Selection,
    entry::Entry,
    store::{Parts, Table},
};
use restow_testkit::redis::{Redis, RedisCluster};
use std::{sync::Arc, time::Duration};

const IDS: std::ops::Range<usize> = 0..4;

/// What a store may fail with that is lied to: it is down, or busy; its format or what it holds cannot be made out; what is written belongs
/// to a repository that is gone, or to a lease that is another's.
const KINDS: [ErrorKind; 6] = [
    ErrorKind::Store,
    ErrorKind::Busy,
    ErrorKind::Format,
    ErrorKind::Corrupt,
    ErrorKind::NoSuchRepository,
    ErrorKind::Fenced,
];

fn check(lie: Lie, error: &restow::Error) {
    assert!(KINDS.contains(&error.kind()), "{lie:?}: {error:?}");
}

/// Half of the bodies are beside the values of their addresses.
fn sized(n: usize) -> Vec<u8> {
    body(n, if n.is_multiple_of(2) { 500 } else { 40_000 })
}

fn numbers() -> Vec<restow::store::Write> {
    writes(IDS.map(|n| entry(&n.to_string(), sized(n))))
}

/// An entry is its own, or not there.
fn is_its_own(lie: Lie, entry: &Entry) {
    let is_its = |n: usize| entry.id.address == address(&n.to_string()) && entry.body == sized(n);
    assert!(IDS.into_iter().any(is_its), "{lie:?}: {:?}", entry.id);
}

/// Asks for all there is, in each way.
async fn ask(lie: Lie, table: &Arc<dyn Table>) {
    let ids: Vec<_> = IDS.map(|n| address(&n.to_string())).collect();
    for parts in [Parts::Whole, Parts::Meta] {
        let one = table.read(&ids[0], parts, T0).await.map(|one| vec![one]);
        let many = table.read_many(&ids, parts, T0).await;
        for found in [one, many] {
            match found {
                Ok(found) => {
                    for (found, at) in found.iter().zip(&ids) {
                        for entry in found.iter() {
                            assert_eq!(entry.id.address, *at, "{lie:?}");
                            if parts == Parts::Whole {
                                is_its_own(lie, entry);
                            }
                        }
                    }
                }
                Err(error) => check(lie, &error),
            }
        }
    }
    let all = Selection::default();
    // What goes over a whole table takes its time; it is the breaker that bounds it.
    let bounded = Duration::from_millis(700);
    let scan = table.scan(&all, Parts::Whole, T0).try_collect::<Vec<_>>();
    match tokio::time::timeout(bounded, scan).await {
        Ok(Ok(all)) => all.iter().for_each(|entry| is_its_own(lie, entry)),
        Ok(Err(error)) => check(lie, &error),
        Err(_) => {}
    }
    for counted in [
        tokio::time::timeout(bounded, table.count(&all, T0)).await,
        tokio::time::timeout(bounded, table.sweep(10, T0)).await,
        tokio::time::timeout(bounded, table.clear(&all, 1, T0)).await,
    ] {
        if let Ok(Err(error)) = counted {
            check(lie, &error);
        }
    }
    if let Ok(Err(error)) = tokio::time::timeout(bounded, table.stats(T0)).await {
        check(lie, &error);
    }
    if let Err(error) = table.write(&numbers(), T0).await {
        check(lie, &error);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_server_says_nobody_is_given_a_wrong_body() {
    let (server, panics) = (Redis::start(), panics());
    let liar = Liar::before(&server).await;
    let through = format!("{}?server_timeout=200ms&buckets=4", liar.url());
    let store = open(&through).await.unwrap();
    let table = store.open(&spec()).await.unwrap();
    let honest = open(&server.url()).await.unwrap();
    let honest = honest.open(&spec()).await.unwrap();
    for lie in LIES {
        honest.write(&numbers(), T0).await.unwrap();
        let told = liar.told();
        liar.tell(lie);
        let asked = async {
            for _ in 0..if lie == Lie::Flipped { 40 } else { 1 } {
                ask(lie, &table).await;
            }
        };
        let asked = tokio::time::timeout(Duration::from_secs(60), asked).await;
        asked.unwrap_or_else(|_| panic!("{lie:?}: somebody waits without end"));
        assert!(liar.told() > told, "{lie:?} was never told");
        liar.tell(Lie::None);
        // What it was lied to about may have been removed.
        honest.write(&numbers(), T0).await.unwrap();
        comes_back(lie, &table).await;
    }
    assert_eq!(panics(), 0);
    store.close().await.unwrap();
}

async fn comes_back(lie: Lie, table: &Arc<dyn Table>) {
    let mut last = Ok(Vec::new());
    let back = async {
        while !last.as_ref().is_ok_and(|found: &Vec<_>| !found.is_empty()) {
            last = bodies(table, "0").await;
            tokio::task::yield_now().await;
        }
    };
    let back = tokio::time::timeout(Duration::from_secs(10), back).await;
    assert!(back.is_ok(), "after {lie:?} it never comes back: {last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_server_says_at_the_opening_is_an_error_or_no_lie_at_all() {
    let (server, panics) = (Redis::start(), panics());
    let liar = Liar::before(&server).await;
    let other = open(&server.url()).await.unwrap();
    let other = other
        .open(&restow::store::TableSpec {
            name: restow::store::TableName::new("other").unwrap(),
            ..spec()
        })
        .await
        .unwrap();
    // Some of what an opening asks is answered before.
    for (lie, honest) in LIES
        .into_iter()
        .flat_map(|lie| (0..12).map(move |n| (lie, n)))
    {
        // An entry of the same address that is another's.
        other
            .write(&writes([entry("0", "of another")]), T0)
            .await
            .unwrap();
        let through = format!("{}?server_timeout=100ms&buckets=4", liar.url());
        let told = liar.told();
        liar.tell_after(honest, lie);
        let opened = async {
            match open(&through).await {
                Err(error) => check(lie, &error),
                Ok(store) => match store.open(&spec()).await {
                    Ok(table) => ask(lie, &table).await,
                    Err(error) => check(lie, &error),
                },
            }
        };
        let opened = tokio::time::timeout(Duration::from_secs(30), opened).await;
        opened.unwrap_or_else(|_| panic!("{lie:?}: somebody waits without end"));
        assert!(liar.told() > told, "{lie:?} was never told");
        liar.tell(Lie::None);
        let store = open(&through).await.unwrap();
        let table = store.open(&spec()).await.unwrap();
        for found in bodies(&table, "0").await.unwrap() {
            assert_eq!(found, sized(0), "{lie:?} after {honest}");
        }
        table.write(&numbers(), T0).await.unwrap();
        let theirs = bodies(&other, "0").await.unwrap();
        assert!(theirs.iter().all(|body| body == "of another"), "{lie:?}");
        // The next one makes it anew.
        store.remove(&spec().name).await.unwrap();
    }
    assert_eq!(panics(), 0);
}

#[cfg(feature = "reqwest")]
mod requests {
    use super::*;
    use crate::asks::{Asks, Pages, right, targets};
    use restow::exchange::OutcomeKind;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whatever_a_server_says_no_request_fails() {
        let (server, panics) = (Redis::start(), panics());
        let liar = Liar::before(&server).await;
        let url = format!("{}?server_timeout=200ms&buckets=4", liar.url());
        let asks = Asks::open(&url).await;
        for lie in LIES {
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
        let (server, panics) = (Redis::start(), panics());
        let liar = Liar::before(&server).await;
        for (n, lie) in LIES.into_iter().enumerate() {
            let told = liar.told();
            liar.tell(lie);
            let url = format!(
                "{}?server_timeout=200ms&buckets=4&prefix=t{}",
                liar.url(),
                n % 2
            );
            let asks = Asks::open(&url).await;
            asks.ask_all().await;
            assert!(liar.told() > told, "{lie:?} was never told");
            liar.tell(Lie::None);
            assert!(asks.hits("/pages/0").await, "after {lie:?} it never hits");
            assert!(asks.hits("/texts/0").await, "after {lie:?} it never hits");
            asks.cache.close().await.unwrap();
        }
        assert_eq!(panics(), 0);
    }

    type Held = (Vec<u8>, Option<Vec<u8>>, Vec<u8>);

    /// What a server holds: each key, or field of a hash, with its value.
    fn held(server: &Redis) -> Vec<Held> {
        let mut connection = server.connection();
        let mut keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
        keys.sort();
        let mut all = Vec::new();
        for key in keys {
            let kind: String = redis::cmd("TYPE").arg(&key).query(&mut connection).unwrap();
            match &*kind {
                "string" => {
                    let value = redis::cmd("GET").arg(&key).query(&mut connection).unwrap();
                    all.push((key, None, value));
                }
                "hash" => {
                    let fields: Vec<(Vec<u8>, Vec<u8>)> = redis::cmd("HGETALL")
                        .arg(&key)
                        .query(&mut connection)
                        .unwrap();
                    let fields = fields.into_iter();
                    all.extend(fields.map(|(field, value)| (key.clone(), Some(field), value)));
                }
                _ => {}
            }
        }
        all
    }

    fn put(server: &Redis, key: &[u8], field: Option<&[u8]>, value: &[u8]) {
        let mut put = match field {
            None => redis::Cmd::new().arg("SET").arg(key).to_owned(),
            Some(field) => redis::Cmd::new().arg("HSET").arg(key).arg(field).to_owned(),
        };
        put.arg(value);
        if field.is_none() {
            put.arg("KEEPTTL");
        }
        put.exec(&mut server.connection()).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_flipped_bit_in_what_a_server_holds_is_a_miss() {
        let (server, panics) = (Redis::start(), panics());
        let url = format!("{}?buckets=2", server.url());
        let honest = Asks::open(&url).await;
        let fill = async || {
            for target in targets() {
                assert!(honest.hits(&target).await, "{target}");
            }
        };
        fill().await;
        let all = held(&server);
        let kinds: std::collections::BTreeSet<_> = all
            .iter()
            .map(|(key, field, _)| (field.clone(), key.iter().rev().nth(20).copied()))
            .collect();
        assert!(kinds.len() > 6, "{kinds:?}");
        for (nth, (key, field, value)) in all.into_iter().enumerate() {
            // Of what is short each bit, and of what is long those it begins with.
            let (bits, step) = (value.len() * 8, (value.len() * 8 / 9).max(1));
            let first = 0..bits.min(16);
            for bit in first.chain((16 + nth % step..bits).step_by(step)) {
                let mut other = value.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                put(&server, &key, field.as_deref(), &other);
                let what = || {
                    let [key, field] = [&key, field.as_ref().unwrap_or(&Vec::new())]
                        .map(|text| text.escape_ascii().to_string());
                    format!("bit {bit} of {key} {field}")
                };
                // One that is open, and one that is opened.
                honest.ask_all().await;
                let asks = Asks::open(&url).await;
                asks.ask_all().await;
                asks.call(Lie::Flipped, &KINDS).await;
                // Declarations are not made anew by themselves.
                if !key.ends_with(b":meta") {
                    for target in targets() {
                        assert!(asks.hits(&target).await, "{target}, {}", what());
                    }
                    let pages = asks.cache.repository_as::<Pages>("pages").unwrap();
                    let saved = pages.save("0", &right("/pages/0")).await;
                    assert!(saved.is_ok(), "{}: {saved:?}", what());
                }
                _ = asks.cache.close().await;
                put(&server, &key, field.as_deref(), &value);
            }
        }
        fill().await;
        assert_eq!(panics(), 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_damaged_declaration_makes_its_repository_unusable_until_it_is_removed() {
        let server = Redis::start();
        let url = server.url();
        let before = Asks::open(&url).await;
        assert!(before.hits("/pages/0").await);
        assert!(before.hits("/texts/0").await);
        let declared: String = server.ask(&["HGET", "restow:meta", "repository:pages"]);
        // The number of the other one.
        let damaged = declared.replacen('1', "2", 1);
        let _: i64 = server.ask(&["HSET", "restow:meta", "repository:pages", &damaged]);
        let asks = Asks::open(&url).await;
        for _ in 0..3 {
            assert!(matches!(asks.ask("/pages/0").await, OutcomeKind::Miss(_)));
            assert_eq!(asks.ask("/texts/0").await, OutcomeKind::Hit);
        }
        let pages = asks.cache.repository_as::<Pages>("pages").unwrap();
        let listed = asks.cache.store().tables().await.unwrap_err();
        for error in [pages.get("0").await.unwrap_err(), listed] {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
            assert_eq!(error.repository(), Some("pages"));
            let way_out = "HDEL restow:meta repository:pages";
            assert!(error.to_string().contains(way_out), "{error}");
        }
        assert!(asks.cache.drop_repository("pages").await.unwrap());
        let again = Asks::open(&url).await;
        assert!(again.hits("/pages/0").await);
        assert_eq!(again.ask("/texts/0").await, OutcomeKind::Hit);
        // Whoever waited for it goes on with it, too.
        let texts = asks.cache.repository_as::<Pages>("texts").unwrap();
        assert_eq!(texts.get("0").await.unwrap().as_deref(), Some("/texts/0"));
        let goes_on = async {
            while pages.get("0").await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        let goes_on = tokio::time::timeout(Duration::from_secs(20), goes_on).await;
        goes_on.expect("its table is open");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn servers_of_a_cluster_may_send_each_other_what_is_asked() {
        let (cluster, panics) = (RedisCluster::start(), panics());
        let liars = Liar::before_all(cluster.nodes()).await;
        let hosts: Vec<_> = liars
            .iter()
            .map(|l| format!("127.0.0.1:{}", l.port))
            .collect();
        let url = format!(
            "redis-cluster://{}?server_timeout=500ms&buckets=4",
            hosts.join(",")
        );
        let tell = |lie| liars.iter().for_each(|liar| liar.tell(lie));
        let told = || liars.iter().map(Liar::told).sum::<usize>();
        let asks = Asks::open(&url).await;
        for lie in [
            Lie::Elsewhere("MOVED"),
            Lie::Elsewhere("ASK"),
            Lie::Reset,
            Lie::Half,
            Lie::Silence,
            Lie::Noise,
            Lie::Flipped,
            Lie::Says(b"-CLUSTERDOWN The cluster is down\r\n"),
            Lie::Says(b"-LOADING Redis is loading the dataset in memory\r\n"),
            Lie::HalfAndSilence,
            Lie::Drip,
            Lie::Others,
            Lie::Twice,
            Lie::Missing,
            Lie::Says(b"*2147483647\r\n"),
            Lie::Says(b"$9999999999\r\n"),
            Lie::Says(b":1\r\n"),
        ] {
            assert!(asks.hits("/pages/0").await, "before {lie:?} it never hits");
            let before = told();
            tell(lie);
            asks.ask_all().await;
            asks.call(lie, &KINDS).await;
            assert!(told() > before, "{lie:?} was never told");
            // At the opening, too.
            let begun = Asks::open(&url).await;
            begun.ask_all().await;
            tell(Lie::None);
            assert!(begun.hits("/pages/0").await, "after {lie:?} it never hits");
            assert!(asks.hits("/pages/0").await, "after {lie:?} it never hits");
        }
        assert_eq!(panics(), 0);
    }
}
