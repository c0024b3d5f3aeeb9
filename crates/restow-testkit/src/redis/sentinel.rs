//! Sentinels, and what they watch.

use super::{Redis, Tls, until};
use tempfile::TempDir;

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
