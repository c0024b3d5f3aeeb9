//! Redis Cluster.

use super::{Redis, Tls, free_port, until};
use redis::{FromRedisValue, RedisResult};
use std::collections::BTreeSet;
use tempfile::TempDir;

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
