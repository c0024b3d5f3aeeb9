//! What is the memory store's own: its bounds, and that reads are shared and ready.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

use http::{HeaderMap, StatusCode};
use restow::{
    Answer, ErrorKind, Field, FieldRef, FieldValue, Millis, RawKey, Selection,
    entry::{Address, Entry, EntryId, Head, Partition, Variant},
    store::{
        Budget, Column, MemoryOptions, MemoryStore, OnSchemaChange, Parts, Renewal, Store, Table,
        TableSpec, Write,
    },
};
use std::{sync::Arc, time::Duration};

const NOW: Millis = Millis(1_800_000_000_000);

fn spec(name: &str) -> TableSpec {
    TableSpec::new(name, [Field::text("id")]).unwrap()
}

async fn open(store: &MemoryStore, name: &str) -> Arc<dyn Table> {
    store.open(&spec(name)).await.unwrap()
}

fn store(max_bytes: u64, max_entries: Option<u64>) -> MemoryStore {
    MemoryStore::new(MemoryOptions {
        max_bytes,
        max_entries,
    })
}

fn address(id: &str) -> Address {
    Address {
        key: RawKey::new([FieldRef::Text(id)], "").unwrap(),
        partition: Partition::PUBLIC,
    }
}

fn entry(id: &str, size: usize) -> Entry {
    let head = Head::new(StatusCode::OK, &HeaderMap::new(), None, NOW, NOW);
    let id = EntryId {
        address: address(id),
        variant: Variant::NONE,
    };
    Entry::new(id, head, vec![0; size].into(), NOW, Millis::MAX)
}

async fn put(table: &Arc<dyn Table>, entries: impl IntoIterator<Item = Entry>) {
    let entries = entries.into_iter().map(Arc::new);
    let writes: Vec<_> = entries.map(|entry| Write { entry, fence: None }).collect();
    table.write(&writes, NOW).await.unwrap();
}

async fn count(table: &Arc<dyn Table>) -> u64 {
    table.count(&Selection::default(), NOW).await.unwrap()
}

async fn held(table: &Arc<dyn Table>, ids: &[&str]) -> Vec<String> {
    let mut held = Vec::new();
    for id in ids {
        let which = Selection::default().eq("id", *id);
        if table.count(&which, NOW).await.unwrap() > 0 {
            held.push((*id).to_owned());
        }
    }
    held
}

#[tokio::test]
async fn beyond_its_entries_what_was_used_least_recently_goes() {
    let store = store(1 << 20, Some(3));
    let table = open(&store, "a").await;
    put(&table, ["a", "b", "c"].map(|id| entry(id, 10))).await;
    table.read(&address("a"), Parts::Meta, NOW).await.unwrap();
    put(&table, [entry("d", 10)]).await;
    assert_eq!(held(&table, &["a", "b", "c", "d"]).await, ["a", "c", "d"]);
}

#[tokio::test]
async fn beyond_its_bytes_what_was_used_least_recently_goes() {
    let store = store(100_000, None);
    let table = open(&store, "a").await;
    for id in ["a", "b", "c"] {
        put(&table, [entry(id, 30_000)]).await;
    }
    assert_eq!(count(&table).await, 3);
    put(&table, [entry("b", 60_000)]).await;
    assert_eq!(held(&table, &["a", "b", "c"]).await, ["b", "c"]);
}

#[tokio::test]
async fn the_bound_is_over_all_tables() {
    let store = store(1 << 20, Some(4));
    let (one, two) = (open(&store, "one").await, open(&store, "two").await);
    put(&one, [entry("1", 1)]).await;
    put(&two, [entry("2", 1), entry("3", 1)]).await;
    put(&one, [entry("4", 1)]).await;
    one.read(&address("1"), Parts::Body, NOW).await.unwrap();
    put(&two, [entry("5", 1)]).await;
    put(&one, [entry("6", 1)]).await;
    assert_eq!(held(&one, &["1", "4", "6"]).await, ["1", "4", "6"]);
    assert_eq!(held(&two, &["2", "3", "5"]).await, ["5"]);
}

#[tokio::test]
async fn the_variants_of_an_address_go_together() {
    let store = store(1 << 20, Some(3));
    let table = open(&store, "a").await;
    let variant = |n| {
        let mut entry = entry("a", 1);
        entry.id.variant = Variant(n);
        entry
    };
    put(&table, [variant(1), variant(2), entry("b", 1)]).await;
    put(&table, [entry("c", 1)]).await;
    assert_eq!(held(&table, &["a", "b", "c"]).await, ["b", "c"]);
    assert_eq!(count(&table).await, 2);
}

#[tokio::test]
async fn variants_beyond_the_bound_leave_the_newest() {
    let store = store(100_000, None);
    let table = open(&store, "a").await;
    for n in 1..=5 {
        let mut entry = entry("a", 40_000);
        entry.id.variant = Variant(n);
        entry.meta.stored_at = NOW.plus(std::time::Duration::from_secs(n as u64));
        put(&table, [entry]).await;
    }
    let found = table.read(&address("a"), Parts::Meta, NOW).await.unwrap();
    let mut variants: Vec<_> = found.iter().map(|e| e.id.variant.0).collect();
    variants.sort_unstable();
    assert_eq!(variants, [4, 5]);
}

const MILLION: u32 = 1_000_000;

/// R17: keys that an attacker makes up. What is held is asked of the store after each write.
#[tokio::test]
async fn a_million_keys_stay_within_the_bounds() {
    for (max_bytes, max_entries, keys) in
        [(1 << 40, Some(1_000), MILLION), (1 << 20, None, 100_000)]
    {
        let store = store(max_bytes, max_entries);
        let table = open(&store, "a").await;
        let (mut most, mut bytes) = (0, 0);
        for batch in 0..keys / 100 {
            let ids = (0..100).map(|n| (batch * 100 + n).to_string());
            put(&table, ids.map(|id| entry(&id, 10))).await;
            // A budget of everything removes nothing, and tells what is held.
            let held = store.trim(Budget::default(), 0).await.unwrap();
            most = most.max(held.entries);
            bytes = bytes.max(held.bytes);
        }
        assert!(most <= max_entries.unwrap_or(u64::MAX), "{most}");
        assert!(bytes <= max_bytes, "{bytes}");
        assert!(count(&table).await > most / 10 * 9, "and it is full");
        let last = (keys - 1).to_string();
        assert_eq!(held(&table, &["0", &last]).await, [last.as_str()]);
    }
}

/// R17: variants of one address, which a `Vary` on what a client chooses makes.
#[tokio::test]
async fn a_million_variants_stay_within_the_bound_of_an_address() {
    let store = store(1 << 40, None);
    let table = open(&store, "a").await;
    let most = usize::from(TableSpec::MAX_VARIANTS);
    let first = entry("a", 10);
    for batch in 0..MILLION / 100 {
        let variants = (0..100).map(|nth| {
            let (n, mut variant) = (batch * 100 + nth, first.clone());
            variant.id.variant = Variant(n.into());
            variant.meta.stored_at = NOW.plus(Duration::from_millis(n.into()));
            variant
        });
        put(&table, variants).await;
        let found = table.read(&address("a"), Parts::Meta, NOW).await.unwrap();
        assert!(found.len() <= most, "{} in batch {batch}", found.len());
    }
    let found = table.read(&address("a"), Parts::Meta, NOW).await.unwrap();
    let oldest = found.iter().map(|e| e.id.variant.0).min().unwrap();
    assert_eq!(
        (found.len(), oldest),
        (most, u128::from(MILLION) - most as u128)
    );
    assert_eq!(count(&table).await, most as u64);
}

#[tokio::test]
async fn an_entry_larger_than_the_store_is_refused_and_nothing_of_its_write_stays() {
    let store = store(10_000, None);
    let table = open(&store, "a").await;
    let writes = [entry("small", 1), entry("large", 10_000)].map(|entry| Write {
        entry: Arc::new(entry),
        fence: None,
    });
    let error = table.write(&writes, NOW).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("10000"), "{error}");
    assert_eq!(count(&table).await, 0);
}

#[tokio::test]
async fn what_is_removed_in_any_way_makes_room_again() {
    let store = store(1 << 20, Some(10));
    let ids: Vec<_> = (0..10).map(|i| i.to_string()).collect();
    let all: Vec<_> = ids.iter().map(|id| address(id)).collect();
    let everything = Selection::default();
    let table = open(&store, "a").await;
    for round in 0..4 {
        put(&table, ids.iter().map(|id| entry(id, 10))).await;
        // Replaced and renewed, they are still ten.
        put(&table, ids.iter().map(|id| entry(id, 20))).await;
        let mut renewals = Vec::new();
        for found in table.read_many(&all, Parts::Whole, NOW).await.unwrap() {
            renewals.extend(found.into_iter().map(|e| Renewal {
                id: e.id.clone(),
                read: e.generation,
                meta: e.meta.clone(),
            }));
        }
        assert_eq!(table.renew(&renewals, NOW).await.unwrap(), 10);
        assert_eq!(count(&table).await, 10, "in round {round}");
        match round {
            0 => drop(table.delete(&all, NOW).await.unwrap()),
            1 => drop(table.clear(&everything, 100, NOW).await.unwrap()),
            2 => {
                let mut gone: Vec<_> = ids.iter().map(|id| entry(id, 10)).collect();
                gone.iter_mut().for_each(|e| e.meta.expires_at = Millis(0));
                put(&table, gone).await;
                assert_eq!(table.sweep(100, NOW).await.unwrap(), 10);
            }
            _ => {
                // A table that is made anew holds none of what the removed one held.
                store.remove(&spec("a").name).await.unwrap();
                let other = open(&store, "b").await;
                put(&other, ids.iter().map(|id| entry(id, 10))).await;
                assert_eq!(count(&other).await, 10);
            }
        }
    }
}

#[tokio::test]
async fn a_migrated_table_counts_once() {
    let store = store(1 << 20, Some(10));
    let table = open(&store, "a").await;
    put(&table, (0..10).map(|i| entry(&i.to_string(), 10))).await;
    let wider = TableSpec {
        columns: Arc::new([Column {
            name: "artist".into(),
            pointer: "/artist".into(),
        }]),
        on_schema_change: OnSchemaChange::Migrate,
        ..spec("a")
    };
    let table = store.open(&wider).await.unwrap();
    let mut changed = entry("0", 10);
    changed.meta.columns = Arc::new([FieldValue::from("x")]);
    put(&table, [changed]).await;
    assert_eq!(count(&table).await, 10);
}

#[tokio::test]
async fn a_handle_to_a_removed_table_says_so_and_holds_nothing() {
    let store = MemoryStore::default();
    let table = open(&store, "a").await;
    put(&table, [entry("a", 1)]).await;
    store.remove(&spec("a").name).await.unwrap();
    let error = table.count(&Selection::default(), NOW).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchRepository);
    assert!(
        error.to_string().starts_with("repository \"a\": "),
        "{error}"
    );
}

#[tokio::test]
async fn a_read_is_ready_and_shares_the_entry() {
    let store = MemoryStore::default();
    let table = open(&store, "a").await;
    put(&table, [entry("a", 1 << 20)]).await;
    let at = address("a");
    let read = || match table.read(&at, Parts::Whole, NOW) {
        Answer::Ready(Some(found)) => found.unwrap().iter().next().unwrap().clone(),
        other => panic!("{other:?}"),
    };
    assert!(Arc::ptr_eq(&read(), &read()));
}

#[tokio::test]
async fn clones_are_one_store_and_new_ones_are_apart() {
    let store = MemoryStore::default();
    put(&open(&store, "a").await, [entry("a", 1)]).await;
    assert_eq!(count(&open(&store.clone(), "a").await).await, 1);
    assert_eq!(count(&open(&MemoryStore::default(), "a").await).await, 0);
}
