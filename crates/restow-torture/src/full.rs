//! R6: the disk is full. Who asks through the cache is answered, reads go on, nothing acknowledged is lost, and saves succeed again
//! once there is space.

use crate::{
    Extent, Plan, Report, content,
    crash::{Acknowledged, inspect},
    origin::{Came, FRESH, ask},
    place::Place,
    worker::BULK,
};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

/// SIGXFSZ: a file would be larger than it may be. Unless it is handled it ends the process.
const TOO_LARGE: i32 = 25;
/// So many refusals, and the disk is full.
const FULL: u64 = 25;
/// So many saves once there is space, and it has recovered.
const WELL: u64 = 25;
/// Longer than it takes to fill any of these disks.
const LONG: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
/// How large a disk is. Half of it is freed in the end, which has to be more than what a log grows by until it is brought back.
const DISKS: std::ops::Range<u64> = 24 * MIB..64 * MIB;

/// What ends the space.
#[derive(Clone, Copy, Debug)]
enum Wall {
    /// No file of the child may be larger.
    Limit(u64),
    /// The same for a cache whose file is large already: it is the file that cannot grow, and checkpoints fail.
    LimitOfFile,
    /// A file system of this size, and the cache's own part of it.
    Disk(u64),
}

/// What happens once it is full.
#[derive(Clone, Copy, Debug)]
enum End {
    SpaceAgain,
    Kill,
    Close,
}

const ENDS: [End; 3] = [End::SpaceAgain, End::Kill, End::Close];

/// Fills disks.
///
/// # Errors
/// Where a child cannot be started.
pub async fn run(plan: &Plan, extent: Extent) -> Result<Report> {
    let began = Instant::now();
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut report = Report::of("R6");
    let (mut limits, mut disks, mut answered, mut acknowledged) = (0, 0, 0, 0);
    let mounts = matches!(extent, Extent::Whole(_)) && Disk::mount(MIB).is_ok();
    let mut walls = vec![Wall::Limit(random.u64(MIB..4 * MIB))];
    if let Extent::Whole(_) = extent {
        walls.push(Wall::LimitOfFile);
        if mounts {
            walls.push(Wall::Disk(random.u64(DISKS)));
        }
    }
    let mut rounds = 0;
    // Each wall and end once, then as long as there is time.
    let goes_on = |rounds: u64| match extent {
        Extent::Whole(time) => rounds == 0 || began.elapsed() < time,
        Extent::Sample => rounds == 0,
    };
    while goes_on(rounds) && report.kept() {
        for wall in &walls {
            for end in ENDS {
                if !goes_on(rounds) {
                    break;
                }
                let said = fill(plan, *wall, end, &mut report);
                let (asked, changes) = said
                    .await
                    .with_context(|| format!("{wall:?}, {end:?}, seed {}", plan.seed))?;
                answered += asked;
                acknowledged += changes;
                match wall {
                    Wall::Disk(_) => disks += 1,
                    _ => limits += 1,
                }
            }
        }
        rounds += 1;
        walls.retain(|wall| !matches!(wall, Wall::Limit(_)));
        walls.push(Wall::Limit(random.u64(MIB / 2..30 * MIB)));
    }
    let disks = match (extent, mounts) {
        (Extent::Whole(_), true) => format!("{disks} by a tmpfs"),
        (Extent::Whole(_), false) => "no tmpfs could be mounted".to_owned(),
        (Extent::Sample, _) => "no tmpfs in the sample".to_owned(),
    };
    report.done = format!(
        "full {limits} times by RLIMIT_FSIZE, {disks}; {answered} requests answered, {acknowledged} changes acknowledged"
    );
    Ok(report)
}

/// What a child does until its standard input ends.
#[derive(Clone, Debug, clap::Args)]
pub struct Fill {
    /// The file.
    path: PathBuf,
    /// How many entries there are before it begins.
    #[arg(long, default_value_t = 0)]
    entries: u64,
}

impl Fill {
    /// Saves, reads and asks, and says so after each call has returned.
    ///
    /// # Errors
    /// Where anything but a save fails.
    pub async fn run(self) -> Result<()> {
        let _handled = signal(SignalKind::from_raw(TOO_LARGE))?;
        let place = Place::open(&self.path).await?;
        for begin in (0..self.entries).step_by(500) {
            let keys = (begin..begin + 500).map(|n| format!("before-{n}"));
            let pairs = content::bodies(keys, 1);
            place.items.save_many(&pairs).await?;
            pairs.iter().for_each(|(key, _)| println!("s {key} 1"));
        }
        // One for each line: that there is space again, and that it is the end.
        let told = Arc::new(AtomicU8::new(0));
        let heard = told.clone();
        std::thread::spawn(move || {
            io::stdin().lines().for_each(|_| heard.store(1, SeqCst));
            heard.store(2, SeqCst);
        });
        println!("ready {}", fs::metadata(&self.path)?.len());
        let mut there = BTreeMap::new();
        let mut freed = false;
        for round in 0_u64.. {
            match told.load(SeqCst) {
                0 => {}
                1 if freed => {}
                1 => {
                    freed = true;
                    println!("freed");
                }
                _ => break,
            }
            self::round(&place, round, &mut there).await?;
        }
        match place.cache.close().await {
            Ok(()) => println!("closed"),
            Err(error) => refused(&error),
        }
        Ok(())
    }
}

fn refused(error: &restow::Error) {
    println!("r {:?} {error}", error.kind());
}

/// A save, now and then a bulk save, a request, and a look at what is there.
async fn round(place: &Place, round: u64, there: &mut BTreeMap<String, u64>) -> Result<()> {
    // Some are new, some replace what is there.
    let key = format!("f-{}", if round % 3 == 2 { round / 3 } else { round });
    let version = there.get(&key).copied().unwrap_or(0) + 1;
    match place.items.save(&key, &content::body(&key, version)).await {
        Ok(_) => {
            println!("s {key} {version}");
            there.insert(key, version);
        }
        Err(error) => refused(&error),
    }
    if round.is_multiple_of(8) {
        let keys = (0..BULK).map(|n| format!("{round}-b{n}"));
        let pairs = content::bodies(keys, 1);
        match place.items.save_many(&pairs).await {
            Ok(_) => println!("b {round}"),
            Err(error) => refused(&error),
        }
    }
    let asked = format!("q-{}", round / 2);
    match ask(place, &asked).await.context("a caller got an error")? {
        Came::FromOrigin | Came::FromStore(FRESH) => println!("a"),
        other => bail!("{asked} was answered with {other:?}"),
    }
    // One of them, another each time.
    let number = there.len() as u64;
    let nth = round.wrapping_mul(7_919) % number.max(1);
    if let Some((key, version)) = there.iter().nth(nth as usize) {
        let found = place.items.get(key).await.context("a read failed")?;
        let found = found.and_then(|body| content::version(key, &body));
        ensure!(found == Some(*version), "{key} is {found:?}, not {version}");
    }
    Ok(())
}

/// Lets a child fill a disk, and looks at what is there afterwards; returns how many requests were answered and changes acknowledged.
async fn fill(plan: &Plan, wall: Wall, end: End, report: &mut Report) -> Result<(u64, u64)> {
    let disk = match wall {
        Wall::Disk(size) => Disk::mount(size)?,
        Wall::Limit(_) | Wall::LimitOfFile => Disk::unbounded()?,
    };
    let path = disk.folder.path().join("cache.db");
    let mut child = Filling::start(plan, &path, wall)?;
    let size = child.until(|line| line.strip_prefix("ready ").map(str::to_owned))?;
    let limit = match wall {
        Wall::Limit(bytes) => Some(bytes),
        // The log is a good deal smaller, so the file is what ends first.
        Wall::LimitOfFile => Some(size.parse::<u64>()? + MIB),
        Wall::Disk(_) => None,
    };
    if limit.is_some() {
        child.limit(limit)?;
    }
    let mut refused = 0;
    child.until(|line| {
        refused += u64::from(line.starts_with("r "));
        (refused == FULL).then_some(())
    })?;
    match end {
        End::SpaceAgain => {
            disk.free()?;
            child.limit(None)?;
            child.tell()?;
            child.until(|line| (line == "freed").then_some(()))?;
            let (mut saved, mut failed) = (0, 0);
            child.until(|line| {
                saved += u64::from(line.starts_with("s "));
                failed += u64::from(line.starts_with("r "));
                (saved == WELL).then_some(())
            })?;
            if failed > 0 {
                let broken = format!("{failed} calls failed once there was space ({wall:?})");
                report.broken.push(broken);
            }
            child.end()?;
        }
        End::Close => child.end()?,
        End::Kill => child.kill()?,
    }
    disk.free()?;
    let said = String::from_utf8_lossy(&child.said);
    let errors = said.lines().filter_map(|line| line.strip_prefix("r "));
    for error in errors {
        report.refused += 1;
        // What is wrong, and where.
        let clear =
            error.starts_with("Store ") && error.contains(" space") && error.contains("cache.db");
        if !clear && report.broken.len() < 8 {
            let broken = format!("a full disk is called {error:?} ({wall:?})");
            report.broken.push(broken);
        }
    }
    let answered = said.lines().filter(|line| *line == "a").count();
    let mut acknowledged = Acknowledged::default();
    acknowledged.hear(&said);
    inspect(&path, &acknowledged, report).await?;
    Ok((answered as u64, acknowledged.number))
}

/// A child that fills a disk.
#[derive(Debug)]
struct Filling {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    said: Vec<u8>,
}

impl Filling {
    fn start(plan: &Plan, path: &Path, wall: Wall) -> Result<Self> {
        let mut command = Command::new(&plan.program);
        command.arg("fill").arg(path);
        if let Wall::LimitOfFile = wall {
            command.args(["--entries", "8000"]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let out = child.stdout.take().context("a child has an output")?;
        Ok(Self {
            child,
            out: BufReader::new(out),
            said: Vec::new(),
        })
    }

    /// Reads its lines until one is what is wanted.
    fn until<T>(&mut self, mut wanted: impl FnMut(&str) -> Option<T>) -> Result<T> {
        let began = Instant::now();
        loop {
            let begin = self.said.len();
            if self.out.read_until(b'\n', &mut self.said)? == 0 {
                bail!("the child ended: {}", self.child.wait()?);
            }
            let line = self.said.get(begin..).unwrap_or_default();
            if let Some(found) = wanted(String::from_utf8_lossy(line).trim_end()) {
                return Ok(found);
            }
            if began.elapsed() > LONG {
                self.kill()?;
                bail!("it neither filled up nor recovered");
            }
        }
    }

    /// Sets how large its files may be.
    fn limit(&self, bytes: Option<u64>) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(Some(pid), Resource::Fsize, limit).context("cannot limit the child")?;
        Ok(())
    }

    /// Tells it that there is space.
    fn tell(&mut self) -> Result<()> {
        let input = self.child.stdin.as_mut().context("a child has an input")?;
        Ok(input.write_all(b"free\n")?)
    }

    /// Tells it that it is the end, and waits for it.
    fn end(&mut self) -> Result<()> {
        drop(self.child.stdin.take());
        self.out.read_to_end(&mut self.said)?;
        let ended = self.child.wait()?;
        ensure!(ended.success(), "the child failed: {ended}");
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.out.read_to_end(&mut self.said)?;
        self.child.wait()?;
        Ok(())
    }
}

/// A folder, in a file system of its own where that is to be full.
#[derive(Debug)]
struct Disk {
    folder: tempfile::TempDir,
    mounted: bool,
}

impl Disk {
    fn unbounded() -> Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
            mounted: false,
        })
    }

    /// Mounts a file system in memory, of which half is taken by something else.
    fn mount(size: u64) -> Result<Self> {
        let mut disk = Self::unbounded()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700")]);
        mount.arg("restow-torture").arg(disk.folder.path());
        let done = mount.stderr(Stdio::null()).status()?;
        ensure!(done.success(), "no tmpfs can be mounted");
        disk.mounted = true;
        fs::write(disk.taken(), vec![0; usize::try_from(size / 2)?])?;
        Ok(disk)
    }

    fn taken(&self) -> PathBuf {
        self.folder.path().join("something-else")
    }

    /// Gives the space back that something else had taken.
    fn free(&self) -> Result<()> {
        match fs::remove_file(self.taken()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            // Whoever was stopped may not have let go of its files yet; then it is gone from here all the same.
            let _ = Command::new("umount")
                .arg("--lazy")
                .arg(self.folder.path())
                .status();
        }
    }
}
