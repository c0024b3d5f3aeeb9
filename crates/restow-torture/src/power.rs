//! R2: the power fails. What was on the disk by then is a prefix of what was committed, and nothing else is ever seen.
//!
//! A history of commits is written, the file and its log are copied, and the copy is damaged as a power loss would: the log is cut,
//! bits of it are flipped, sectors that no sync had covered are as before, or zero. A commit whose frames lie before the damage
//! has to be there; those behind it are there in order, or not at all.

use crate::{
    Extent, Plan, Report, content, log,
    place::{self, Place},
};
use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use restow::Scope;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::Path,
    sync::Arc,
    time::Instant,
};

const SECTOR: usize = 512;
/// The log is cut at every byte of its last page, and before at each of so many bytes.
const STEP: usize = 17;
/// How many copies are looked at at once.
const AT_ONCE: usize = 4;
/// So many commits are in a log that is cut everywhere.
const FEW: usize = 2;
/// Of the files whose log was cut somewhere, one in so many is written to as well; the others are read only, which takes less time.
const WRITTEN: usize = 8;
/// Of each kind of damage, so many are a sample.
const SAMPLE: usize = 60;

/// The version of each key.
type State = BTreeMap<String, u64>;

/// What was committed, and the file it is in.
#[derive(Debug)]
struct History {
    /// The state before the log, and after each commit in it.
    states: Vec<State>,
    /// Where each of these commits ends in the log.
    ends: Vec<usize>,
    file: Vec<u8>,
    log: Vec<u8>,
    /// What was where the log is now: the log before it began anew.
    older: Vec<u8>,
    /// The file after a checkpoint of the whole log.
    checkpointed: Vec<u8>,
}

/// What the disk holds after the power failed.
#[derive(Clone, Debug)]
enum Damage {
    /// The log ends here.
    Cut(usize),
    /// One bit of the log is another.
    Flip(usize, u8),
    /// These sectors of the log were never written: they are zero.
    Zero(Vec<usize>),
    /// These sectors of the log were never written: they are as the older log left them.
    Older(Vec<usize>),
    /// These sectors of the file had been written by a checkpoint, others not; the log is whole, since it is synced before.
    Checkpoint(Vec<usize>),
}

/// Fails the power over and over.
///
/// # Errors
/// Where the history cannot be written.
pub async fn run(plan: &Plan, extent: Extent) -> Result<Report> {
    let began = Instant::now();
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut report = Report::of("R2");
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut histories, mut commits) = (0, 0);
    let mut left = 0;
    let over = || matches!(extent, Extent::Whole(time) if began.elapsed() > time);
    loop {
        // Every byte of one log is enough: from then on it is chance.
        let exhaustive = matches!(extent, Extent::Whole(_)) && histories == 0;
        let number = if exhaustive { FEW } else { random.usize(8..16) };
        let history = Arc::new(History::write(number, &mut random).await?);
        histories += 1;
        commits += history.ends.len();
        let damages = match exhaustive {
            true => history.all(&mut random),
            false => history.some(&mut random),
        };
        let number = damages.len();
        let mut made = 0;
        let damages = damages.into_iter().take_while(|_| !over());
        let mut verdicts = stream::iter(damages.enumerate())
            .map(|(nth, damage)| {
                let only_read = exhaustive && nth % WRITTEN > 0 && matches!(damage, Damage::Cut(_));
                let history = history.clone();
                tokio::spawn(async move {
                    let verdict = history.suffer(&damage, only_read).await;
                    (damage, verdict)
                })
            })
            .buffer_unordered(AT_ONCE);
        while let Some(verdict) = verdicts.next().await {
            let (damage, verdict) = verdict?;
            made += 1;
            *done.entry(damage.name()).or_default() += 1;
            let verdict = verdict.unwrap_or_else(|e| Verdict::Corrupt(format!("{e:#}")));
            let why = match verdict {
                Verdict::Prefix => continue,
                Verdict::Lost(why) => {
                    report.lost += 1;
                    why
                }
                Verdict::Corrupt(why) => {
                    report.corrupt += 1;
                    why
                }
            };
            if report.broken.len() < 8 {
                let damage = damage.name();
                let seed = plan.seed;
                report.broken.push(format!("{damage}: {why}, seed {seed}"));
            }
        }
        if exhaustive {
            left = number - made;
        }
        if matches!(extent, Extent::Sample) || over() || !report.kept() {
            break;
        }
    }
    let kinds: Vec<_> = done.iter().map(|(k, n)| format!("{n} {k}")).collect();
    report.done = format!(
        "{} power losses ({}) of {commits} commits",
        done.values().sum::<u64>(),
        kinds.join(", ")
    );
    if left > 0 {
        // Writing into a string cannot fail.
        let _ = write!(
            report.done,
            "; no time for {left} cuts and zeroed sectors of the first"
        );
    }
    Ok(report)
}

impl Damage {
    fn name(&self) -> &'static str {
        match self {
            Self::Cut(_) => "cuts of the log",
            Self::Flip(..) => "flipped bits",
            Self::Zero(_) => "zeroed sectors",
            Self::Older(_) => "sectors of an older log",
            Self::Checkpoint(_) => "half checkpoints",
        }
    }
}

enum Verdict {
    /// What is there is what a prefix of the commits made, and all that was on the disk.
    Prefix,
    Lost(String),
    Corrupt(String),
}

impl History {
    /// Makes so many commits into a log that begins anew.
    async fn write(number: usize, random: &mut fastrand::Rng) -> Result<Self> {
        let folder = folder()?;
        let path = folder.path().join("cache.db");
        let mut cache = Committing {
            place: Place::open(&path).await?,
            state: State::new(),
            versions: 0,
        };
        for _ in 0..random.usize(4..12) {
            cache.change(random).await?;
        }
        // The whole log is in the file, and the next commit begins it anew over what is in it now.
        let copied = checkpoint(&path)?;
        ensure!(copied, "nobody else has the file");
        let older = std::fs::read(place::log(&path))?;
        let file = std::fs::read(&path)?;
        // A reader of the file as it is: no checkpoint of the store's own may change it meanwhile.
        let reader = rusqlite::Connection::open(&path)?;
        reader.execute_batch("BEGIN; SELECT * FROM sqlite_schema")?;
        let (mut states, mut ends) = (vec![cache.state.clone()], Vec::new());
        for _ in 0..number {
            cache.change(random).await?;
            states.push(cache.state.clone());
            ends.push(log::end(&std::fs::read(place::log(&path))?));
        }
        let log = std::fs::read(place::log(&path))?;
        ensure!(
            std::fs::read(&path)? == file && ends.is_sorted() && ends.first() > Some(&0),
            "the log did not grow as it should: {ends:?}"
        );
        reader.execute_batch("COMMIT")?;
        drop(reader);
        let copied = checkpoint(&path)?;
        ensure!(copied, "nobody else has the file");
        let checkpointed = std::fs::read(&path)?;
        cache.place.cache.close().await?;
        Ok(Self {
            states,
            ends,
            file,
            log,
            older,
            checkpointed,
        })
    }

    /// How many commits are there at least, where the log is damaged from here on.
    fn whole_before(&self, at: usize) -> usize {
        self.ends.iter().filter(|end| **end <= at).count()
    }

    /// Every cut there has to be, and some of the rest, in any order: there may be no time for all.
    fn all(&self, random: &mut fastrand::Rng) -> Vec<Damage> {
        let (last, length) = self.last_frame();
        let before = (0..last).rev().step_by(STEP);
        let mut damages: Vec<_> = before.chain(last..=length).map(Damage::Cut).collect();
        damages.extend((0..length / SECTOR).map(|sector| Damage::Zero(vec![sector])));
        damages.extend(self.some(random));
        random.shuffle(&mut damages);
        damages
    }

    fn some(&self, random: &mut fastrand::Rng) -> Vec<Damage> {
        let (last, length) = self.last_frame();
        let mut damages = Vec::new();
        for n in 0..SAMPLE {
            let cut = match n % 3 {
                0 => random.usize(last..=length),
                1 => *random.choice(&self.ends).unwrap_or(&0) + random.usize(0..64),
                _ => random.usize(0..=length),
            };
            damages.push(Damage::Cut(cut.min(length)));
            damages.push(Damage::Flip(random.usize(0..length), random.u8(0..8)));
            // The header is synced before the frames behind it.
            let sectors = chosen(1..length.div_ceil(SECTOR), random);
            damages.push(Damage::Zero(sectors));
            let sectors = chosen(1..length.div_ceil(SECTOR), random);
            damages.push(Damage::Older(sectors));
            let sectors = chosen(0..self.checkpointed.len().div_ceil(SECTOR), random);
            damages.push(Damage::Checkpoint(sectors));
        }
        damages
    }

    /// Where the last frame begins and ends.
    fn last_frame(&self) -> (usize, usize) {
        let frames = log::frames(&self.log);
        let end = log::end(&self.log);
        let before = frames.iter().rev().map(|(end, _)| *end);
        let begin = before.into_iter().find(|other| *other < end);
        (begin.unwrap_or(0), end)
    }

    /// Opens what is left as the next process would, and compares it with what was committed.
    async fn suffer(&self, damage: &Damage, only_read: bool) -> Result<Verdict> {
        let folder = folder()?;
        let path = folder.path().join("cache.db");
        let (file, log, whole) = self.left(damage);
        std::fs::write(&path, file)?;
        std::fs::write(place::log(&path), log)?;
        let mode = if only_read { "?mode=ro" } else { "" };
        let place = Place::open_later_with(&path, mode)
            .await
            .context("it cannot be opened")?;
        let entries: Vec<_> = place.items.stream(Scope::All).try_collect().await?;
        let mut found = State::new();
        for (key, body) in entries {
            let Some(version) = content::version(&key, &body) else {
                return Ok(Verdict::Corrupt(format!("{key} has a wrong body")));
            };
            found.insert(key, version);
        }
        let Some(prefix) = self.states.iter().rposition(|state| *state == found) else {
            let why = format!("{} entries that no prefix of the commits made", found.len());
            return Ok(Verdict::Corrupt(why));
        };
        if prefix < whole {
            let why = format!("{prefix} commits are there of {whole} that were on the disk");
            return Ok(Verdict::Lost(why));
        }
        // By key as well: the index leads to the same entries.
        let keys: BTreeSet<_> = self.states.iter().flat_map(State::keys).collect();
        let keys: Vec<_> = keys.into_iter().cloned().collect();
        for (key, body) in keys.iter().zip(place.items.get_many(&keys).await?) {
            let version = body.and_then(|body| content::version(key, &body));
            if version != found.get(key).copied() {
                return Ok(Verdict::Corrupt(format!("{key} has two answers")));
            }
        }
        if only_read {
            place.cache.close().await?;
            return Ok(Verdict::Prefix);
        }
        place
            .items
            .save("after", &content::body("after", 1))
            .await?;
        place.cache.close().await?;
        if !place::check(&path)? {
            return Ok(Verdict::Corrupt("the file is not whole".to_owned()));
        }
        let file = rusqlite::Connection::open(&path)?;
        let sql = "SELECT count(*) FROM items WHERE id = 'after'";
        let after: i64 = file.query_row(sql, [], |row| row.get(0))?;
        Ok(match after {
            1 => Verdict::Prefix,
            _ => Verdict::Lost("a save after the power loss".to_owned()),
        })
    }

    /// The file and the log as the power loss left them, and how many commits have to be there.
    fn left(&self, damage: &Damage) -> (Vec<u8>, Vec<u8>, usize) {
        let (mut file, mut log) = (self.file.clone(), self.log.clone());
        let first = match damage {
            Damage::Cut(at) => {
                log.truncate(*at);
                *at
            }
            Damage::Flip(at, bit) => {
                log.iter_mut()
                    .skip(*at)
                    .take(1)
                    .for_each(|b| *b ^= 1 << bit);
                *at
            }
            Damage::Zero(sectors) => lose(&mut log, sectors, &[]),
            Damage::Older(sectors) => lose(&mut log, sectors, &self.older),
            Damage::Checkpoint(sectors) => {
                file.clone_from(&self.checkpointed);
                lose(&mut file, sectors, &self.file);
                usize::MAX
            }
        };
        (file, log, self.whole_before(first))
    }
}

/// A cache that commits, and what it has committed.
struct Committing {
    place: Place,
    state: State,
    /// No version is given twice, so that no state comes back.
    versions: u64,
}

impl Committing {
    /// Makes one commit.
    async fn change(&mut self, random: &mut fastrand::Rng) -> Result<()> {
        let items = &self.place.items;
        let number = random.u8(0..20);
        self.versions += 1;
        match random.u8(0..6) {
            0 => {
                let key = format!("k{number}");
                let there = self.state.remove(&key).is_some();
                ensure!(items.delete(&key).await? == there, "{key} was there");
                if !there {
                    // A delete of nothing is no commit.
                    let body = content::body(&key, self.versions);
                    items.save(&key, &body).await?;
                    self.state.insert(key, self.versions);
                }
            }
            kind => {
                // A group is there as a whole, or not.
                let size = if kind < 3 { 3 } else { 1 };
                let keys = (number..number + size).map(|n| format!("k{n}"));
                let pairs = content::bodies(keys, self.versions);
                items.save_many(&pairs).await?;
                let saved = pairs.into_iter().map(|(key, _)| (key, self.versions));
                self.state.extend(saved);
            }
        }
        Ok(())
    }
}

/// Puts what was there before into sectors, zeros where there was nothing; returns where the first of them begins.
fn lose(bytes: &mut [u8], sectors: &[usize], before: &[u8]) -> usize {
    for sector in sectors {
        let at = sector * SECTOR;
        let old = before.iter().skip(at).chain(std::iter::repeat(&0));
        let new = bytes.iter_mut().skip(at).take(SECTOR);
        new.zip(old).for_each(|(new, old)| *new = *old);
    }
    sectors.first().map_or(usize::MAX, |sector| sector * SECTOR)
}

/// Some of these sectors, in order: few or many, and rather the last.
fn chosen(sectors: std::ops::Range<usize>, random: &mut fastrand::Rng) -> Vec<usize> {
    let begin = random.usize(sectors.start..sectors.end.max(sectors.start + 1));
    let one_in = *random.choice(&[1, 2, 10, 100]).unwrap_or(&2);
    let mut chosen: Vec<_> = (begin..sectors.end)
        .filter(|_| random.usize(0..one_in) == 0)
        .collect();
    if chosen.is_empty() {
        chosen.push(begin);
    }
    chosen
}

/// Copies the log into the file, and leaves it. Tells whether all of it was copied.
fn checkpoint(path: &Path) -> Result<bool> {
    let file = rusqlite::Connection::open(path)?;
    let sql = "PRAGMA wal_checkpoint(PASSIVE)";
    let (log, copied): (i64, i64) =
        file.query_row(sql, [], |row| Ok((row.get(1)?, row.get(2)?)))?;
    Ok(log == copied)
}

/// In memory where there is any: no disk has to be waited for.
fn folder() -> Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    Ok(match memory.is_dir() {
        true => tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir())?,
        false => tempfile::tempdir()?,
    })
}
