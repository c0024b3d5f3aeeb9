//! Redis servers: one, a cluster of three, and one with a replica behind Sentinels.

use redis::{Connection, FromRedisValue, RedisResult};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeSet,
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

/// Three masters that share all slots.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
    _folder: TempDir,
}

impl RedisCluster {
    /// Starts it, and waits until all agree.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts it with more options for each server.
    pub fn with(args: &[&str]) -> Self {
        Self::begin(None, args)
    }

    /// Starts one whose servers speak TLS and nothing else, with clients and with each other.
    pub fn with_tls(tls: Tls<'_>, args: &[&str]) -> Self {
        Self::begin(Some(tls), args)
    }

    fn begin(tls: Option<Tls<'_>>, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nodes: Vec<_> = (0..3)
            .map(|n| {
                let bus = free_port().to_string();
                let own = [
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "2000",
                ];
                let path = folder.path().join(n.to_string());
                std::fs::create_dir(&path).unwrap();
                let args = own.iter().chain(args).map(|arg| (*arg).to_owned());
                let mut args: Vec<_> = args.collect();
                if let Some(tls) = tls {
                    args.extend(tls.args(&path));
                    args.extend(["--tls-cluster", "yes"].map(str::to_owned));
                }
                Redis::begin(path, None, tls.is_some(), args)
            })
            .collect();
        let ends = [0, 5461, 10923, 16384];
        for (n, node) in nodes.iter().enumerate() {
            let (first, last) = (ends[n].to_string(), (ends[n + 1] - 1).to_string());
            let _: String = node.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            let _: String = node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
        }
        for node in &nodes[1..] {
            let (port, bus) = (node.port().to_string(), node.args[3].clone());
            let _: String = nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        let cluster = Self {
            nodes,
            _folder: folder,
        };
        cluster.wait();
        cluster
    }

    /// Waits until all servers see each other, and all slots.
    pub fn wait(&self) {
        for node in &self.nodes {
            until("the cluster agrees", || {
                let info: RedisResult<String> = node.try_ask(&["CLUSTER", "INFO"]);
                let slots: RedisResult<String> = node.try_ask(&["CLUSTER", "NODES"]);
                info.is_ok_and(|i| {
                    i.contains("cluster_state:ok") && i.contains("cluster_known_nodes:3")
                }) && slots.is_ok_and(|nodes| {
                    nodes.matches("connected").count() == 3
                        && nodes.matches(" connected ").count() >= 3
                        && !nodes.contains("fail")
                })
            });
        }
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.nodes.iter().map(Redis::host).collect();
        format!("{}-cluster://{}", self.nodes[0].scheme(), hosts.join(","))
    }

    /// Returns its servers.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Returns its servers, to be killed and restarted.
    pub fn nodes_mut(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }

    /// Waits until all servers know of the last change of slots: whoever gets one by a change with an older number than another's may lose it again,
    /// and then they disagree for ever.
    fn settle(&self) {
        until("all know the last change of slots", || {
            let infos = self.nodes.iter().map(|node| node.ask(&["CLUSTER", "INFO"]));
            let infos: Vec<String> = infos.collect();
            let epochs = |name: &str| {
                let values = infos
                    .iter()
                    .filter_map(|info| info.split_once(name)?.1.lines().next());
                values.collect::<BTreeSet<_>>()
            };
            epochs("cluster_current_epoch:").len() == 1
                && epochs("cluster_my_epoch:").len() == self.nodes.len()
        });
    }

    /// Moves a slot with its keys to another server, as an operator does; `between` is called when some of them are moved.
    pub fn migrate(&self, slot: u16, to: usize, mut between: impl FnMut()) {
        let to = &self.nodes[to];
        let slot = slot.to_string();
        let id = |node: &Redis| node.ask::<String>(&["CLUSTER", "MYID"]);
        let owner = self.owner(&slot);
        if owner.port() == to.port() {
            return;
        }
        self.settle();
        let _: String = to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(owner)]);
        let _: String = owner.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
        loop {
            let keys: Vec<Vec<u8>> = owner.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "1"]);
            if keys.is_empty() {
                break;
            }
            let mut migrate = redis::cmd("MIGRATE");
            migrate
                .arg("127.0.0.1")
                .arg(to.port())
                .arg("")
                .arg(0)
                .arg(5_000)
                .arg("KEYS")
                .arg(keys);
            migrate.exec(&mut owner.connection()).unwrap();
            between();
        }
        let new = id(to);
        for node in [to, owner].into_iter().chain(&self.nodes) {
            let _: String = node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &new]);
        }
    }

    /// Asks for a key whichever server has it.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut answers = self.nodes.iter().map(|node| node.try_ask(words));
        let answer = answers.find_map(RedisResult::ok);
        answer.unwrap_or_else(|| panic!("{words:?}: no server has it"))
    }

    fn owner(&self, slot: &str) -> &Redis {
        let number: u16 = slot.parse().unwrap();
        let ranges: Vec<redis::Value> = self.nodes[0].ask(&["CLUSTER", "SLOTS"]);
        for range in ranges {
            let range: Vec<redis::Value> = redis::from_redis_value(range).unwrap();
            let [first, last, redis::Value::Array(master), ..] = range.as_slice() else {
                panic!("CLUSTER SLOTS: {range:?}");
            };
            let first: u16 = redis::from_redis_value_ref(first).unwrap();
            let last: u16 = redis::from_redis_value_ref(last).unwrap();
            // Which port is told depends on who asks.
            let id: String = redis::from_redis_value_ref(&master[2]).unwrap();
            if (first..=last).contains(&number) {
                return self
                    .nodes
                    .iter()
                    .find(|node| node.ask::<String>(&["CLUSTER", "MYID"]) == id)
                    .expect("the master is one of ours");
            }
        }
        panic!("nobody has slot {slot}")
    }
}

/// A master and a replica, watched by three Sentinels.
#[derive(Debug)]
pub struct RedisSentinel {
    /// The master at first.
    pub first: Redis,
    /// Its replica, which becomes the master.
    pub second: Redis,
    sentinels: Vec<Redis>,
    _folder: TempDir,
}

impl RedisSentinel {
    /// The name of the master.
    pub const MASTER: &'static str = "ours";

    /// Starts all, and waits until they know each other.
    pub fn start() -> Self {
        Self::begin(None)
    }

    /// Starts all so that they speak TLS and nothing else, with clients and with each other. The master is called `127.0.0.1`.
    pub fn with_tls(tls: Tls<'_>) -> Self {
        Self::begin(Some(tls))
    }

    fn begin(tls: Option<Tls<'_>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = |name: &str, args: &[&str]| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            let mut args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
            args.extend(tls.iter().flat_map(|tls| tls.args(&path)));
            Redis::begin(path, None, tls.is_some(), args)
        };
        let first = server("first", &["--repl-diskless-sync-delay", "0"]);
        let master = first.port().to_string();
        let second = server("second", &["--replicaof", "127.0.0.1", &master]);
        let sentinels: Vec<_> = (0..3)
            .map(|n| {
                let path = folder.path().join(n.to_string());
                std::fs::create_dir(&path).unwrap();
                let config = path.join("sentinel.conf");
                let name = Self::MASTER;
                let text = format!(
                    "sentinel monitor {name} 127.0.0.1 {master} 2\nsentinel down-after-milliseconds {name} 500\nsentinel failover-timeout {name} 2000\n"
                );
                std::fs::write(&config, text).unwrap();
                let mut args = vec![config.display().to_string(), "--sentinel".to_owned()];
                args.extend(tls.iter().flat_map(|tls| tls.args(&path)));
                Redis::begin(path, None, tls.is_some(), args)
            })
            .collect();
        let all = Self {
            first,
            second,
            sentinels,
            _folder: folder,
        };
        until("the replica follows", || {
            let info: String = all.second.ask(&["INFO", "replication"]);
            info.contains("master_link_status:up")
        });
        for sentinel in &all.sentinels {
            until("the Sentinels know each other", || {
                let known: Vec<redis::Value> =
                    sentinel.ask(&["SENTINEL", "SENTINELS", Self::MASTER]);
                let replicas: Vec<redis::Value> =
                    sentinel.ask(&["SENTINEL", "REPLICAS", Self::MASTER]);
                known.len() == 2 && replicas.len() == 1
            });
        }
        all
    }

    /// Returns the URL.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(Redis::host).collect();
        let scheme = self.first.scheme();
        format!("{scheme}-sentinel://{}/{}", hosts.join(","), Self::MASTER)
    }

    /// Waits until the Sentinels name the second server as the master.
    pub fn wait_for_failover(&self) {
        for sentinel in &self.sentinels {
            until("the replica is the master", || {
                let (_, port): (String, u16) =
                    sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::MASTER]);
                port == self.second.port()
            });
        }
        until("the replica says so", || {
            let info: String = self.second.ask(&["INFO", "replication"]);
            info.contains("role:master")
        });
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
