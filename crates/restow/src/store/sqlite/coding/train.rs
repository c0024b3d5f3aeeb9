//! Dictionaries are made of a repository's own entries: once there are enough, and again when they have become others.

use super::{
    super::{
        counts,
        engine::{Engine, Pace},
        error::Attempt,
        rows::{Rows, seal},
    },
    Length, PLAIN, dictionary,
    frame::{self, Digested},
};
use crate::{Error, ErrorKind, Millis, Result, store::Compression};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;

/// So many bytes of a dictionary are the most that pays for small bodies.
const DICTIONARY: usize = 16 << 10;
/// Without a dictionary, a look at whether there is enough for one follows after so many entries.
const LOOK: u32 = 128;
/// With one, a look at how it does follows after so many.
const WINDOW: u32 = 1_000;
/// Bytes stored per byte that came, against those of the first window, that call for another.
const WORSE: f64 = 1.25;
/// Fewer entries teach nothing.
const FEWEST: usize = 16;
/// The most entries that are looked at.
const SAMPLES: i64 = 1_200;
/// They are some of the newest, as those to come will be like them.
const RECENT: i64 = 50_000;
/// The most bytes that are looked at: a hundred times the dictionary. More take longer, and teach little more.
const SAMPLE_BYTES: usize = 100 * DICTIONARY;
/// The most bytes of one body: the beginning is what a dictionary helps.
const BODY_BYTES: usize = 32 << 10;
/// One in so many is kept apart to measure by.
const HELD_OUT: usize = 8;

/// What a training came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trained {
    /// The number of the new dictionary; `None` where it would not be better than what is there.
    pub dictionary: Option<i64>,
    /// The dictionary's bytes.
    pub size: u64,
    /// How many entries it is made of.
    pub samples: u64,
    /// How many others it was measured by.
    pub measured: u64,
    /// The bytes of these as they came: header lines, and bodies up to their first 32 KiB.
    pub plain: u64,
    /// Their bytes as they would have been stored before.
    pub before: u64,
    /// Their bytes with the new dictionary.
    pub after: u64,
}

/// Watches how well new rows are coded.
#[derive(Debug, Default)]
pub(super) struct Watch {
    coding: i64,
    entries: u32,
    came: usize,
    stored: usize,
    /// Bytes that came and were stored, in the first window of this coding.
    first: Option<(usize, usize)>,
    due: bool,
    worse: bool,
    /// Looks are so many entries apart at least: more after each training that was of no use.
    rest: u32,
    /// Somebody looks after the dictionary.
    busy: bool,
}

/// The right to look after a table's dictionary; one has it at a time.
#[derive(Debug)]
pub(in super::super) struct Turn(pub(super) Arc<Rows>);

impl Turn {
    /// `None` where it is not time for it.
    pub(in super::super) fn take(rows: &Arc<Rows>) -> Option<Self> {
        if rows.coder.compression == Compression::None {
            return None;
        }
        let mut watch = rows.coder.watched();
        if !watch.due || watch.busy {
            return None;
        }
        (watch.due, watch.busy) = (false, true);
        Some(Self(rows.clone()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.coder.watched().busy = false;
    }
}

impl Watch {
    pub(super) fn note(&mut self, coding: i64, came: usize, stored: usize) {
        if self.coding != coding {
            *self = Self {
                coding,
                // Whether there is enough for a dictionary already is asked at once.
                due: coding < PLAIN,
                busy: self.busy,
                ..Self::default()
            };
        }
        self.entries += 1;
        self.came = self.came.saturating_add(came);
        self.stored = self.stored.saturating_add(stored);
        let end = if coding < PLAIN { LOOK } else { WINDOW };
        if self.entries >= end.max(self.rest) {
            let window = (self.came, self.stored);
            let ratio = |(came, stored): (usize, usize)| stored as f64 / came.max(1) as f64;
            let first = *self.first.get_or_insert(window);
            if ratio(window) > WORSE * ratio(first) {
                self.worse = true;
                // From here on this is what is to be expected.
                self.first = Some(window);
            }
            self.due = true;
            (self.entries, self.came, self.stored) = (0, 0, 0);
        }
    }

    /// Notes that a training was of no use.
    pub(super) fn was_futile(&mut self) {
        self.rest = self.rest.max(WINDOW).saturating_mul(8);
    }

    /// Tells whether new rows got worse since it was asked last.
    pub(super) fn take_worse(&mut self) -> bool {
        std::mem::take(&mut self.worse)
    }
}

/// Makes a dictionary of what is there; `None` where that is too little.
pub(in super::super) async fn train(
    engine: &Engine,
    rows: &Arc<Rows>,
    now: Millis,
) -> Result<Option<Trained>> {
    let at = rows.clone();
    let lesson = engine.read_later(Pace::Scan, move |conn| Lesson::read(conn, &at));
    let Some(lesson) = lesson.await? else {
        return Ok(None);
    };
    // It takes a moment in which neither an async thread nor a connection may wait.
    let made = tokio::task::spawn_blocking(move || lesson.learn());
    let made = made.await.map_err(|e| {
        Error::new(
            ErrorKind::Store,
            "the training of a dictionary was broken off",
        )
        .with_source(e)
    })?;
    let Some(made) = made else { return Ok(None) };
    let mut trained = made.trained;
    if trained.after < trained.before {
        let repository = rows.spec.name.shared();
        let store = move |conn: &Connection| {
            // Another process may have made one meanwhile; the later one is as good.
            let samples = made.trained.samples.cast_signed();
            dictionary::insert(conn, &repository, samples, &made.dictionary, now)
        };
        let id = engine.write(store).await?;
        let entries = made.entries;
        engine
            .write(move |conn| dictionary::put_in_use(conn, id, entries))
            .await?;
        trained.dictionary = Some(id);
        tidy(engine, rows).await?;
    }
    Ok(Some(trained))
}

/// Removes the dictionaries that are not needed any more.
pub(super) async fn tidy(engine: &Engine, rows: &Arc<Rows>) -> Result<()> {
    let at = rows.clone();
    let unused = engine.read_later(Pace::Scan, move |conn| {
        dictionary::unused(conn, at.spec.name.as_str(), &at.layout.table.to_string())
    });
    let unused = unused.await?;
    if unused.is_empty() {
        return Ok(());
    }
    engine
        .write(move |conn| dictionary::remove(conn, &unused))
        .await
}

/// Entries to learn from, and what is there to compare with.
struct Lesson {
    samples: Vec<Sample>,
    entries: i64,
    before: Option<Arc<dictionary::Dictionary>>,
}

struct Sample {
    head: Bytes,
    body: Bytes,
}

struct Lessons {
    dictionary: Vec<u8>,
    entries: i64,
    trained: Trained,
}

impl Lesson {
    /// Reads some of the newest entries; `None` where there are too few.
    fn read(conn: &Connection, rows: &Rows) -> Attempt<Option<Self>> {
        let table = &rows.layout.table;
        let sql = format!(
            "SELECT coalesce((SELECT min(entry_id) FROM {table}), 0), coalesce((SELECT max(entry_id) FROM {table}), 0)"
        );
        let (first, last): (i64, i64) =
            conn.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (entries, held) = counts::total(conn, rows, None)?;
        let first = first.max(last.saturating_sub(RECENT));
        // From all of them, not from the oldest until it is enough.
        let each = (held / entries.max(1)).clamp(1, BODY_BYTES as i64);
        let samples = (SAMPLE_BYTES as i64 / each).clamp(1, SAMPLES);
        let step = (last - first) / samples + 1;
        let mut next = conn.prepare(&format!(
            "SELECT entry_id, facts, coding, headers, body FROM {table} WHERE entry_id >= ?1 ORDER BY entry_id LIMIT 1"
        ))?;
        let (mut samples, mut bytes, mut at) = (Vec::new(), 0, first);
        while bytes < SAMPLE_BYTES && at <= last {
            let found = next.query_row([at], |row| {
                Ok((row.get::<_, i64>(0)?, Stored::read(conn, rows, row, 1)))
            });
            let Some((id, stored)) = found.optional()? else {
                break;
            };
            at = id.max(at).saturating_add(step);
            if let Some(Stored { head, body, .. }) = stored {
                let body = body.slice(..body.len().min(BODY_BYTES));
                bytes += head.len() + body.len();
                samples.push(Sample { head, body });
            }
        }
        if samples.len() < FEWEST {
            return Ok(None);
        }
        let before = match dictionary::newest(conn, rows.spec.name.as_str())? {
            Some(id) => rows.coder.dictionary(conn, id)?,
            None => None,
        };
        Ok(Some(Self {
            samples,
            entries,
            before,
        }))
    }

    /// Makes a dictionary and measures it by entries that it does not know; `None` where zstd finds nothing in common.
    fn learn(self) -> Option<Lessons> {
        let (apart, samples): (Vec<_>, Vec<_>) = self
            .samples
            .into_iter()
            .enumerate()
            .partition(|(i, _)| i % HELD_OUT == HELD_OUT - 1);
        let parts: Vec<&[u8]> = samples
            .iter()
            .flat_map(|(_, s)| [&*s.head, &*s.body])
            .filter(|part| !part.is_empty())
            .collect();
        let sizes: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        let mut dictionary = Vec::with_capacity(DICTIONARY);
        zstd_safe::train_from_buffer(&mut dictionary, &parts.concat(), &sizes).ok()?;
        let digested = Digested::new(dictionary.clone().into())?;
        let before = self.before.as_deref().map(|d| &d.digested);
        let coded = |with: Option<&Digested>| -> Option<u64> {
            let sizes = apart.iter().map(|(_, Sample { head, body })| {
                let coded = frame::compress(head, with)?.len() + frame::compress(body, with)?.len();
                Some(coded.min(head.len() + body.len()) as u64)
            });
            sizes.sum()
        };
        let trained = Trained {
            dictionary: None,
            size: dictionary.len() as u64,
            samples: samples.len() as u64,
            measured: apart.len() as u64,
            plain: apart
                .iter()
                .map(|(_, s)| (s.head.len() + s.body.len()) as u64)
                .sum(),
            before: coded(before)?,
            after: coded(Some(&digested))?,
        };
        Some(Lessons {
            dictionary,
            entries: self.entries,
            trained,
        })
    }
}

/// Header lines and body of a row, as they came.
pub(super) struct Stored {
    pub(super) coding: i64,
    pub(super) head: Bytes,
    pub(super) body: Bytes,
}

impl Stored {
    /// Reads `facts, coding, headers, body` from this column on; `None` where the row is damaged.
    pub(super) fn read(
        conn: &Connection,
        rows: &Rows,
        row: &rusqlite::Row<'_>,
        first: usize,
    ) -> Option<Self> {
        let bytes = |i: usize| row.get_ref(first + i).ok()?.as_bytes().ok();
        let seal = seal(bytes(0)?)?;
        let coding = row.get(first + 1).ok()?;
        let decode = |i, length| rows.coder.decode(conn, coding, bytes(i)?, length);
        let stored = Self {
            coding,
            head: decode(2, Length::Head)?,
            body: decode(3, Length::Exactly(seal.len))?,
        };
        (crate::entry::Seal::of(&stored.body) == seal).then_some(stored)
    }
}
