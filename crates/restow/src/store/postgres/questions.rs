//! What is asked of a table.

use super::{
    changes::number,
    engine::{Engine, Lent, Query, Way},
    rows::{Notices, Rows},
    select::Filter,
    statements::selected_with_address,
    values::{Place, Values, unescape},
};
use crate::{
    Millis, Result, Selection,
    entry::{Address, Entry, Found, Partition},
    store::{Ages, Parts, Share, Stats},
};
use futures_core::Stream;
use std::sync::Arc;
use tokio_postgres::{Row, types::Type};

/// So many addresses are asked for by one statement.
const PART: usize = 512;
/// The first page of a scan has so many rows; each ends at so many, and is meant to hold so many bytes.
const FIRST_PAGE: u64 = 16;
const PAGE_ROWS: u64 = 1_024;
const PAGE_BYTES: u64 = 1 << 20;
/// A table of up to so many pages is counted; of a larger one, so many pages are taken as a sample. Numbers for people cost the same
/// whatever there is, and are right within some percent; a budget is to be kept more exactly.
const FOR_PEOPLE: (f64, f64) = (400.0, 400.0);
const FOR_BUDGETS: (f64, f64) = (8_192.0, 2_000.0);
const PAGE: f64 = 8_192.0;

/// Reads every retained variant at an address.
pub(super) fn read(
    engine: &Arc<Engine>,
    way: Way,
    rows: &Arc<Rows>,
    at: &Address,
    parts: Parts,
    now: Millis,
) -> impl Future<Output = Result<(Found, Notices)>> + Send + use<> {
    let place = Place::of(at);
    let values: Values = vec![Box::new(place), Box::new(rows.horizon(now).0)];
    let (kept, at) = (rows.clone(), at.clone());
    let asked = engine.ask(way, rows.read(parts), values, move |row| {
        let mut notices = Notices::default();
        let entry = kept.entry(&row, parts, &at, place, now, &mut notices);
        (entry, notices)
    });
    async move {
        let (mut found, mut notices) = (Found::default(), Notices::default());
        for (entry, noticed) in asked.await? {
            entry.into_iter().for_each(|entry| found.push(entry));
            notices.merge(noticed);
        }
        Ok((found, notices))
    }
}

/// Reads many addresses; answer `i` is for address `i`.
pub(super) async fn read_many(
    engine: &Arc<Engine>,
    way: Way,
    rows: &Arc<Rows>,
    at: &[Address],
    parts: Parts,
    now: Millis,
) -> Result<(Vec<Found>, Notices)> {
    let mut asked = Vec::with_capacity(at.len());
    for (nth, address) in at.iter().enumerate() {
        rows.spec.check_key(&address.key)?;
        asked.push((Place::of(address), nth));
    }
    asked.sort_unstable();
    let mut places: Vec<_> = asked
        .iter()
        .map(|(place, nth)| (*place, at.get(*nth).cloned()))
        .collect();
    places.dedup_by_key(|(place, _)| *place);
    // Each part is asked for on a connection of its own, all at once.
    let parts = places
        .chunks(PART)
        .map(|part| read_part(engine, way, rows, part, parts, now));
    let parts = futures_util::future::try_join_all(parts).await?;
    let (mut found, mut notices) = (vec![Found::default(); at.len()], Notices::default());
    for (place, entry, noticed) in parts.into_iter().flatten().flatten() {
        notices.merge(noticed);
        let Some(entry) = entry else { continue };
        let first = asked.partition_point(|(asked, _)| *asked < place);
        let questions = asked
            .iter()
            .skip(first)
            .take_while(|(asked, _)| *asked == place);
        for (_, nth) in questions {
            if let Some(found) = found.get_mut(*nth) {
                found.push(entry.clone());
            }
        }
    }
    Ok((found, notices))
}

type Read = Option<(Place, Option<Arc<Entry>>, Notices)>;

fn read_part(
    engine: &Arc<Engine>,
    way: Way,
    rows: &Arc<Rows>,
    part: &[(Place, Option<Address>)],
    parts: Parts,
    now: Millis,
) -> impl Future<Output = Result<Vec<Read>>> + Send + use<> {
    let places: Vec<_> = part.iter().map(|(place, _)| *place).collect();
    let values: Values = vec![Box::new(places), Box::new(rows.horizon(now).0)];
    let (kept, part) = (rows.clone(), part.to_vec());
    engine.ask(way, rows.read_many(parts), values, move |row| {
        let place = place_of(&row)?;
        let nth = part
            .binary_search_by_key(&place, |(place, _)| *place)
            .ok()?;
        let address = part.get(nth)?.1.as_ref()?;
        let mut notices = Notices::default();
        let entry = kept.entry(&row, parts, address, place, now, &mut notices);
        Some((place, entry, notices))
    })
}

/// The place of a row that ends with it.
fn place_of(row: &Row) -> Option<Place> {
    let last = row.len().checked_sub(1)?;
    Place::read(row.try_get(last).ok()?)
}

/// Counts the entries selected.
pub(super) async fn count(
    engine: &Engine,
    rows: &Rows,
    which: &Selection,
    now: Millis,
) -> Result<u64> {
    let filter = Filter::new(rows, which, now);
    let sql = format!(
        "SELECT count(*) FROM {} WHERE {}",
        rows.layout.table, filter.sql
    );
    let query = Query::new(sql, filter.types.clone());
    number(&ask(engine, &query, &filter.values()).await?)
}

/// Counts what is there of each partition, as long as it is not removed.
pub(super) async fn partitions(engine: &Engine, rows: &Rows) -> Result<Vec<(Partition, u64)>> {
    let sql = format!(
        "SELECT partition, count(*) FROM {} WHERE (SELECT {} FROM {0} LIMIT 0) IS NULL GROUP BY partition",
        rows.layout.table, rows.layout.address
    );
    let mut counts = Vec::new();
    for row in ask(engine, &Query::new(sql, []), &Values::new()).await? {
        let (Ok(text), Ok(entries)) = (row.try_get::<_, &str>(0), row.try_get::<_, i64>(1)) else {
            continue;
        };
        // One whose text is damaged is left out.
        if let Ok(partition) = Partition::parse(&unescape(text)) {
            counts.push((partition, entries.cast_unsigned()));
        }
    }
    Ok(counts)
}

/// Counts and adds up what is retained; of a large table, by a sample.
pub(super) async fn stats(engine: &Engine, rows: &Rows, now: Millis) -> Result<Stats> {
    let mut lent = engine.lend().await?;
    let sample = Sample::of(engine, &mut lent, &rows.layout.table, FOR_PEOPLE).await?;
    let spans: Vec<_> = Ages::SPANS
        .iter()
        .map(|span| span.as_millis().to_string())
        .collect();
    let spans = format!("ARRAY[{}]::float8[]", spans.join(", "));
    let sql = format!(
        "SELECT width_bucket(greatest($1::float8 - stored_at, 0), {spans}), \
         CASE WHEN expires_at > $2 THEN width_bucket(expires_at::float8 - $1, {spans}) END, \
         count(*), sum(size)::int8, min(stored_at), max(stored_at) \
         FROM {} {} WHERE expires_at > $3 AND (SELECT {} FROM {0} LIMIT 0) IS NULL GROUP BY 1, 2",
        rows.layout.table,
        sample.clause(),
        rows.layout.address,
    );
    let query = Query::new(sql, [Type::FLOAT8, Type::INT8, Type::INT8]);
    let values: Values = vec![
        Box::new(now.0 as f64),
        Box::new(now.0),
        Box::new(rows.horizon(now).0),
    ];
    let groups = lent
        .ask(&query, &values)
        .await
        .map_err(|f| f.at(engine.place()))?;
    let (mut stats, mut ages) = (Stats::default(), Ages::default());
    for group in &groups {
        let time = |column| {
            group
                .try_get::<_, Option<i64>>(column)
                .ok()
                .flatten()
                .map(Millis)
        };
        let of = |column| {
            group
                .try_get::<_, i64>(column)
                .unwrap_or_default()
                .cast_unsigned()
        };
        let span = |column| {
            let span = group.try_get::<_, Option<i32>>(column).ok().flatten()?;
            usize::try_from(span).ok()
        };
        let share = Share {
            entries: of(2),
            bytes: of(3),
        };
        stats.entries = stats.entries.saturating_add(share.entries);
        stats.bytes = stats.bytes.saturating_add(share.bytes);
        add(&mut ages.stored, span(0), share);
        match span(1) {
            None => stats.expired = stats.expired.saturating_add(share.entries),
            live => add(&mut ages.expires, live, share),
        }
        stats.oldest = stats.oldest.into_iter().chain(time(4)).min();
        stats.newest = stats.newest.max(time(5));
    }
    stats.exact = sample.is_all();
    ages.exact = stats.exact;
    if !stats.exact {
        stats.entries = sample.scale(stats.entries);
        stats.expired = sample.scale(stats.expired);
        stats.bytes = sample.scale(stats.bytes);
        ages = ages.scaled(stats.entries, stats.bytes);
    }
    stats.ages = ages;
    Ok(stats)
}

/// Returns how many rows a table has, and how many bytes they are said to have; of a large one, by a sample.
pub(super) async fn held(engine: &Engine, table: &str) -> Result<(u64, u64)> {
    let mut lent = engine.lend().await?;
    let sample = Sample::of(engine, &mut lent, table, FOR_BUDGETS).await?;
    let sql = format!(
        "SELECT count(*), coalesce(sum(size), 0)::int8 FROM {table} {}",
        sample.clause()
    );
    let answer = lent
        .ask(&Query::new(sql, []), &Values::new())
        .await
        .map_err(|f| f.at(engine.place()))?;
    let of = |column| {
        let number = answer
            .first()
            .and_then(|row| row.try_get::<_, i64>(column).ok());
        sample.scale(number.unwrap_or_default().cast_unsigned())
    };
    Ok((of(0), of(1)))
}

/// How much of a table is looked at.
struct Sample {
    percent: f64,
}

impl Sample {
    async fn of(
        engine: &Engine,
        lent: &mut Lent,
        table: &str,
        (counted, taken): (f64, f64),
    ) -> Result<Self> {
        let query = Query::new(
            "SELECT pg_relation_size(to_regclass($1))".to_owned(),
            [Type::TEXT],
        );
        let values: Values = vec![Box::new(table.to_owned())];
        let answer = lent
            .ask(&query, &values)
            .await
            .map_err(|f| f.at(engine.place()))?;
        let size = answer
            .first()
            .and_then(|row| row.try_get::<_, Option<i64>>(0).ok())
            .flatten();
        let pages = size.unwrap_or_default() as f64 / PAGE;
        let percent = match pages <= counted {
            true => 100.0,
            false => 100.0 * taken / pages,
        };
        Ok(Self { percent })
    }

    fn is_all(&self) -> bool {
        self.percent >= 100.0
    }

    fn clause(&self) -> String {
        match self.is_all() {
            true => String::new(),
            false => format!("TABLESAMPLE SYSTEM ({})", self.percent),
        }
    }

    fn scale(&self, number: u64) -> u64 {
        match self.is_all() {
            true => number,
            false => (number as f64 * 100.0 / self.percent) as u64,
        }
    }
}

/// Streams the entries selected, page by page out of a portal. All are of one moment.
pub(super) fn scan<'a>(
    engine: &'a Arc<Engine>,
    rows: &'a Arc<Rows>,
    which: &'a Selection,
    parts: Parts,
    now: Millis,
    mut heed: impl FnMut(Notices) + Send + 'a,
) -> impl Stream<Item = Result<Arc<Entry>>> + Send + 'a {
    async_stream::try_stream! {
        let at = |fault: super::error::Fault| fault.at(engine.place());
        let mut lent = engine.lend().await?;
        let filter = Filter::new(rows, which, now);
        let columns = selected_with_address(&rows.layout, parts);
        let sql = format!("SELECT {columns} FROM {} WHERE {}", rows.layout.table, filter.sql);
        let query = Query::new(sql, filter.types.clone());
        let scan = lent.scan(&query, &filter.values()).await.map_err(at)?;
        let mut wanted = FIRST_PAGE;
        loop {
            let mut page = scan.page(wanted).await.map_err(at)?;
            let (mut seen, mut largest) = (0_u64, 0_u64);
            let mut notices = Notices::default();
            while let Some(row) = page.next().await.map_err(at)? {
                seen += 1;
                largest = largest.max(row.raw_size_bytes() as u64);
                let Some(place) = place_of(&row) else {
                    continue;
                };
                let Some(address) = rows.address(&row) else {
                    rows.note_damage(&row, place, &mut notices);
                    continue;
                };
                if let Some(entry) = rows.entry(&row, parts, &address, place, now, &mut notices) {
                    yield entry;
                }
            }
            // Who reads everything tells nothing of what is used.
            notices.used.clear();
            heed(notices);
            if seen == 0 {
                break;
            }
            wanted = next_page(wanted, largest);
        }
        scan.commit().await.map_err(at)?;
    }
}

/// How many rows the next page has: as many as fit where all are as large as the largest of the last one, and at most twice as many as that had.
fn next_page(last: u64, largest: u64) -> u64 {
    let fit = PAGE_BYTES / largest.max(1);
    fit.min(last * 2).clamp(1, PAGE_ROWS)
}

async fn ask(engine: &Engine, query: &Query, values: &Values) -> Result<Vec<Row>> {
    let mut lent = engine.lend().await?;
    lent.ask(query, values)
        .await
        .map_err(|f| f.at(engine.place()))
}

fn add(shares: &mut [Share; 5], span: Option<usize>, more: Share) {
    if let Some(share) = span.and_then(|span| shares.get_mut(span)) {
        share.entries = share.entries.saturating_add(more.entries);
        share.bytes = share.bytes.saturating_add(more.bytes);
    }
}
