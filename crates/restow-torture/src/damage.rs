//! R3: the file is damaged, or not one of ours. That is an error of its kind or a miss, and never a wrong answer, a panic or a hang;
//! who asks through the cache is answered by the API; with `damaged=quarantine` the file makes room for a new one.

use crate::{
    Extent, Plan, Report, content,
    origin::{Came, FRESH, ask},
    place::Place,
};
use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use restow::{ErrorKind, Scope};
use std::{
    fs::{self, File, Permissions},
    os::{
        fd::AsRawFd,
        unix::{
            fs::{FileExt, PermissionsExt},
            process::CommandExt,
        },
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// How many entries the file holds.
const ENTRIES: usize = 48;
const PAGE: usize = 16_384;
/// Longer than any wait of the store's own, and so a hang.
const HANG: Duration = Duration::from_secs(50);
/// How long the store waits for a lock.
const LOCK: Duration = Duration::from_secs(30);
/// Nobody: who may only do what everybody may.
const NOBODY: u32 = 65_534;
const QUARANTINE: &str = "?damaged=quarantine";
/// What an error may be where the file is the reason.
const KINDS: [ErrorKind; 6] = [
    ErrorKind::Corrupt,
    ErrorKind::Format,
    ErrorKind::Store,
    ErrorKind::ReadOnly,
    ErrorKind::SchemaMismatch,
    ErrorKind::NoSuchRepository,
];

/// What is wrong with a file.
#[derive(Clone, Debug)]
enum Wrong {
    Truncated(usize),
    /// These bytes are others.
    Bytes(Vec<(usize, u8)>),
    /// These pages are noise from some byte on.
    Pages(Vec<usize>, u64),
    Empty,
    Folder,
    Text,
    Newer,
    NewerSqlite,
    AnotherPrograms,
}

/// What came of one file.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    /// Openings and calls that failed with an error of their kind.
    refused: u64,
    /// Requests that were answered, rightly.
    answered: u64,
    moved: bool,
}

/// Damages files, and uses them.
///
/// # Errors
/// Where there is no file to begin with.
pub async fn run(plan: &Plan, extent: Extent) -> Result<Report> {
    let began = Instant::now();
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut report = Report::of("R3");
    let whole: Arc<[u8]> = whole().await?.into();
    // It waits for half a minute, so it begins first.
    let locked = matches!(extent, Extent::Whole(time) if time >= LOCK)
        .then(|| tokio::spawn(locked(whole.clone())));
    let (mut files, mut moved, mut answered, mut at_reads) = (0_u64, 0_u64, 0, 0_u64);
    let mut note = |name: String, outcome: Result<Outcome>| match outcome {
        Ok(outcome) => {
            report.refused += outcome.refused;
            answered += outcome.answered;
            moved += u64::from(outcome.moved);
        }
        Err(e) if report.broken.len() < 8 => {
            let seed = plan.seed;
            report.broken.push(format!("{name}: {e:#}, seed {seed}"));
        }
        Err(_) => {}
    };
    let mut wrongs = known(&whole, extent);
    loop {
        wrongs.extend((0..30).map(|_| by_chance(&whole, &mut random)));
        for wrong in std::mem::take(&mut wrongs) {
            files += 1;
            let name = format!("{wrong:?}");
            let outcome = guarded(at_open(whole.clone(), wrong)).await;
            note(name, outcome);
        }
        for _ in 0..10 {
            files += 1;
            at_reads += 1;
            let seed = random.u64(..);
            let outcome = guarded(at_read(whole.clone(), seed)).await;
            note("damaged while it is open".to_owned(), outcome);
        }
        match extent {
            Extent::Whole(time) if began.elapsed() < time => {}
            _ => break,
        }
    }
    let denied = denied(plan, &whole)?;
    for (name, outcome) in denied {
        files += 1;
        note(name, outcome);
    }
    if let Some(locked) = locked {
        files += 1;
        note("locked".to_owned(), locked.await?);
    }
    report.done = format!(
        "{files} files: {at_reads} damaged while they were open, {moved} moved away where that was asked for; {answered} requests answered"
    );
    Ok(report)
}

/// What a child does that may not do everything.
#[derive(Clone, Debug, clap::Args)]
pub struct Denied {
    /// The file.
    path: PathBuf,
    /// What stands behind it in the URL.
    #[arg(default_value = "")]
    query: String,
}

impl Denied {
    /// Uses the file, and says what came of it.
    ///
    /// # Errors
    /// Where it is not as promised.
    pub async fn run(self) -> Result<()> {
        let outcome = used(&self.path, &self.query).await?;
        println!("{} {}", outcome.refused, outcome.answered);
        Ok(())
    }
}

/// The bytes of a sound file.
async fn whole() -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cache.db");
    let place = Place::open(&path).await?;
    let pairs = content::bodies((0..ENTRIES).map(key), 1);
    place.items.save_many(&pairs).await?;
    place.cache.close().await?;
    Ok(fs::read(&path)?)
}

fn key(n: usize) -> String {
    format!("k{n}")
}

/// The damage that has a name.
fn known(whole: &[u8], extent: Extent) -> Vec<Wrong> {
    let cuts = [
        2,
        99,
        100,
        511,
        512,
        PAGE - 1,
        PAGE,
        PAGE * 2,
        whole.len() / 2,
        whole.len() - 1,
    ];
    let mut wrongs = vec![
        Wrong::Empty,
        Wrong::Folder,
        Wrong::Text,
        Wrong::Newer,
        Wrong::NewerSqlite,
        Wrong::AnotherPrograms,
        Wrong::Bytes((0..100).map(|at| (at, 0)).collect()),
        Wrong::Bytes((0..PAGE).map(|at| (at, 0xFF)).collect()),
        Wrong::Bytes((100..PAGE).map(|at| (at, 0x5A)).collect()),
    ];
    wrongs.extend(cuts.map(Wrong::Truncated));
    // The bytes of the header, with a bit of each turned over.
    let step = match extent {
        Extent::Sample => 3,
        Extent::Whole(_) => 1,
    };
    let header = whole.iter().enumerate().take(100).step_by(step);
    wrongs.extend(header.map(|(at, byte)| Wrong::Bytes(vec![(at, byte ^ 1 << (at % 8))])));
    wrongs
}

fn by_chance(whole: &[u8], random: &mut fastrand::Rng) -> Wrong {
    let pages = whole.len() / PAGE;
    match random.u8(0..4) {
        0 => Wrong::Truncated(random.usize(0..whole.len())),
        1 => Wrong::Bytes(
            (0..random.usize(1..8))
                .map(|_| (random.usize(0..whole.len()), random.u8(..)))
                .collect(),
        ),
        _ => {
            let number = random.usize(1..4);
            let pages = (0..number).map(|_| random.usize(0..pages)).collect();
            Wrong::Pages(pages, random.u64(..))
        }
    }
}

impl Wrong {
    fn make(&self, path: &Path, whole: &[u8]) -> Result<()> {
        let mut bytes = whole.to_vec();
        match self {
            Self::Folder => return Ok(fs::create_dir(path)?),
            Self::AnotherPrograms => {
                let file = rusqlite::Connection::open(path)?;
                return Ok(file.execute_batch("CREATE TABLE songs (name)")?);
            }
            Self::Truncated(length) => bytes.truncate(*length),
            Self::Empty => bytes.clear(),
            Self::Text => bytes = b"These are no entries.\n".repeat(50),
            Self::Newer => set(&mut bytes, &[(63, 99)]),
            Self::NewerSqlite => set(&mut bytes, &[(18, 3), (19, 3)]),
            Self::Bytes(changed) => set(&mut bytes, changed),
            Self::Pages(pages, seed) => pages
                .iter()
                .for_each(|page| garble(&mut bytes, *page, *seed)),
        }
        Ok(fs::write(path, bytes)?)
    }

    /// Tells whether the file is refused and stays, whatever the options say.
    fn is_not_ours(&self) -> bool {
        matches!(
            self,
            Self::Folder | Self::Newer | Self::NewerSqlite | Self::AnotherPrograms
        )
    }

    /// Tells whether no program could take it for a database.
    fn is_none(&self) -> bool {
        match self {
            Self::Text => true,
            // A file of one byte is empty to SQLite.
            Self::Truncated(length) => (2..100).contains(length),
            Self::Bytes(changed) => changed.len() == 100,
            _ => false,
        }
    }
}

fn set(bytes: &mut [u8], changed: &[(usize, u8)]) {
    for (at, value) in changed {
        bytes.iter_mut().skip(*at).take(1).for_each(|b| *b = *value);
    }
}

/// Makes noise of a page, from some byte on.
fn garble(bytes: &mut [u8], page: usize, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed ^ page as u64);
    let begin = random.usize(0..PAGE / 2);
    let page = bytes.iter_mut().skip(page * PAGE).take(PAGE);
    page.skip(begin).for_each(|b| *b = random.u8(..));
}

/// Runs it where a panic and a hang are seen.
async fn guarded(work: impl Future<Output = Result<Outcome>> + Send + 'static) -> Result<Outcome> {
    let mut task = tokio::spawn(work);
    match tokio::time::timeout(HANG, &mut task).await {
        Ok(ended) => ended.context("it panicked")?,
        Err(_) => bail!("it hangs"),
    }
}

/// Opens a file that was damaged before, as it is and with quarantine.
async fn at_open(whole: Arc<[u8]>, wrong: Wrong) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cache.db");
    wrong.make(&path, &whole)?;
    let before = fs::read(&path).ok();
    let mut outcome = used(&path, "").await.context("as it is")?;
    let opened = outcome.answered > 0;
    ensure!(
        !(wrong.is_not_ours() || wrong.is_none()) || !opened,
        "it was taken for one of ours"
    );
    if matches!(wrong, Wrong::Empty) {
        ensure!(opened, "an empty file is an empty store");
    }
    if opened {
        return Ok(outcome);
    }
    if wrong.is_not_ours() || wrong.is_none() {
        ensure!(fs::read(&path).ok() == before, "it was changed");
    }
    let second = used(&path, QUARANTINE).await.context("with quarantine")?;
    let names = fs::read_dir(folder.path())?.map(|file| Ok(file?.file_name()));
    let names: Vec<_> = names.collect::<Result<_>>()?;
    outcome.moved = names
        .iter()
        .any(|name| name.to_string_lossy().starts_with("cache.db.corrupt-"));
    ensure!(!outcome.moved || !wrong.is_not_ours(), "it was moved away");
    ensure!(
        outcome.moved || !wrong.is_none(),
        "it was not moved away: {names:?}"
    );
    ensure!(
        !outcome.moved || second.answered > 0,
        "it was moved away for nothing"
    );
    outcome.refused += second.refused;
    outcome.answered += second.answered;
    Ok(outcome)
}

/// Opens a sound file, which is damaged before anything is read from it.
async fn at_read(whole: Arc<[u8]>, seed: u64) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cache.db");
    fs::write(&path, &*whole)?;
    let place = Place::open_later(&path).await?;
    let mut random = fastrand::Rng::with_seed(seed);
    let file = File::options().write(true).open(&path)?;
    if random.u8(0..4) == 0 {
        let length = random.usize(PAGE..whole.len());
        file.set_len(length as u64)?;
    } else {
        let mut bytes = whole.to_vec();
        for page in 1..whole.len() / PAGE {
            if random.u8(0..3) > 0 {
                garble(&mut bytes, page, seed);
            }
        }
        let rest = bytes.get(PAGE..).context("it has pages")?;
        file.write_all_at(rest, PAGE as u64)?;
    }
    let outcome = all_calls(&place).await?;
    ensure!(outcome.answered > 0, "nobody was answered");
    Ok(outcome)
}

/// Opens a file and makes every kind of call.
async fn used(path: &Path, query: &str) -> Result<Outcome> {
    match Place::open_later_with(path, query).await {
        Ok(place) => all_calls(&place).await,
        Err(error) => {
            typed(&error)?;
            let name = path.file_name().context("it has a name")?;
            let said = error.to_string();
            ensure!(
                error.repository().is_some() || said.contains(&*name.to_string_lossy()),
                "the error does not say which file: {said}"
            );
            Ok(Outcome {
                refused: 1,
                ..Outcome::default()
            })
        }
    }
}

/// Makes every kind of call, twice: what the first found may have been repaired.
async fn all_calls(place: &Place) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for _ in 0..2 {
        for n in 0..ENTRIES {
            let key = key(n);
            match ask(place, &key).await.context("a caller got an error")? {
                Came::FromOrigin | Came::FromStore(1 | FRESH) => outcome.answered += 1,
                other => bail!("{key} was answered with {other:?}"),
            }
            if let Some(Some(body)) = outcome.take(place.items.get(&key).await)? {
                ensure!(content::version(&key, &body).is_some(), "{key} is wrong");
            }
        }
        let mut all = place.items.stream(Scope::All);
        while let Some(item) = all.next().await {
            match outcome.take(item)? {
                Some((key, body)) => {
                    ensure!(content::version(&key, &body).is_some(), "{key} is wrong");
                }
                None => break,
            }
        }
        let body = content::body("after", 1);
        if outcome
            .take(place.items.save("after", &body).await)?
            .is_some()
            && let Some(found) = outcome.take(place.items.get("after").await)?
        {
            ensure!(found.is_none_or(|f| f == body), "\"after\" is wrong");
        }
        outcome.take(place.items.count(Scope::All).await)?;
        outcome.take(place.purge("purged").await)?;
    }
    outcome.take(place.cache.close().await)?;
    Ok(outcome)
}

impl Outcome {
    /// Counts an error that is of its kind; any other ends the attack.
    fn take<T>(&mut self, answer: restow::Result<T>) -> Result<Option<T>> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => {
                typed(&error)?;
                self.refused += 1;
                Ok(None)
            }
        }
    }
}

fn typed(error: &restow::Error) -> Result<()> {
    ensure!(
        KINDS.contains(&error.kind()),
        "an error that has nothing to do with it: {error:?}"
    );
    Ok(())
}

/// A file that another program does not let go of: that is no damage.
async fn locked(whole: Arc<[u8]>) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cache.db");
    fs::write(&path, &*whole)?;
    let holder = rusqlite::Connection::open(&path)?;
    holder.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; CREATE TABLE t (a)")?;
    let opened = tokio::time::timeout(HANG, Place::open_later_with(&path, QUARANTINE)).await;
    let error = match opened.context("it hangs")? {
        Ok(_) => bail!("it was opened"),
        Err(error) => error,
    };
    ensure!(error.kind() == ErrorKind::Busy, "{error:?}");
    ensure!(fs::read_dir(folder.path())?.count() <= 3, "it was moved");
    Ok(Outcome {
        refused: 1,
        ..Outcome::default()
    })
}

/// What a user meets who may not write the file or the folder, or not even read it.
fn denied(plan: &Plan, whole: &[u8]) -> Result<Vec<(String, Result<Outcome>)>> {
    let mut outcomes = Vec::new();
    let half = whole.get(..whole.len() / 2).context("there is a half")?;
    for (name, bytes, file, folder, query) in [
        ("a file to read only", whole, 0o444, 0o777, ""),
        ("the same with quarantine", whole, 0o444, 0o777, QUARANTINE),
        ("a folder to read only", whole, 0o666, 0o555, ""),
        ("both to read only", whole, 0o444, 0o555, ""),
        (
            "to read only, and for reading",
            whole,
            0o444,
            0o555,
            "?mode=ro",
        ),
        ("nothing to read", whole, 0o000, 0o777, QUARANTINE),
        ("damaged, to read only", half, 0o444, 0o777, QUARANTINE),
        (
            "damaged, in a folder to read only",
            half,
            0o666,
            0o555,
            QUARANTINE,
        ),
    ] {
        let outcome = as_nobody(plan, bytes, [file, folder], query);
        outcomes.push((name.to_owned(), outcome));
    }
    Ok(outcomes)
}

fn as_nobody(plan: &Plan, bytes: &[u8], modes: [u32; 2], query: &str) -> Result<Outcome> {
    let [file, folder] = modes;
    let outer = tempfile::tempdir()?;
    fs::set_permissions(outer.path(), Permissions::from_mode(0o755))?;
    let inner = outer.path().join("inner");
    fs::create_dir(&inner)?;
    let path = inner.join("cache.db");
    fs::write(&path, bytes)?;
    fs::set_permissions(&path, Permissions::from_mode(file))?;
    fs::set_permissions(&inner, Permissions::from_mode(folder))?;
    let said = nobody(plan, &path, query);
    // Else its owner cannot remove it, where that is not root.
    fs::set_permissions(&inner, Permissions::from_mode(0o755))?;
    let said = said?;
    ensure!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    ensure!(fs::read(&path)? == bytes, "it was changed or moved");
    let said = String::from_utf8(said.stdout)?;
    let (refused, answered) = said.trim().split_once(' ').context("two numbers")?;
    Ok(Outcome {
        refused: refused.parse()?,
        answered: answered.parse()?,
        moved: false,
    })
}

/// Starts a child that has no rights beyond everybody's.
fn nobody(plan: &Plan, path: &Path, query: &str) -> Result<Output> {
    let program = File::open(&plan.program)?;
    let mut command = if rustix::process::geteuid().is_root() {
        // By its number: nobody may not look into the folder where it lies.
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        command.uid(NOBODY).gid(NOBODY);
        command
    } else {
        Command::new(&plan.program)
    };
    command.arg("denied").arg(path);
    if !query.is_empty() {
        command.arg(query);
    }
    command.stdin(Stdio::null()).current_dir("/");
    command.output().context("cannot start a child as nobody")
}
