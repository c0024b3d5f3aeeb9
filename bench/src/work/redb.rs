//! redb by hand, for information: another embedded store, without anything that a response cache needs.

use super::save_many::take;
use crate::{
    Outcome, Size, api, fill,
    fill::BULK,
    measure::{Contender, each, race, scatter},
    report::{Report, Row},
};
use bytes::Bytes;
use redb::{Database, ReadableDatabase, TableDefinition};
use std::{
    cell::Cell,
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

const GET: &str = "redb: get";
const SAVE: &str = "redb: save, durable";
const BATCH: &str = "redb: save_many(1000), one entry";
const ITEMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("items");
const REDB: &str = "redb by hand";

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    if !report.wants_any(&[GET, SAVE, BATCH]) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    // Every transaction of redb is synced; so is every one of ours here.
    let url = format!(
        "{}?durability=full",
        fill::sqlite(&dir.path().join("bench.db"))
    );
    let items = &fill::values(&url, size.entries).await?;
    let hand = &Redb::open(&dir.path().join("bench.redb"), size.entries)?;
    let (n, entries) = (size.operations, size.entries);
    let (ours, theirs) = (&Cell::new(entries), &Cell::new(entries));

    if report.wants(GET) {
        let sqlite = Contender::new("sqlite", move || async move {
            let begun = Instant::now();
            super::get::get(items, 0, n, entries).await?;
            Ok(each(begun.elapsed(), n))
        });
        let redb = Contender::blocking(REDB, move || hand.get(0..n, entries));
        add(GET, size, vec![sqlite, redb], report).await?;
    }
    if report.wants(SAVE) {
        let n = size.operations / 200;
        let sqlite = Contender::new("sqlite", move || async move {
            let pairs = fill::pairs(take(ours, n));
            let begun = Instant::now();
            for (key, body) in &pairs {
                items.save(key, body).await?;
            }
            Ok(each(begun.elapsed(), n))
        });
        let redb = Contender::blocking(REDB, move || {
            let pairs = fill::pairs(take(theirs, n));
            let begun = Instant::now();
            for pair in &pairs {
                hand.save(std::slice::from_ref(pair))?;
            }
            Ok(each(begun.elapsed(), n))
        });
        add(SAVE, size, vec![sqlite, redb], report).await?;
    }
    if report.wants(BATCH) {
        let n = BULK.min(entries);
        let sqlite = Contender::new("sqlite", move || async move {
            let pairs = fill::pairs(take(ours, n));
            let begun = Instant::now();
            items.save_many(&pairs).await?;
            Ok(each(begun.elapsed(), n))
        });
        let redb = Contender::blocking(REDB, move || {
            let pairs = fill::pairs(take(theirs, n));
            let begun = Instant::now();
            hand.save(&pairs)?;
            Ok(each(begun.elapsed(), n))
        });
        add(BATCH, size, vec![sqlite, redb], report).await?;
    }
    Ok(())
}

async fn add(
    work: &str,
    size: Size,
    contenders: Vec<Contender<'_>>,
    report: &mut Report,
) -> Outcome {
    let times = race(size, contenders).await?;
    report.add(Row::new(work, times.get("sqlite")?, "us").beside(times.get(REDB)?));
    Ok(())
}

#[derive(Debug)]
struct Redb(Database);

impl Redb {
    fn open(path: &Path, entries: usize) -> Outcome<Self> {
        let redb = Self(Database::create(path)?);
        for chunk in fill::pairs(0..entries).chunks(BULK) {
            redb.save(chunk)?;
        }
        Ok(redb)
    }

    fn get(&self, which: Range<usize>, entries: usize) -> Outcome<Duration> {
        let n = which.len();
        let begun = Instant::now();
        for i in which {
            let table = self.0.begin_read()?.open_table(ITEMS)?;
            let body = table.get(api::key(scatter(i, entries)).as_str())?;
            let body = body.ok_or("an entry is missing")?;
            std::hint::black_box(Bytes::copy_from_slice(body.value()));
        }
        Ok(each(begun.elapsed(), n))
    }

    fn save(&self, pairs: &[(String, Bytes)]) -> Outcome {
        let transaction = self.0.begin_write()?;
        let mut table = transaction.open_table(ITEMS)?;
        for (key, body) in pairs {
            table.insert(key.as_str(), &body[..])?;
        }
        drop(table);
        Ok(transaction.commit()?)
    }
}
