//! A cache in another language, as a child that does one round for each line it reads.

use crate::{Outcome, api};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

/// aiorequestful, with the sample items in its SQLite file.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it in `dir`; the first time its packages are installed. Returns when its entries are saved.
    pub(crate) fn start(dir: &Path, entries: usize) -> Outcome<Self> {
        let bodies = dir.join("bodies.txt");
        let mut lines = Vec::new();
        for i in 0..entries {
            lines.extend_from_slice(&api::body(i));
            lines.push(b'\n');
        }
        std::fs::write(&bodies, lines)?;
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| here.join("../target"), Into::into);
        let mut child = Command::new(here.join("aiorequestful/run"))
            .arg(target.join("aiorequestful"))
            .arg(bodies)
            .arg(dir.join("aiorequestful.sqlite"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = child.stdin.take().ok_or("no standard input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let mut peer = Self {
            child,
            questions,
            answers,
        };
        let ready = peer.answer()?;
        if ready.get("entries").and_then(serde_json::Value::as_u64) != Some(entries as u64) {
            return Err(format!("aiorequestful began with {ready}").into());
        }
        Ok(peer)
    }

    /// Lets it do `n` operations; returns the time of one.
    pub(crate) fn round(&mut self, work: &str, n: usize) -> Outcome<Duration> {
        writeln!(self.questions, "{work} {n}")?;
        let answer = self.answer()?;
        let nanos = answer
            .get("nanoseconds")
            .and_then(serde_json::Value::as_f64);
        let nanos = nanos.ok_or_else(|| format!("{answer} tells no time"))?;
        Ok(Duration::from_secs_f64(nanos / 1e9))
    }

    fn answer(&mut self) -> Outcome<serde_json::Value> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("it ended; what it wrote above says why".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
