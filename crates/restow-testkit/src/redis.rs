//! Redis servers: one, a cluster of three, and one with a replica behind Sentinels.

mod cluster;
mod sentinel;

pub use cluster::RedisCluster;
pub use sentinel::RedisSentinel;

use redis::{Connection, FromRedisValue, RedisResult};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The longest that a server may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where nothing can be awaited but an answer that is another one in a while.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// A server on a port of its own, with a folder of its own. It ends with this process, whatever its end is like.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    /// It speaks nothing else there.
    tls: bool,
    folder: PathBuf,
    _owned: Option<TempDir>,
    args: Vec<String>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    pid: Pid,
    // The server ends when this is closed.
    leash: Option<ChildStdin>,
    shell: Child,
}

impl Redis {
    /// Starts a server that writes nothing to disk.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with more options: `["--maxmemory", "10mb"]`.
    pub fn with(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self::begin(path, Some(folder), false, args)
    }

    /// Starts one that speaks TLS too, with this certificate and key (PEM); returns the port where it does.
    pub fn with_tls(certificate: &str, key: &str) -> (Self, u16) {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut args = vec!["--tls-port".to_owned(), port.to_string()];
        args.extend(Tls::files(folder.path(), certificate, key));
        let path = folder.path().to_owned();
        (Self::begin(path, Some(folder), false, args), port)
    }

    /// `tls`: it listens on its port for that alone, and for this module at a socket in its folder.
    fn begin(folder: PathBuf, owned: Option<TempDir>, tls: bool, args: Vec<String>) -> Self {
        // A port that was free a moment ago may be somebody else's by now.
        for _ in 0..20 {
            let port = free_port();
            match run(port, tls, &folder, &args) {
                Ok(running) => {
                    return Self {
                        port,
                        tls,
                        folder,
                        _owned: owned,
                        args,
                        running: Some(running),
                    };
                }
                Err(said) => assert!(is_taken(&said), "redis-server does not start:\n{said}"),
            }
        }
        panic!("there is no free port for redis-server");
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme(), self.host())
    }

    /// Connects, past all that a cluster does.
    pub fn connection(&self) -> Connection {
        self.client().unwrap().get_connection().unwrap()
    }

    fn scheme(&self) -> &'static str {
        match self.tls {
            true => "rediss",
            false => "redis",
        }
    }

    fn host(&self) -> String {
        let name = match self.tls {
            true => "localhost",
            false => "127.0.0.1",
        };
        format!("{name}:{}", self.port)
    }

    fn client(&self) -> RedisResult<redis::Client> {
        match self.tls {
            true => redis::Client::open(format!("redis+unix://{}", socket(&self.folder).display())),
            false => redis::Client::open(self.url()),
        }
    }

    /// Asks something.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words)
            .unwrap_or_else(|e| panic!("{words:?}: {e}"))
    }

    /// The same where it may fail.
    pub fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let mut cmd = redis::Cmd::new();
        for word in words {
            cmd.arg(*word);
        }
        let client = self.client()?;
        cmd.query(&mut client.get_connection_with_timeout(PATIENCE)?)
    }

    /// Kills it, as a lack of memory or of power would.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = kill_process(running.pid, Signal::KILL);
            drop(running.leash.take());
            running.shell.wait().unwrap();
        }
    }

    /// Starts it again on its port, with what it wrote to its disk, if anything.
    pub fn restart(&mut self) {
        self.kill();
        let mut said = String::new();
        let started = (0..100).find_map(|_| {
            let ran = run(self.port, self.tls, &self.folder, &self.args);
            ran.map_err(|why| {
                assert!(is_taken(&why), "redis-server does not start again:\n{why}");
                said = why;
                thread::sleep(ASK_AGAIN);
            })
            .ok()
        });
        self.running = Some(started.unwrap_or_else(|| panic!("its port is its own:\n{said}")));
    }

    /// Stops it where it is: connections stay, and nobody is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().expect("it runs");
        kill_process(running.pid, signal).unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What several servers speak TLS with, to each other too.
#[derive(Clone, Copy, Debug)]
pub struct Tls<'a> {
    /// Their certificate (PEM): for `localhost` and `127.0.0.1`, or whatever they are called.
    pub certificate: &'a str,
    /// Its key (PEM).
    pub key: &'a str,
    /// The file with the certificate of the authority that vouches for it.
    pub authority: &'a Path,
}

impl Tls<'_> {
    /// Writes certificate and key, and returns the options that name them.
    fn files(folder: &Path, certificate: &str, key: &str) -> Vec<String> {
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (certificate, key) = (file("server.crt", certificate), file("server.key", key));
        let args = [
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-auth-clients",
            "no",
        ];
        args.map(str::to_owned).into()
    }

    fn args(self, folder: &Path) -> Vec<String> {
        let mut args = Self::files(folder, self.certificate, self.key);
        let authority = self.authority.display().to_string();
        let more = ["--tls-replication", "yes", "--tls-ca-cert-file", &authority];
        args.extend(more.map(str::to_owned));
        args
    }
}

/// Asks until it is so.
///
/// # Panics
/// Where it is not so in half a minute.
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        thread::sleep(ASK_AGAIN);
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Where a server that speaks TLS alone listens for this module.
fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

/// Tells whether somebody else has the port.
fn is_taken(said: &str) -> bool {
    said.contains("Address already in use")
}

/// What it said where it does not come up.
fn run(port: u16, tls: bool, folder: &Path, args: &[String]) -> Result<Running, String> {
    // The shell reads its input to the end and takes the server with it; and it ends when the server does.
    // Debian has one program with two names, and the package without a service has the other. Who names another server means that one.
    let script = r#"names=${RESTOW_REDIS_SERVER:-redis-server redis-check-rdb}
        program=$(command -v $names | head -n 1); [ "$program" ] || exit 1
        (exec -a redis-server "$program" "$@") <&- 2>&1 & server=$!; echo "pid $server"
        read -r _ <&0 >&- & leash=$!; trap 'kill -KILL $server $leash 2>/dev/null; wait' EXIT; wait -n"#;
    let (file, args) = match args.split_first() {
        Some((file, rest)) if file.ends_with(".conf") => (Some(file), rest),
        _ => (None, args),
    };
    let mut command = Command::new("bash");
    command.args(["-c", script, "redis"]);
    command.args(file);
    let port = port.to_string();
    command.args(["--bind", "127.0.0.1"]);
    if tls {
        command.args(["--port", "0", "--tls-port", &port]);
        command.arg("--unixsocket").arg(socket(folder));
    } else {
        command.args(["--port", &port]);
    }
    if file.is_none() {
        command.args(["--save", "", "--dir"]).arg(folder);
    }
    let mut shell = command
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("bash starts");
    let leash = shell.stdin.take();
    let mut log = BufReader::new(shell.stdout.take().expect("it is piped")).lines();
    let said = log.next().and_then(Result::ok).unwrap_or_default();
    let pid = said.strip_prefix("pid ").and_then(|pid| pid.parse().ok());
    let pid = pid.and_then(Pid::from_raw);
    let running = Running {
        pid: pid.expect("there is no redis-server, or none of the name in RESTOW_REDIS_SERVER; ./scripts/test installs the first"),
        leash,
        shell,
    };
    let (says, said) = mpsc::channel();
    thread::spawn(move || {
        for line in log.map_while(Result::ok) {
            // Who listened has heard enough once it is ready; but a pipe that nobody reads fills up.
            let _ = says.send(line);
        }
    });
    let (begun, mut all) = (Instant::now(), String::new());
    loop {
        match said.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
            Ok(line) => {
                if line.contains("Ready to accept connections") || line.contains("+monitor") {
                    return Ok(running);
                }
                all = all + &line + "\n";
            }
            Err(why) => {
                let mut running = running;
                let _ = kill_process(running.pid, Signal::KILL);
                drop(running.leash.take());
                let _ = running.shell.wait();
                let why = match why {
                    RecvTimeoutError::Disconnected => "it has ended".to_owned(),
                    RecvTimeoutError::Timeout => format!("it is not ready in {PATIENCE:?}"),
                };
                return Err(all + &why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "no-such-option")]
    fn a_server_that_ends_at_its_start_says_why() {
        Redis::with(&["--no-such-option", "1"]);
    }

    #[test]
    #[should_panic(expected = "certificate")]
    fn so_does_one_that_has_written_to_its_log() {
        Redis::with_tls("this is no certificate", "this is no key");
    }
}
