//! R1: `save` returned, so the entry survives a kill of the process.

use crate::{
    Plan, Report, content,
    place::{self, Place},
    worker::{BULK, Work},
};
use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use restow::Scope;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read},
    path::Path,
    time::Duration,
};

/// What is asked of the file at the moment of a kill, and by how many at once.
const WORK: [(&str, u64); 6] = [
    ("save", 1),
    ("save", 8),
    ("bulk", 2),
    ("purge", 3),
    ("checkpoint", 2),
    ("mixed", 4),
];
/// How many kills one file sees.
const ROUNDS: usize = 12;

/// What children said was done.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    versions: BTreeMap<String, u64>,
    deleted: BTreeSet<String>,
    groups: BTreeSet<String>,
    pub(crate) number: u64,
}

/// Kills a writer `kills` times, at random instants, and looks at the file after each.
///
/// # Errors
/// Where a child cannot be started, or the file not be opened again.
pub async fn run(plan: &Plan, kills: usize) -> Result<Report> {
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut report = Report::of("R1");
    let mut acknowledged = 0;
    let mut done = 0;
    while done < kills {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("cache.db");
        let mut said = Acknowledged::default();
        for _ in 0..ROUNDS.min(kills - done) {
            let (what, tasks) = WORK.get(done % WORK.len()).context("there is work")?;
            let work = Work {
                path: path.clone(),
                name: format!("k{done}"),
                what: (*what).to_owned(),
                tasks: *tasks,
                millis: None,
            };
            said.hear(&kill(plan, &work, &mut random)?);
            inspect(&path, &said, &mut report)
                .await
                .with_context(|| format!("after kill {done} ({what}), seed {}", plan.seed))?;
            done += 1;
            if !report.kept() {
                report.broken.push(format!(
                    "seen after kill {done} ({what}), seed {}",
                    plan.seed
                ));
                break;
            }
        }
        acknowledged += said.number;
        if !report.kept() {
            break;
        }
    }
    report.done = format!("{done} kills -9, {acknowledged} changes acknowledged before them");
    Ok(report)
}

/// Starts a child and kills it at a random instant; returns what it had said.
fn kill(plan: &Plan, work: &Work, random: &mut fastrand::Rng) -> Result<String> {
    let mut child = work.start(&plan.program)?;
    let mut out = BufReader::new(child.stdout.take().context("a child has an output")?);
    // One in ten is killed while it opens the file.
    if random.u8(0..10) > 0 {
        let mut ready = String::new();
        out.read_line(&mut ready)?;
    }
    // The pipe has to be emptied meanwhile, else the child waits for us.
    let listener = std::thread::spawn(move || {
        let mut said = Vec::new();
        out.read_to_end(&mut said).map(|_| said)
    });
    // A random instant is a random wait.
    std::thread::sleep(Duration::from_micros(random.u64(0..120_000)));
    child.kill()?;
    child.wait()?;
    let said = listener
        .join()
        .map_err(|_| anyhow::anyhow!("the listener ended"))??;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

impl Acknowledged {
    pub(crate) fn hear(&mut self, said: &str) {
        // What is behind the last line's end was cut off by the kill.
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("s"), Some(key), Some(version)) => {
                    self.versions
                        .insert(key.to_owned(), version.parse().unwrap_or(u64::MAX));
                }
                // Between this and the next it may be there or not.
                (Some("g"), Some(key), None) => {
                    self.versions.remove(key);
                }
                (Some("d"), Some(key), None) => {
                    self.deleted.insert(key.to_owned());
                }
                (Some("b"), Some(group), None) => {
                    self.groups.insert(group.to_owned());
                }
                _ => continue,
            }
            self.number += 1;
        }
    }
}

/// Opens the file as the next process would, and compares it with what was said.
pub(crate) async fn inspect(path: &Path, said: &Acknowledged, report: &mut Report) -> Result<()> {
    let place = Place::open_later(path).await?;
    let mut groups: BTreeMap<String, u64> = BTreeMap::new();
    let mut found = BTreeMap::new();
    let entries: Vec<_> = place.items.stream(Scope::All).try_collect().await?;
    for (key, body) in entries {
        match content::version(&key, &body) {
            None => report.corrupt += 1,
            Some(version) => {
                if let Some((group, _)) = key.rsplit_once("-b") {
                    *groups.entry(group.to_owned()).or_default() += 1;
                }
                found.insert(key, version);
            }
        }
    }
    // A save that was under way when the kill came may be there, acknowledged or not.
    for (key, version) in &said.versions {
        let there = found.get(key).copied();
        report.lost += u64::from(there.is_none_or(|v| v < *version));
        report.corrupt += u64::from(there.is_some_and(|v| v > version + 1));
        // By key as well: the index leads to the same entry.
        let by_key = place.items.get(key.as_str()).await?;
        let by_key = by_key.and_then(|body| content::version(key, &body));
        report.corrupt += u64::from(by_key != there);
    }
    report.lost += said
        .groups
        .iter()
        .filter(|g| !groups.contains_key(*g))
        .count() as u64;
    report.corrupt += groups.values().filter(|n| **n != BULK).count() as u64;
    report.lost += said
        .deleted
        .iter()
        .filter(|key| found.contains_key(*key))
        .count() as u64;
    place.cache.close().await?;
    report.corrupt += u64::from(!place::check(path)?);
    Ok(())
}
