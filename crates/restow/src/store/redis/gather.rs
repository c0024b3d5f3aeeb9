//! Reads of single addresses by many tasks, which go together.

use super::link::{Lost, One};
use crate::store::gather::Sends;
use redis::{Cmd, RedisResult, Value};
use std::sync::Arc;

/// Reads keys of a server.
pub(super) struct Gets(pub(super) Arc<One>);

/// Reads a value.
pub(super) fn get(key: &[u8]) -> Cmd {
    let mut cmd = Cmd::with_capacity(2, key.len() + 8);
    cmd.arg("GET").arg(key);
    cmd
}

impl Sends for Gets {
    type Question = Vec<u8>;
    type Answer = RedisResult<Value>;
    const FLIGHTS: usize = 2;

    fn is_same(one: &Vec<u8>, other: &Vec<u8>) -> bool {
        one == other
    }

    fn again(answer: &RedisResult<Value>) -> RedisResult<Value> {
        answer.clone()
    }

    async fn send(&self, keys: Vec<Vec<u8>>) -> Vec<RedisResult<Value>> {
        if let [key] = keys.as_slice() {
            return vec![self.0.ask(&get(key), Lost::Again).await];
        }
        let bytes = keys.iter().map(Vec::len).sum::<usize>();
        let mut cmd = Cmd::with_capacity(1 + keys.len(), 4 + bytes);
        cmd.arg("MGET");
        for key in &keys {
            cmd.arg(key.as_slice());
        }
        match self.0.ask(&cmd, Lost::Again).await {
            Ok(Value::Array(values)) => values.into_iter().map(Ok).collect(),
            // No value of a key: the reader says so.
            Ok(strange) => keys.iter().map(|_| Ok(strange.clone())).collect(),
            Err(error) => keys.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}
