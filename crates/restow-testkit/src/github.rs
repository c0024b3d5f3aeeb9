//! Answers of GitHub's API as they were recorded, by their raw headers: `Link`, `Vary` and `ETag` are GitHub's own.

use crate::{Call, Origin, Reply, environment::test_env, http_client};
use bytes::Bytes;
use http::{Extensions, Method};
use reqwest::{Request, Response, ResponseBuilderExt};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use serde_json::Value;
use std::{
    collections::HashMap,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

/// The origin that was recorded.
pub const API: &str = "https://api.github.com";

/// One answer to a `GET` request.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Path and query.
    pub target: String,
    /// The status.
    pub status: u16,
    /// The header lines, in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Recording {
    /// Returns the value of the first line of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.iter();
        let line = lines.find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(&line.1)
    }

    /// Returns the URL that was asked.
    pub fn url(&self) -> String {
        format!("{API}{}", self.target)
    }

    fn reply(&self, call: &Call) -> Reply {
        let etag = self.header("etag");
        let known = etag.is_some() && etag == Some(call.header("if-none-match"));
        // GitHub's 304 has the headers of the answer, and no body.
        let mut reply = Reply::status(if known { 304 } else { self.status });
        for (name, value) in &self.headers {
            // The body's form was lost in recording, and connections are this server's business.
            let framing = [
                "connection",
                "content-length",
                "transfer-encoding",
                "content-encoding",
            ];
            if !framing.contains(&&*name.to_ascii_lowercase()) {
                reply = reply.header(name, value);
            }
        }
        if known {
            reply
        } else {
            reply.then(self.body.clone())
        }
    }
}

/// Returns all answers to `GET` requests of the API, by target; several where the answer changed while they were recorded.
pub fn recordings() -> HashMap<String, Vec<Recording>> {
    let scenarios = test_env().join("node_modules/@octokit/fixtures/scenarios/api.github.com");
    let mut all: HashMap<String, Vec<Recording>> = HashMap::new();
    let folder = fs::read_dir(&scenarios)
        .unwrap_or_else(|e| panic!("{}: {e}; run ./scripts/test", scenarios.display()));
    for scenario in folder {
        for recording in read(&scenario.unwrap().path().join("raw-fixture.json")) {
            all.entry(recording.target.clone())
                .or_default()
                .push(recording);
        }
    }
    all
}

fn read(file: &Path) -> Vec<Recording> {
    let fixtures: Vec<Value> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let wanted = |f: &&Value| f["method"] == "get" && f["scope"] == "https://api.github.com:443";
    fixtures.iter().filter(wanted).map(recording).collect()
}

fn recording(fixture: &Value) -> Recording {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let raw = fixture["rawHeaders"].as_array().unwrap();
    Recording {
        target: text(&fixture["path"]),
        status: fixture["status"].as_u64().unwrap().try_into().unwrap(),
        headers: raw
            .chunks(2)
            .map(|line| (text(&line[0]), text(&line[1])))
            .collect(),
        body: match &fixture["response"] {
            Value::String(plain) => plain.clone().into(),
            json => json.to_string().into(),
        },
    }
}

/// A server that answers as GitHub did, and conditional requests with 304 by the recorded `ETag`.
#[derive(Debug)]
pub struct GitHub {
    origin: Origin,
    recordings: HashMap<String, Vec<Recording>>,
    steps: Arc<Mutex<HashMap<String, usize>>>,
}

impl GitHub {
    /// Starts a server with all recordings, on a free port.
    pub async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// Starts a server that accepts from this listener.
    pub fn on(listener: TcpListener) -> Self {
        let recordings = recordings();
        let steps: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let (known, step) = (recordings.clone(), steps.clone());
        let origin = Origin::on(listener, move |call| match known.get(&call.target) {
            Some(answers) => {
                let step = step.lock().unwrap().get(&call.target).copied();
                answers[step.unwrap_or(0)].reply(call)
            }
            None => Reply::status(404).then(r#"{"message":"Not Found"}"#),
        });
        Self {
            origin,
            recordings,
            steps,
        }
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.origin.address()
    }

    /// Returns the first recording of a target.
    pub fn recording(&self, target: &str) -> &Recording {
        &self.recordings[target][0]
    }

    /// Answers requests to a target by the next recording from now on: what it stands for has changed.
    pub fn move_on(&self, target: &str) {
        let mut steps = self.steps.lock().unwrap();
        let step = steps.entry(target.to_owned()).or_default();
        assert!(
            *step + 1 < self.recordings[target].len(),
            "{target} was not recorded again"
        );
        *step += 1;
    }

    /// Returns the requests to a target, in the order in which they came.
    pub fn calls_to(&self, target: &str) -> Vec<Call> {
        self.origin.calls_to(target)
    }

    /// Returns how many requests came.
    pub fn asked(&self) -> usize {
        self.origin.asked()
    }

    /// Returns a client for which this server is `https://api.github.com`. It follows no redirects: they lead to the real one.
    pub fn client(&self) -> ClientWithMiddleware {
        let client = http_client().redirect(reqwest::redirect::Policy::none());
        ClientBuilder::new(client.build().unwrap())
            .with(InPlaceOf(self.origin.address()))
            .build()
    }
}

/// Sends every request to one server, and lets the answer come from where it was asked for.
struct InPlaceOf(SocketAddr);

#[async_trait::async_trait]
impl Middleware for InPlaceOf {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let asked = request.url().clone();
        assert_eq!(request.method(), Method::GET, "only GET was recorded");
        // Host and port by themselves keep path and query as they are, byte for byte.
        let url = request.url_mut();
        url.set_scheme("http").unwrap();
        url.set_ip_host(self.0.ip()).unwrap();
        url.set_port(Some(self.0.port())).unwrap();
        let response = next.run(request, extensions).await?;
        let (parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        let mut out = http::Response::builder().url(asked).body(body).unwrap();
        *out.status_mut() = parts.status;
        *out.headers_mut() = parts.headers;
        Ok(out.into())
    }
}
