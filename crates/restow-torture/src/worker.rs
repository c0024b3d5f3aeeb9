//! What children do: they change a file, and say so on their standard output after each change has returned.

use crate::{
    content,
    place::{self, Place},
};
use anyhow::{Context, Result, bail};
use restow::ErrorKind;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// How many entries are in one bulk save.
pub const BULK: u64 = 30;

/// What a child is to do.
#[derive(Clone, Debug, clap::Args)]
pub struct Work {
    /// The file.
    pub path: PathBuf,
    /// The beginning of all keys of this child: nobody else changes them.
    #[arg(long)]
    pub name: String,
    /// What to do: `save`, `bulk`, `purge`, `checkpoint`, or `mixed`, which is 80 reads to 20 saves with all the others between.
    #[arg(long)]
    pub what: String,
    /// How many do it at once.
    #[arg(long, default_value_t = 1)]
    pub tasks: u64,
    /// For how long, in milliseconds; until it is killed unless told.
    #[arg(long)]
    pub millis: Option<u64>,
}

impl Work {
    /// Starts a child that does it.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub fn start(&self, program: &Path) -> Result<Child> {
        let mut command = Command::new(program);
        command.arg("work").arg(&self.path);
        command.args(["--name", &self.name, "--what", &self.what]);
        command.args(["--tasks", &self.tasks.to_string()]);
        if let Some(millis) = self.millis {
            command.args(["--millis", &millis.to_string()]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        child.with_context(|| format!("cannot start {}", program.display()))
    }

    /// Does it, in this process.
    ///
    /// # Errors
    /// What the cache refuses, other than a lock.
    pub async fn run(self) -> Result<()> {
        let place = Arc::new(Place::open(&self.path).await?);
        println!("ready");
        let until = self
            .millis
            .map(|ms| Instant::now() + Duration::from_millis(ms));
        let mut tasks = JoinSet::new();
        for task in 0..self.tasks {
            let (place, work) = (place.clone(), self.clone());
            tasks.spawn(async move { work.task(&place, task, until).await });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        place.cache.close().await?;
        println!("done");
        Ok(())
    }

    async fn task(&self, place: &Place, task: u64, until: Option<Instant>) -> Result<()> {
        let mut tally = Tally::default();
        let mut random = fastrand::Rng::with_seed(task);
        let mut versions = [0_u64; 50];
        for round in 0_u64.. {
            if until.is_some_and(|until| Instant::now() > until) {
                break;
            }
            match self.what.as_str() {
                "bulk" => self.bulk(place, task, round, &mut tally).await?,
                "mixed" => {
                    let (slot, version) = random
                        .choice(versions.iter_mut().enumerate())
                        .context("there are keys")?;
                    let key = format!("{}-{task}-{slot}", self.name);
                    if random.u8(0..100) < 80 {
                        self.look(place, &key, *version, &mut tally).await?;
                    } else {
                        *version += 1;
                        self.save(place, &key, *version, &mut tally).await?;
                    }
                    if random.u32(0..400) == 0 {
                        tally.note(None, place.purge(&key).await)?;
                    }
                    if random.u32(0..400) == 0 {
                        // Another connection may be told that the log is busy: that is no error of the cache's.
                        let _ = place::checkpoint(&self.path);
                    }
                }
                "save" | "purge" | "checkpoint" => {
                    // Each key has several versions, so that an old one that comes back is seen.
                    let key = format!("{}-{task}-{}", self.name, round / 3);
                    self.save(place, &key, round % 3 + 1, &mut tally).await?;
                    if self.what == "purge" {
                        tally.note(None, place.purge(&key).await)?;
                        if round % 3 == 2 {
                            println!("g {key}");
                            if tally.note(None, place.items.delete(&key).await)? == Some(true) {
                                println!("d {key}");
                            }
                        }
                    } else if self.what == "checkpoint" {
                        let _ = place::checkpoint(&self.path);
                    }
                }
                other => bail!("{other:?} is nothing that a child can do"),
            }
        }
        tally.tell();
        Ok(())
    }

    async fn save(&self, place: &Place, key: &str, version: u64, tally: &mut Tally) -> Result<()> {
        let at = Instant::now();
        let saved = place.items.save(key, &content::body(key, version)).await;
        if tally.note(Some(at), saved)?.is_some() {
            println!("s {key} {version}");
        }
        Ok(())
    }

    async fn bulk(&self, place: &Place, task: u64, round: u64, tally: &mut Tally) -> Result<()> {
        let group = format!("{}-{task}-{round}", self.name);
        let pairs = content::bodies((0..BULK).map(|i| format!("{group}-b{i}")), 1);
        let at = Instant::now();
        if tally
            .note(Some(at), place.items.save_many(&pairs).await)?
            .is_some()
        {
            println!("b {group}");
        }
        Ok(())
    }

    /// Reads a key of our own: it has the version that was saved last.
    async fn look(&self, place: &Place, key: &str, version: u64, tally: &mut Tally) -> Result<()> {
        let Some(found) = tally.note(None, place.items.get(key).await)? else {
            return Ok(());
        };
        tally.reads += 1;
        match found {
            None => tally.lost += u64::from(version > 0),
            Some(body) => match content::version(key, &body) {
                None => tally.corrupt += 1,
                Some(found) => tally.lost += u64::from(found != version),
            },
        }
        Ok(())
    }
}

/// What one task did.
#[derive(Debug, Default)]
struct Tally {
    reads: u64,
    locks: u64,
    lost: u64,
    corrupt: u64,
    saves: Vec<u32>,
}

impl Tally {
    /// Counts an answer, and a save's time; a lock is counted, any other error ends the child.
    fn note<T>(
        &mut self,
        saved_since: Option<Instant>,
        answer: restow::Result<T>,
    ) -> Result<Option<T>> {
        if let Some(at) = saved_since {
            let micros = u32::try_from(at.elapsed().as_micros()).unwrap_or(u32::MAX);
            self.saves.push(micros);
        }
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.kind() == ErrorKind::Busy => {
                self.locks += 1;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn tell(&mut self) {
        self.saves.sort_unstable();
        let number = self.saves.len();
        let p999 = self.saves.get(number.saturating_sub(1) - number / 1_000);
        println!(
            "t {} {number} {} {} {} {} {}",
            self.reads,
            self.locks,
            self.lost,
            self.corrupt,
            p999.unwrap_or(&0),
            self.saves.last().unwrap_or(&0)
        );
    }
}
