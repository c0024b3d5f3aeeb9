//! A proxy that runs while a test asks it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "where a test cannot run a program, it has to fail"
)]

use crate::support::Place;
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::Duration,
};

/// A proxy that runs; it ends when it is dropped.
pub(crate) struct Proxy {
    pub(crate) child: Child,
    pub(crate) url: String,
    /// Where operators are served, if they are.
    pub(crate) admin: Option<String>,
    said: Arc<Said>,
    hears: Option<JoinHandle<()>>,
}

/// What it wrote on stderr.
#[derive(Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

/// How long a test waits for what is on its way.
const PATIENCE: Duration = Duration::from_secs(30);

impl Proxy {
    pub(crate) fn start(place: &Place, arguments: &[&str]) -> Self {
        Self::start_with(place, arguments, Stdio::null())
    }

    pub(crate) fn start_with(place: &Place, arguments: &[&str], out: Stdio) -> Self {
        let mut command = place.command(env!("CARGO_BIN_EXE_restow"));
        command
            .args(["proxy", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(out)
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Said::default());
        let stderr = child.stderr.take().unwrap();
        // Whoever writes to a pipe that nobody reads stands still in the end.
        let hears = std::thread::spawn({
            let said = said.clone();
            move || said.hear(stderr)
        });
        let mut proxy = Self {
            child,
            url: String::new(),
            admin: None,
            said,
            hears: Some(hears),
        };
        let line = proxy.wait_for("listening on ");
        let url = line.trim_start_matches("listening on ").split(',').next();
        proxy.url = url.unwrap().to_owned();
        if arguments.contains(&"--admin") {
            let line = proxy.wait_for("operators are served on ");
            proxy.admin = line.rsplit(' ').next().map(str::to_owned);
        }
        proxy
    }

    /// Waits for a line that holds this, and returns it; lines that came before count.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_for_nth(text, 1)
    }

    /// The same for the line that is the `nth` of its kind.
    #[track_caller]
    pub(crate) fn wait_for_nth(&self, text: &str, nth: usize) -> String {
        let holds = |line: &&String| line.contains(text);
        let few = |lines: &mut Vec<String>| lines.iter().filter(holds).count() < nth;
        let lines = self.said.lines.lock().unwrap();
        let (lines, _) = self
            .said
            .more
            .wait_timeout_while(lines, PATIENCE, few)
            .unwrap();
        let found = lines.iter().filter(holds).nth(nth - 1);
        found
            .unwrap_or_else(|| panic!("it did not say {text:?} {nth} times: {lines:#?}"))
            .clone()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let mut kill = Command::new("kill");
        assert!(kill.args([name, &pid]).status().unwrap().success());
    }

    /// Sends SIGTERM and waits; returns the exit code.
    pub(crate) fn stop(self) -> Option<i32> {
        self.stop_and_tell().0
    }

    /// The same; returns all that it wrote on stderr, too.
    pub(crate) fn stop_and_tell(mut self) -> (Option<i32>, String) {
        self.signal("-TERM");
        let code = self.child.wait().unwrap().code();
        self.hears.take().unwrap().join().unwrap();
        (code, self.said.lines.lock().unwrap().join("\n"))
    }
}

impl Said {
    fn hear(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            self.lines.lock().unwrap().push(line);
            self.more.notify_all();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
