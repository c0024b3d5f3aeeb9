//! The phases of the demo: what was asked, what reached the API, how it was answered.

use super::HOST;
use crate::{
    exit::{Exit, Failure},
    http::reason,
    sample::{Counted, SampleApi},
};
use futures_util::{StreamExt as _, stream};
use reqwest_middleware::ClientWithMiddleware;
use restow::exchange::Answered;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// One request of the demo.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) url: String,
    pub(super) token: Option<&'static str>,
}

impl Ask {
    /// Asks without a token.
    pub(super) fn open(url: String) -> Self {
        Self { url, token: None }
    }

    /// Asks for an item.
    pub(super) fn item(id: u64) -> Self {
        Self::open(format!("http://{HOST}/items/{id}"))
    }
}

/// Asks through the cache.
#[derive(Debug)]
pub(super) struct Runner {
    client: ClientWithMiddleware,
}

/// What came of one phase.
#[derive(Debug, Serialize)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    pub(super) requests: u64,
    /// Requests that reached the API, and the bytes of its bodies.
    pub(super) reached_api: u64,
    pub(super) api_bytes: u64,
    /// How many had each outcome.
    pub(super) outcomes: BTreeMap<&'static str, u64>,
    #[serde(serialize_with = "seconds", rename = "seconds")]
    pub(super) elapsed: Duration,
    /// The first that went wrong.
    #[serde(rename = "error")]
    failure: Option<String>,
    #[serde(skip)]
    expected: Option<(&'static str, u64, u64)>,
}

impl Runner {
    pub(super) fn new(client: ClientWithMiddleware) -> Self {
        Self { client }
    }

    /// Makes the requests, `jobs` at once.
    pub(super) async fn run(
        &self,
        name: &'static str,
        asks: &[Ask],
        jobs: usize,
        api: &SampleApi,
    ) -> Phase {
        let before = api.counted();
        let start = Instant::now();
        let answers: Vec<_> = stream::iter(asks)
            .map(|ask| self.ask(ask))
            .buffer_unordered(jobs)
            .collect()
            .await;
        let elapsed = start.elapsed();
        let Counted { requests, bytes } = api.counted();
        let mut phase = Phase {
            name,
            requests: asks.len() as u64,
            reached_api: requests - before.requests,
            api_bytes: bytes - before.bytes,
            outcomes: BTreeMap::new(),
            elapsed,
            failure: None,
            expected: None,
        };
        for answer in answers {
            match answer {
                Ok(word) => *phase.outcomes.entry(word).or_default() += 1,
                Err(why) => phase.failure = phase.failure.or(Some(why)),
            }
        }
        phase
    }

    async fn ask(&self, ask: &Ask) -> Result<&'static str, String> {
        let mut request = self.client.get(&ask.url);
        if let Some(token) = ask.token {
            request = request.bearer_auth(token);
        }
        let response = request
            .send()
            .await
            .map_err(|e| format!("{}: {}", ask.url, reason(e)))?;
        let status = response.status();
        let outcome = response
            .extensions()
            .get::<Answered>()
            .map_or("unknown", |a| a.outcome.kind.as_strs().0);
        response
            .bytes()
            .await
            .map_err(|e| format!("{}: {}", ask.url, reason(e.into())))?;
        if status.is_success() {
            Ok(outcome)
        } else {
            Err(format!("{}: {status}", ask.url))
        }
    }
}

impl Phase {
    /// Says what must come of it: how many of an outcome, and how many requests that reach the API.
    pub(super) fn expecting(self, outcome: &'static str, count: u64, reached: u64) -> Self {
        Self {
            expected: Some((outcome, count, reached)),
            ..self
        }
    }

    fn is_as_expected(&self) -> bool {
        let held = |(word, count, reached): (&str, u64, u64)| {
            self.outcomes.get(word) == Some(&count) && self.reached_api == reached
        };
        self.failure.is_none() && self.expected.is_none_or(held)
    }
}

/// Fails where a phase did not come to what it must.
pub(super) fn judge(phases: &[Phase]) -> Result<(), Failure> {
    match phases.iter().find(|p| !p.is_as_expected()) {
        None => Ok(()),
        Some(phase) => {
            let why = phase
                .failure
                .as_deref()
                .unwrap_or("the outcomes are not those that it shows otherwise");
            Err(Failure::new(
                Exit::SomeFailed,
                format!("the demo's phase {:?} went wrong: {why}", phase.name),
            ))
        }
    }
}

fn seconds<S: serde::Serializer>(d: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(d.as_secs_f64())
}
