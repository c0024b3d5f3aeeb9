//! The conformance suite notices a store that breaks a promise, and passes one that is wrapped.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

#[macro_use]
#[path = "common/forward.rs"]
mod forward;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use restow::{
    Answer, BoxFuture, BoxStream, FieldRef, Millis, RawKey, Result, Selection,
    conformance::{self, Subject, Verdict},
    entry::{Address, Entry, Found, Partition},
    store::{
        Budget, Fence, Lease, Leases, MemoryStore, Parts, Renewal, Stats, Store, Table, TableName,
        TableSpec, Trimmed, Write,
    },
};
use std::{
    collections::HashMap,
    fmt,
    future::ready,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What a wrapper of the memory store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    HidesExpired,
    KeepsAMillisecondLonger,
    ReversesBulkAnswers,
    KeepsTheFirstDuplicate,
    WritesOneByOne,
    WritesWithAPause,
    RenewsAnyGeneration,
    CountsEveryDelete,
    IgnoresTags,
    IgnoresPartitionsOfSelections,
    IgnoresLimits,
    ScansTwice,
    SweepsNothing,
    TrimsNothing,
    TrimsWithoutLimit,
    FoldsCase,
    ReadsAbsentAsEmpty,
    LosesTags,
    CutsBodies,
    SharesPartitions,
    CountsPartitionsOnce,
    ForgetsThatItClosed,
    ChangesItsSecret,
    AdoptsNothing,
    PretendsToAdopt,
    ForgetsFences,
    RenewsNoLease,
    PretendsToRenewLeases,
    RenewsAnyLease,
    TakesLeasesToRenewThem,
    RenewsLeasesInTwoSteps,
    Panics,
}

/// Which promise notices each fault.
const NOTICED: &[(Fault, &str)] = &[
    (Fault::HidesExpired, "lifetimes::an_expired_entry_is_read"),
    (
        Fault::KeepsAMillisecondLonger,
        "lifetimes::past_keep_an_entry_is_gone",
    ),
    (
        Fault::ReversesBulkAnswers,
        "bulk::bulk_answers_keep_order_and_number",
    ),
    (
        Fault::KeepsTheFirstDuplicate,
        "bulk::the_last_of_duplicates_stays",
    ),
    (Fault::WritesOneByOne, "bulk::a_write_is_all_or_none"),
    (
        Fault::WritesWithAPause,
        "races::a_dropped_write_is_all_or_none",
    ),
    (
        Fault::RenewsAnyGeneration,
        "generations::a_late_renewal_is_not_applied",
    ),
    (Fault::CountsEveryDelete, "bulk::a_delete_counts_addresses"),
    (Fault::IgnoresTags, "selections::a_selection_by_a_tag"),
    (
        Fault::IgnoresPartitionsOfSelections,
        "partitions::selections_cover_one_partition_or_all",
    ),
    (
        Fault::IgnoresLimits,
        "selections::a_clear_stops_at_its_limit",
    ),
    (
        Fault::ScansTwice,
        "selections::a_scan_gives_each_entry_once",
    ),
    (
        Fault::SweepsNothing,
        "sweeping::a_sweep_removes_what_is_gone",
    ),
    (
        Fault::TrimsNothing,
        "trimming::a_trim_takes_what_was_used_least_of_all_tables",
    ),
    (
        Fault::TrimsWithoutLimit,
        "trimming::a_trim_stops_at_its_limit",
    ),
    (Fault::FoldsCase, "keys::texts_that_look_alike_are_apart"),
    (Fault::ReadsAbsentAsEmpty, "keys::absent_is_not_empty"),
    (Fault::LosesTags, "content::tags_come_back"),
    (Fault::CutsBodies, "content::a_large_body_comes_back"),
    (
        Fault::SharesPartitions,
        "partitions::nobody_reads_anothers_entry",
    ),
    (
        Fault::CountsPartitionsOnce,
        "partitions::partitions_are_counted_as_they_are_held",
    ),
    (
        Fault::ForgetsThatItClosed,
        "lifecycle::a_closed_store_says_so",
    ),
    (Fault::ChangesItsSecret, "lifecycle::the_secret_stays"),
    (
        Fault::AdoptsNothing,
        "lifecycle::an_empty_store_adopts_a_secret",
    ),
    (
        Fault::PretendsToAdopt,
        "lifecycle::a_store_in_use_keeps_its_secret",
    ),
    (
        Fault::ForgetsFences,
        "leases::a_stale_holder_writes_nothing",
    ),
    (Fault::RenewsNoLease, "leases::a_renewed_lease_ends_later"),
    (
        Fault::PretendsToRenewLeases,
        "leases::a_renewed_lease_ends_later",
    ),
    (
        Fault::RenewsAnyLease,
        "leases::a_stale_holder_renews_nothing",
    ),
    (Fault::RenewsAnyLease, "leases::a_renewal_is_of_its_address"),
    (
        Fault::TakesLeasesToRenewThem,
        "leases::a_lease_given_back_is_not_renewed",
    ),
    (Fault::Panics, "sweeping::numbers_are_of_what_is_retained"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_noticed_by_its_promise() {
    for (fault, name) in NOTICED {
        is_noticed(*fault, name).await;
    }
}

/// On one thread it is certain in which order they race.
#[tokio::test]
async fn a_renewal_of_a_lease_in_two_steps_is_noticed() {
    let promise = "leases::a_race_of_renewal_and_others_has_one_winner";
    is_noticed(Fault::RenewsLeasesInTwoSteps, promise).await;
}

async fn is_noticed(fault: Fault, name: &str) {
    let promise = conformance::promises().iter().find(|p| p.name() == name);
    let promise = promise.unwrap_or_else(|| panic!("there is no promise {name}"));
    let verdict = promise.check(&subject(fault)).await;
    assert!(
        matches!(verdict, Verdict::Broken(_)),
        "{fault:?}: {verdict:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapper_without_fault_keeps_every_promise() {
    conformance::run(&subject(Fault::None)).await.assert();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_names_what_is_broken_and_how() {
    let report = conformance::run(&subject(Fault::LosesTags)).await;
    assert!(!report.is_clean());
    let said = report.to_string();
    assert!(
        said.contains("BROKEN content::tags_come_back: Tags come back"),
        "{said}"
    );
    assert!(said.contains("tags: got [], wanted"), "{said}");
    assert!(said.contains("not made by this store"), "{said}");
}

#[test]
fn every_promise_has_a_name_of_its_own_and_a_sentence() {
    let mut names: Vec<_> = conformance::promises().iter().map(|p| p.name()).collect();
    names.sort_unstable();
    let number = names.len();
    names.dedup();
    assert_eq!(names.len(), number);
    for promise in conformance::promises() {
        assert!(
            promise.doc().ends_with('.') && !promise.doc().contains('\n'),
            "{promise:?}"
        );
    }
}

fn subject(fault: Fault) -> impl Subject {
    move || {
        let inner = MemoryStore::default();
        let newest = Arc::default();
        let store = FaultyStore {
            inner,
            fault,
            newest,
        };
        ready(Ok(Arc::new(store) as Arc<dyn Store>))
    }
}

#[derive(Debug)]
struct FaultyStore {
    inner: MemoryStore,
    fault: Fault,
    newest: Newest,
}

/// The newest lease on each address.
type Newest = Arc<Mutex<HashMap<Address, Fence>>>;

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Store for FaultyStore {
    forward!(inner: kind capabilities tables remove changes commit health memory_policy);

    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move {
            let (inner, fault) = (self.inner.open(spec).await?, self.fault);
            Ok(Arc::new(FaultyTable { inner, fault }) as Arc<dyn Table>)
        })
    }

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        let (inner, fault) = (self.inner.leases()?, self.fault);
        let newest = self.newest.clone();
        Some(Arc::new(FaultyLeases {
            inner,
            fault,
            newest,
        }))
    }

    fn secret(&self) -> BoxFuture<'_, Result<[u8; 32]>> {
        if self.fault == Fault::ChangesItsSecret {
            return Box::pin(async { MemoryStore::default().secret().await });
        }
        self.inner.secret()
    }

    fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            match self.fault {
                Fault::AdoptsNothing => Ok(self.inner.secret().await? == *secret),
                Fault::PretendsToAdopt => {
                    self.inner.adopt_secret(secret).await?;
                    Ok(true)
                }
                _ => self.inner.adopt_secret(secret).await,
            }
        })
    }

    fn trim(&self, most: Budget, limit: u64) -> BoxFuture<'_, Result<Trimmed>> {
        match self.fault {
            Fault::TrimsNothing => self.inner.trim(Budget::default(), limit),
            Fault::TrimsWithoutLimit => self.inner.trim(most, u64::MAX),
            _ => self.inner.trim(most, limit),
        }
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        if self.fault == Fault::ForgetsThatItClosed {
            return self.inner.commit();
        }
        self.inner.close()
    }
}

#[derive(Debug)]
struct FaultyLeases {
    inner: Arc<dyn Leases>,
    fault: Fault,
    newest: Newest,
}

impl FaultyLeases {
    fn newest(&self, at: &Address) -> Option<Fence> {
        self.newest.lock().unwrap().get(at).copied()
    }
}

impl Leases for FaultyLeases {
    forward!(inner: release);

    fn acquire<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<Lease>> {
        Box::pin(async move {
            let lease = self.inner.acquire(table, at, hold, now).await?;
            if let Lease::Held(fence) = lease {
                self.newest.lock().unwrap().insert(at.clone(), fence);
            }
            Ok(lease)
        })
    }

    fn renew<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let newest = self.newest(at);
            match self.fault {
                Fault::RenewsNoLease => Ok(false),
                Fault::PretendsToRenewLeases => Ok(true),
                Fault::RenewsAnyLease => {
                    let fence = newest.unwrap_or(fence);
                    self.inner.renew(table, at, fence, hold, now).await
                }
                Fault::TakesLeasesToRenewThem => {
                    let lease = self.inner.acquire(table, at, hold, now).await?;
                    Ok(matches!(lease, Lease::Held(_)))
                }
                Fault::RenewsLeasesInTwoSteps => {
                    tokio::task::yield_now().await;
                    self.inner.renew(table, at, fence, hold, now).await?;
                    Ok(newest == Some(fence))
                }
                _ => self.inner.renew(table, at, fence, hold, now).await,
            }
        })
    }
}

#[derive(Debug)]
struct FaultyTable {
    inner: Arc<dyn Table>,
    fault: Fault,
}

impl FaultyTable {
    fn address(&self, at: &Address) -> Address {
        let key = &at.key;
        let (lower, fields): (Vec<_>, Vec<_>) = (
            key.fields().map(|f| f.to_string().to_lowercase()).collect(),
            key.fields().collect(),
        );
        let changed = fields.iter().zip(&lower).map(|(field, lower)| match field {
            FieldRef::Text(_) if self.fault == Fault::FoldsCase => FieldRef::Text(lower),
            FieldRef::Absent if self.fault == Fault::ReadsAbsentAsEmpty => FieldRef::Text(""),
            field => *field,
        });
        // The third field is an integer, which cannot be empty.
        let changed = changed.zip(&fields).enumerate();
        let changed = changed.map(|(i, (new, old))| if i < 2 { new } else { *old });
        let key = RawKey::new(changed, key.query()).unwrap();
        let partition = match self.fault {
            Fault::SharesPartitions => Partition::PUBLIC,
            _ => at.partition.clone(),
        };
        Address { key, partition }
    }

    fn time(&self, now: Millis) -> Millis {
        match self.fault {
            Fault::KeepsAMillisecondLonger => now.minus(Duration::from_millis(1)),
            _ => now,
        }
    }

    fn found(&self, mut found: Found, now: Millis) -> Found {
        if self.fault == Fault::HidesExpired {
            found.retain(|e| e.is_live(now));
        }
        found
    }

    fn selection(&self, which: &Selection) -> Selection {
        let mut which = which.clone();
        match self.fault {
            Fault::IgnoresTags => which.tag = None,
            Fault::IgnoresPartitionsOfSelections => which.partition = None,
            _ => {}
        }
        which
    }

    fn written(&self, write: &Write) -> Write {
        let mut entry = Entry::clone(&write.entry);
        entry.id.address = self.address(&entry.id.address);
        match self.fault {
            Fault::LosesTags => entry.meta.tags = Arc::new([]),
            Fault::CutsBodies if entry.body.len() > 65_536 => {
                entry.body = Bytes::copy_from_slice(&entry.body[..65_536]);
            }
            _ => {}
        }
        Write {
            entry: Arc::new(entry),
            fence: write.fence,
        }
    }
}

impl Table for FaultyTable {
    forward!(inner: spec pending_columns columns_filled foreign_changes);

    fn read<'a>(&'a self, at: &'a Address, parts: Parts, now: Millis) -> Answer<'a, Result<Found>> {
        Answer::later(async move {
            let found = self
                .inner
                .read(&self.address(at), parts, self.time(now))
                .await?;
            Ok(self.found(found, now))
        })
    }

    fn read_many<'a>(
        &'a self,
        at: &'a [Address],
        parts: Parts,
        now: Millis,
    ) -> Answer<'a, Result<Vec<Found>>> {
        Answer::later(async move {
            let at: Vec<_> = at.iter().map(|at| self.address(at)).collect();
            let mut many = self.inner.read_many(&at, parts, self.time(now)).await?;
            if self.fault == Fault::ReversesBulkAnswers {
                many.reverse();
            }
            Ok(many
                .into_iter()
                .map(|found| self.found(found, now))
                .collect())
        })
    }

    fn write<'a>(&'a self, entries: &'a [Write], now: Millis) -> Answer<'a, Result<()>> {
        Answer::later(async move {
            let mut entries: Vec<_> = entries.iter().map(|w| self.written(w)).collect();
            if self.fault == Fault::KeepsTheFirstDuplicate {
                entries.reverse();
            }
            if self.fault == Fault::ForgetsFences {
                entries.iter_mut().for_each(|write| write.fence = None);
            }
            let size = match self.fault {
                Fault::WritesOneByOne | Fault::WritesWithAPause => 1,
                _ => entries.len().max(1),
            };
            for part in entries.chunks(size) {
                self.inner.write(part, now).await?;
                if self.fault == Fault::WritesWithAPause {
                    tokio::task::yield_now().await;
                }
            }
            Ok(())
        })
    }

    fn renew<'a>(&'a self, renewals: &'a [Renewal], now: Millis) -> Answer<'a, Result<u64>> {
        Answer::later(async move {
            let mut renewals = renewals.to_vec();
            for renewal in &mut renewals {
                renewal.id.address = self.address(&renewal.id.address);
                if self.fault == Fault::RenewsAnyGeneration {
                    let found = self
                        .inner
                        .read(&renewal.id.address, Parts::Meta, now)
                        .await?;
                    let held = found.iter().find(|e| e.id == renewal.id);
                    renewal.read = held.map_or(renewal.read, |e| e.generation);
                }
            }
            self.inner.renew(&renewals, self.time(now)).await
        })
    }

    fn delete<'a>(&'a self, at: &'a [Address], now: Millis) -> Answer<'a, Result<u64>> {
        Answer::later(async move {
            let many: Vec<_> = at.iter().map(|at| self.address(at)).collect();
            let deleted = self.inner.delete(&many, self.time(now)).await?;
            Ok(match self.fault {
                Fault::CountsEveryDelete => at.len() as u64,
                _ => deleted,
            })
        })
    }

    fn count<'a>(&'a self, which: &'a Selection, now: Millis) -> Answer<'a, Result<u64>> {
        Answer::later(async move {
            self.inner
                .count(&self.selection(which), self.time(now))
                .await
        })
    }

    fn clear<'a>(
        &'a self,
        which: &'a Selection,
        limit: u64,
        now: Millis,
    ) -> Answer<'a, Result<u64>> {
        let limit = match self.fault {
            Fault::IgnoresLimits => u64::MAX,
            _ => limit,
        };
        Answer::later(async move { self.inner.clear(&self.selection(which), limit, now).await })
    }

    fn sweep(&self, limit: u64, now: Millis) -> Answer<'_, Result<u64>> {
        match self.fault {
            Fault::SweepsNothing => Answer::ready(Ok(0)),
            _ => self.inner.sweep(limit, now),
        }
    }

    fn scan<'a>(
        &'a self,
        which: &'a Selection,
        parts: Parts,
        now: Millis,
    ) -> BoxStream<'a, Result<Arc<Entry>>> {
        let times = if self.fault == Fault::ScansTwice {
            2
        } else {
            1
        };
        let once = move || async move {
            let which = self.selection(which);
            let found: Vec<_> = self.inner.scan(&which, parts, now).try_collect().await?;
            Ok::<_, restow::Error>(stream::iter(found.into_iter().map(Ok)))
        };
        Box::pin(stream::iter(0..times).then(move |_| once()).try_flatten())
    }

    fn stats(&self, now: Millis) -> Answer<'_, Result<Stats>> {
        assert!(self.fault != Fault::Panics, "this store panics");
        self.inner.stats(now)
    }

    fn partitions(&self, now: Millis) -> Answer<'_, Result<Vec<(Partition, u64)>>> {
        Answer::later(async move {
            let mut counted = self.inner.partitions(now).await?;
            if self.fault == Fault::CountsPartitionsOnce {
                counted.iter_mut().for_each(|(_, count)| *count = 1);
            }
            Ok(counted)
        })
    }
}
