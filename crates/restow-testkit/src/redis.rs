//! Redis servers: one, a cluster of three, and one with a replica behind Sentinels.

use redis::{Connection, FromRedisValue, RedisResult};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
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
        Self::begin(path, Some(folder), args)
    }

    /// Starts one that speaks TLS too, with this certificate and key (PEM); returns the port where it does.
    pub fn with_tls(certificate: &str, key: &str) -> (Self, u16) {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (certificate, key) = (file("server.crt", certificate), file("server.key", key));
        let port = free_port();
        let args = [
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-auth-clients",
            "no",
        ];
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let path = folder.path().to_owned();
        (Self::begin(path, Some(folder), args), port)
    }

    fn begin(folder: PathBuf, owned: Option<TempDir>, args: Vec<String>) -> Self {
        // A port that was free a moment ago may be somebody else's by now.
        for _ in 0..20 {
            let port = free_port();
            if let Some(running) = run(port, &folder, &args) {
                return Self {
                    port,
                    folder,
                    _owned: owned,
                    args,
                    running: Some(running),
                };
            }
        }
        panic!("redis-server does not start; run ./scripts/test, which installs it");
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Connects, past all that a cluster does.
    pub fn connection(&self) -> Connection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_connection().unwrap()
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
        let client = redis::Client::open(self.url())?;
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
        let started = (0..100).find_map(|_| {
            run(self.port, &self.folder, &self.args).or_else(|| {
                thread::sleep(ASK_AGAIN);
                None
            })
        });
        self.running = Some(started.expect("its port is its own"));
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
                Redis::begin(path, None, args.collect())
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
        let hosts: Vec<_> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()))
            .collect();
        format!("redis-cluster://{}", hosts.join(","))
    }

    /// Returns its servers.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Returns its servers, to be killed and restarted.
    pub fn nodes_mut(&mut self) -> &mut [Redis] {
        &mut self.nodes
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

    fn owner(&self, slot: &str) -> &Redis {
        let number: u16 = slot.parse().unwrap();
        let ranges: Vec<redis::Value> = self.nodes[0].ask(&["CLUSTER", "SLOTS"]);
        for range in ranges {
            let (first, last, master, ..): (u16, u16, (String, u16), redis::Value) =
                match redis::from_redis_value::<Vec<redis::Value>>(range)
                    .unwrap()
                    .as_slice()
                {
                    [first, last, redis::Value::Array(node), ..] => (
                        redis::from_redis_value_ref(first).unwrap(),
                        redis::from_redis_value_ref(last).unwrap(),
                        (
                            redis::from_redis_value_ref(&node[0]).unwrap(),
                            redis::from_redis_value_ref(&node[1]).unwrap(),
                        ),
                        redis::Value::Nil,
                    ),
                    other => panic!("CLUSTER SLOTS: {other:?}"),
                };
            if (first..=last).contains(&number) {
                return self
                    .nodes
                    .iter()
                    .find(|node| node.port() == master.1)
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
        let folder = tempfile::tempdir().unwrap();
        let first = Redis::with(&["--repl-diskless-sync-delay", "0"]);
        let master = first.port().to_string();
        let second = Redis::with(&["--replicaof", "127.0.0.1", &master]);
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
                let args = vec![config.display().to_string(), "--sentinel".to_owned()];
                Redis::begin(path, None, args)
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
        let hosts: Vec<_> = self
            .sentinels
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()))
            .collect();
        format!("redis-sentinel://{}/{}", hosts.join(","), Self::MASTER)
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

/// `None` where it does not come up.
fn run(port: u16, folder: &Path, args: &[String]) -> Option<Running> {
    // The shell reads its input to the end and takes the server with it.
    // Debian has one program with two names, and the package without a service has the other.
    let script = r#"program=$(command -v redis-server || command -v redis-check-rdb) || exit 1
        (exec -a redis-server "$program" "$@") <&- & server=$!; echo "pid $server"; trap 'kill -KILL $server 2>/dev/null; wait' EXIT; read -r _"#;
    let (file, args) = match args.split_first() {
        Some((file, rest)) if file.ends_with(".conf") => (Some(file), rest),
        _ => (None, args),
    };
    let mut command = Command::new("bash");
    command.args(["-c", script, "redis"]);
    command.args(file);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
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
        pid: pid.expect("there is no redis-server; run ./scripts/test, which installs it"),
        leash,
        shell,
    };
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        for line in log.map_while(Result::ok) {
            let up = line.contains("Ready to accept connections") || line.contains("+monitor");
            // Who waited is gone by the second time.
            let _ = up.then(|| ready.send(()));
        }
    });
    match is_ready.recv_timeout(PATIENCE) {
        Ok(()) => Some(running),
        Err(_) => {
            let mut running = running;
            let _ = kill_process(running.pid, Signal::KILL);
            drop(running.leash.take());
            let _ = running.shell.wait();
            None
        }
    }
}
