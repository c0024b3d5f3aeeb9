//! R4: several processes on one file wait for each other, and neither fail nor lose anything.

use crate::{
    Plan, Report, content,
    place::{self, Place},
    worker::Work,
};
use anyhow::{Context, Result, ensure};
use restow::Scope;
use std::{collections::BTreeMap, time::Duration};

/// The longest that 999 of 1,000 saves may take.
const P999: Duration = Duration::from_secs(1);
/// How many tasks each process has.
const TASKS: u64 = 4;

/// Runs this many processes on one file for a while: 80 reads to 20 saves, purges and checkpoints between them.
///
/// # Errors
/// Where a child cannot be started, or failed.
pub async fn run(plan: &Plan, processes: u64, time: Duration) -> Result<Report> {
    let mut report = Report::of("R4");
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cache.db");
    let mut children = Vec::new();
    for n in 0..processes {
        let work = Work {
            path: path.clone(),
            name: format!("p{n}"),
            what: "mixed".to_owned(),
            tasks: TASKS,
            millis: Some(u64::try_from(time.as_millis())?),
        };
        let child = work.start(&plan.program)?;
        // Each is emptied by a thread of its own, else they wait for us.
        children.push(std::thread::spawn(move || child.wait_with_output()));
    }
    let mut versions = BTreeMap::new();
    let (mut reads, mut saves, mut slow, mut slowest) = (0, 0, 0, 0);
    for child in children {
        let out = child
            .join()
            .map_err(|_| anyhow::anyhow!("the listener ended"))??;
        ensure!(out.status.success(), "a child failed: {}", out.status);
        for line in String::from_utf8(out.stdout)?.lines() {
            if let Some(said) = line.strip_prefix("s ") {
                let (key, version) = said.rsplit_once(' ').context("a save has a version")?;
                versions.insert(key.to_owned(), version.parse::<u64>()?);
            } else if let Some(tally) = line.strip_prefix("t ") {
                let numbers: Vec<u64> =
                    tally.split(' ').map(str::parse).collect::<Result<_, _>>()?;
                let [read, saved, locks, lost, corrupt, p999, most] = numbers
                    .try_into()
                    .map_err(|_| anyhow::anyhow!("a tally has seven numbers: {tally}"))?;
                reads += read;
                saves += saved;
                report.lock_errors += locks;
                report.lost += lost;
                report.corrupt += corrupt;
                slow = slow.max(p999);
                slowest = slowest.max(most);
            }
        }
    }
    let place = Place::open_later(&path).await?;
    for (key, version) in &versions {
        match place
            .items
            .get(key.as_str())
            .await?
            .map(|body| content::version(key, &body))
        {
            Some(None) => report.corrupt += 1,
            found => report.lost += u64::from(found.flatten() != Some(*version)),
        }
    }
    let number = place.items.count(Scope::All).await?;
    if number != versions.len() as u64 {
        report.broken.push(format!(
            "{number} entries are there, {} were saved",
            versions.len()
        ));
    }
    place.cache.close().await?;
    report.corrupt += u64::from(!place::check(&path)?);
    let slow = Duration::from_micros(slow);
    if slow >= P999 {
        report
            .broken
            .push(format!("of 1,000 saves one took {} ms", slow.as_millis()));
    }
    report.slowest = Some(Duration::from_micros(slowest));
    report.done = format!(
        "{processes} processes, {} s: {reads} reads, {saves} saves, purges and checkpoints; p99.9 of a save {} ms",
        time.as_secs(),
        slow.as_millis()
    );
    Ok(report)
}
