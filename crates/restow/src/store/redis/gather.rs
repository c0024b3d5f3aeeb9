//! Reads of many tasks at the same moment, sent as one.
//!
//! A read goes out by itself as long as few are on their way. Whoever comes later waits for one of those to end, and then goes with all the
//! others who wait: many tasks cost the server and the driver a command each time, and not each.

use super::{
    core::lock,
    link::{Lost, One},
};
use redis::{Cmd, RedisResult, Value};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// So many reads are on their way at once: while one is answered, the server works on the next.
const FLIGHTS: usize = 2;
/// So many go as one: the first is not to wait long for the last.
const MOST: usize = 128;

/// Who waits to be sent.
#[derive(Default)]
pub(super) struct Gather(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    flights: usize,
    asked: Vec<Asked>,
}

struct Asked {
    key: Vec<u8>,
    answer: oneshot::Sender<RedisResult<Value>>,
}

/// Reads a value.
pub(super) fn get(key: &[u8]) -> Cmd {
    let mut cmd = Cmd::with_capacity(2, key.len() + 8);
    cmd.arg("GET").arg(key);
    cmd
}

impl Gather {
    /// Reads a value, soon.
    pub(super) async fn get(&self, one: &Arc<One>, key: Vec<u8>) -> RedisResult<Value> {
        let waiting = {
            let mut waiting = lock(&self.0);
            if waiting.flights < FLIGHTS {
                waiting.flights += 1;
                None
            } else {
                let (answer, answered) = oneshot::channel();
                waiting.asked.push(Asked {
                    key: key.clone(),
                    answer,
                });
                Some(answered)
            }
        };
        match waiting {
            None => {
                let _flight = Flight(one.clone());
                one.ask(&get(&key), Lost::Again).await
            }
            Some(answered) => match answered.await {
                Ok(answer) => answer,
                // The runtime that had it is gone.
                Err(_) => one.ask(&get(&key), Lost::Again).await,
            },
        }
    }
}

/// One of those on their way; at its end, whoever waits takes its place.
struct Flight(Arc<One>);

impl Flight {
    async fn take(self, asked: Vec<Asked>) {
        let asked: Vec<_> = asked
            .into_iter()
            .filter(|one| !one.answer.is_closed())
            .collect();
        if asked.is_empty() {
            return;
        }
        let bytes = asked.iter().map(|one| one.key.len()).sum::<usize>();
        let mut cmd = Cmd::with_capacity(1 + asked.len(), 4 + bytes);
        cmd.arg("MGET");
        for one in &asked {
            cmd.arg(one.key.as_slice());
        }
        let answer = self.0.ask(&cmd, Lost::Again).await;
        drop(self);
        match answer {
            Ok(Value::Array(values)) => {
                for (one, value) in asked.into_iter().zip(values) {
                    // Whoever is gone needs no answer.
                    let _ = one.answer.send(Ok(value));
                }
            }
            Ok(other) => {
                for one in asked {
                    let _ = one.answer.send(Ok(other.clone()));
                }
            }
            Err(error) => {
                for one in asked {
                    let _ = one.answer.send(Err(error.clone()));
                }
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        let mut waiting = lock(&self.0.gather.0);
        let some = waiting.asked.len().min(MOST);
        let asked: Vec<_> = waiting.asked.drain(..some).collect();
        if let Ok(runtime) = runtime
            && !asked.is_empty()
        {
            drop(waiting);
            runtime.spawn(Self(self.0.clone()).take(asked));
        } else {
            waiting.flights -= 1;
            // Without a runtime, those who wait ask by themselves.
            waiting.asked.clear();
        }
    }
}
