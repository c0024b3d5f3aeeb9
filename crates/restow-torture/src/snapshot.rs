//! R5: readers that do not let go. The log stays within twice its cap, and shrinks after.
//!
//! A checkpoint copies the log into the file, but the log can begin anew only once no reader needs a frame of it. Reads and streams of
//! the store need one for a page at most, so a slow consumer holds back nothing, and no save is refused. A snapshot that another program
//! holds is SQLite's to respect: the log grows to its bound, and from then on saves are refused, with an error that says why. Reads and
//! requests are answered all the time, the other program's snapshot stays as it was, and once it is gone saves go on at once.

use crate::{
    Plan, Report, content,
    origin::{Came, ask},
    place::{self, Place},
};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, future::try_join};
use restow::{ErrorKind, Scope};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// What the log is cut back to.
const CAP: u64 = 64 << 20;
/// So much is saved: more than a log may hold, so that it is seen if it holds it.
const VOLUME: u64 = 9 * CAP / 4;
const BODY: usize = 256 << 10;
/// How many entries there are to be read.
const ENTRIES: u64 = 900;
/// So many saves, at most, until the log is small again.
const SOON: u64 = 200;

/// Holds on to two files for about this long while they are written to: as a slow consumer of a stream, and with another program's snapshot.
///
/// # Errors
/// Where the cache fails.
pub async fn run(plan: &Plan, time: Duration) -> Result<Report> {
    let ((own, ours), (their, theirs)) = try_join(consumer(plan, time), foreign(time)).await?;
    let mut report = Report::of("R5");
    report.done = format!(
        "{} MiB saved beside a stream that stands still for {} s: log at most {} MiB (cap {}); the same beside a snapshot of another program: log at most {} MiB, {} saves refused, and {} MiB {} saves after its end",
        mib(VOLUME),
        ours.took.as_secs(),
        mib(ours.peak),
        mib(CAP),
        mib(theirs.peak),
        their.refused,
        mib(theirs.after),
        theirs.saves_after,
    );
    report.absorb(own);
    report.absorb(their);
    Ok(report)
}

/// How the log behaved.
#[derive(Clone, Copy, Debug, Default)]
struct Log {
    peak: u64,
    after: u64,
    saves_after: u64,
    took: Duration,
}

/// A stream of ours that nobody reads on from.
async fn consumer(plan: &Plan, time: Duration) -> Result<(Report, Log)> {
    let mut report = Report::default();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cache.db");
    let place = filled(&path).await?;
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut stream = place.items.stream(Scope::All);
    let mut read = 0;
    // Somewhere in a page.
    for _ in 0..random.usize(1..500) {
        stream.next().await.context("there are entries")??;
        read += 1;
    }
    let mut log = write(&place, &path, time, &mut report).await?;
    if report.refused > 0 {
        let broken = format!("{} saves were refused beside a stream", report.refused);
        report.broken.push(broken);
    }
    let other = rusqlite::Connection::open(&path)?;
    if is_held(&other).await? {
        let broken = "a stream that stands still holds a snapshot".to_owned();
        report.broken.push(broken);
    }
    log.after = length(&path);
    while let Some(entry) = stream.next().await {
        let (key, body) = entry?;
        if key.starts_with('k') {
            read += 1;
            report.corrupt += u64::from(content::version(&key, &body) != Some(1));
        }
    }
    if read != ENTRIES {
        let broken = format!("{read} of {ENTRIES} entries were streamed");
        report.broken.push(broken);
    }
    drop(stream);
    place.cache.close().await?;
    report.corrupt += u64::from(!place::check(&path)?);
    Ok((report, log))
}

/// Tells whether somebody reads from the log, so that it cannot be cut. Whoever is bringing it back is waited for.
async fn is_held(conn: &rusqlite::Connection) -> Result<bool> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let (busy, pages): (bool, i64) =
            conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        // Then somebody else is at it, and it did not come to look at the log.
        if !busy || pages != -1 || Instant::now() > until {
            return Ok(busy);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A snapshot that another program holds.
async fn foreign(time: Duration) -> Result<(Report, Log)> {
    let mut report = Report::default();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cache.db");
    let place = filled(&path).await?;
    let reader = rusqlite::Connection::open(&path)?;
    let sum = "SELECT count(*), sum(size), sum(generation) FROM items";
    let look = || -> rusqlite::Result<[i64; 3]> {
        reader.query_row(sum, [], |r| Ok([r.get(0)?, r.get(1)?, r.get(2)?]))
    };
    reader.execute_batch("BEGIN")?;
    let seen = look()?;
    let mut log = write(&place, &path, time, &mut report).await?;
    report.corrupt += u64::from(look()? != seen);
    let refused = report.refused;
    if refused == 0 {
        let broken = "a log that cannot be cut refused no save: it has no bound".to_owned();
        report.broken.push(broken);
    }
    reader.execute_batch("COMMIT")?;
    while log.saves_after < SOON {
        log.saves_after += 1;
        save(&place, log.saves_after, &mut report).await?;
        log.after = length(&path);
        if log.after <= CAP {
            break;
        }
    }
    if log.after > CAP {
        let after = mib(log.after);
        let broken = format!("the log is still of {after} MiB once the reader is gone");
        report.broken.push(broken);
    }
    let after = report.refused - refused;
    if after > 0 {
        let broken = format!("{after} saves were refused once the reader was gone");
        report.broken.push(broken);
    }
    place.cache.close().await?;
    report.corrupt += u64::from(!place::check(&path)?);
    Ok((report, log))
}

async fn filled(path: &Path) -> Result<Place> {
    let place = Place::open(path).await?;
    let pairs = content::bodies((0..ENTRIES).map(|n| format!("k{n}")), 1);
    place.items.save_many(&pairs).await?;
    Ok(place)
}

/// Saves so much, evenly over the time, reads between the saves, and watches the log.
async fn write(place: &Place, path: &Path, time: Duration, report: &mut Report) -> Result<Log> {
    let began = Instant::now();
    let saves = VOLUME / BODY as u64;
    let mut log = Log::default();
    for n in 0..saves {
        // A pace, not a wait: in a test there is none.
        let due = time.mul_f64(n as f64 / saves as f64);
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        save(place, n, report).await?;
        log.peak = log.peak.max(length(path));
        let key = format!("k{}", n % ENTRIES);
        let body = place.items.get(key.as_str()).await?;
        let version = body.and_then(|body| content::version(&key, &body));
        report.corrupt += u64::from(version != Some(1));
        if n.is_multiple_of(8) {
            let came = ask(place, &key).await.context("a caller got an error")?;
            report.corrupt += u64::from(came != Came::FromStore(1));
        }
    }
    if log.peak > 2 * CAP {
        let broken = format!("the log grew to {} MiB", mib(log.peak));
        report.broken.push(broken);
    }
    log.took = began.elapsed();
    Ok(log)
}

/// Saves one of some large entries, over and over. It is refused where the log cannot begin anew.
async fn save(place: &Place, n: u64, report: &mut Report) -> Result<()> {
    let body = Bytes::from(vec![b'a' + (n % 26) as u8; BODY]);
    let key = format!("large-{}", n % 16);
    match place.items.save(key.as_str(), &body).await {
        Ok(_) => {
            let found = place.items.get(key.as_str()).await?;
            report.lost += u64::from(found != Some(body));
        }
        Err(error) => {
            ensure!(error.kind() == ErrorKind::Busy, error);
            report.refused += 1;
        }
    }
    Ok(())
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(place::log(path)).map_or(0, |log| log.len())
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
