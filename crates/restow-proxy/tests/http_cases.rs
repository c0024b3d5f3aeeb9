//! The table of HTTP cases, through the proxy: a real client, real connections, a real origin.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a case that cannot be played has to fail"
)]

use http::{HeaderMap, HeaderName, StatusCode};
use restow::{Cache, Millis, TestClock};
use restow_proxy::{Options, Proxy, Upstream};
use restow_testkit::{
    Origin, RawOrigin, Reply,
    cases::{Answer, Case, Player, START, Seen, Step, check, line, lines, play_all},
    http_client,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, sync::Notify};

/// How long a test waits for what is on its way.
const PATIENCE: Duration = Duration::from_secs(30);

/// On one thread: what was read to its end is stored before the client sees that end.
#[tokio::test]
async fn every_case_of_a_shared_cache_holds_through_the_proxy() {
    let client = http_client()
        .redirect(reqwest::redirect::Policy::none())
        // A later case may listen where an earlier one did: its requests must not go to the earlier proxy.
        .pool_max_idle_per_host(0)
        .build()
        .unwrap();
    let left_out = play_all(Player::Proxy, true, async |case| play(case, &client).await);
    assert_eq!(left_out.await, 0);
}

async fn play(case: &Case, client: &reqwest::Client) -> Vec<(usize, String)> {
    let step: Arc<Mutex<Option<Step>>> = Arc::default();
    let asked: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let (now, noted) = (step.clone(), asked.clone());
    let came = Arc::new(Notify::new());
    let tells = came.clone();
    let note = move |headers| {
        noted.lock().unwrap().push(headers);
        tells.notify_one();
        now.lock().unwrap().clone().unwrap()
    };
    let origin = Api::start(case, note).await;
    let clock = TestClock::at(Millis(START));
    let targeted = case.targeted.iter().copied().map(HeaderName::from_static);
    let builder = Cache::builder().url("memory:").shared(true);
    let builder = builder.targeted(targeted).clock(clock.clone());
    let cache = builder.build().await.unwrap();
    let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
    let proxy = Proxy::new(cache.clone(), upstreams, Options::default())
        .await
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move { proxy.serve(listener, std::future::pending()).await });
    let mut wrong = Vec::new();
    for (nth, one) in case.steps.iter().enumerate() {
        clock.set(Millis(START + one.at * 1_000));
        *step.lock().unwrap() = Some(one.clone());
        asked.lock().unwrap().clear();
        let method: http::Method = one.method.parse().unwrap();
        let answer = client
            .request(method, format!("http://{address}{}", one.path))
            .headers(lines(&one.request, one.at))
            .send()
            .await
            .unwrap();
        let mut seen = Seen {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.bytes().await.unwrap().to_vec(),
            asked: Vec::new(),
        };
        if one.refreshes && asked.lock().unwrap().is_empty() {
            // It is asked for behind the answer; where it never is, the case fails.
            _ = tokio::time::timeout(PATIENCE, async {
                while asked.lock().unwrap().is_empty() {
                    came.notified().await;
                }
            })
            .await;
        }
        if one.refreshes && nth + 1 < case.steps.len() {
            // The next request finds what came.
            let stored = http::Request::get(origin.url(&one.path)).body(()).unwrap();
            _ = tokio::time::timeout(PATIENCE, async {
                while cache.get(&stored).await.unwrap().is_none() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        seen.asked.clone_from(&asked.lock().unwrap());
        wrong.extend(check(one, &seen).into_iter().map(|what| (nth, what)));
    }
    served.abort();
    wrong
}

/// The origin of a case. A server sends no interim answers, so that those that have them come as bytes.
enum Api {
    Server(Origin),
    Bytes(RawOrigin),
}

impl Api {
    async fn start(case: &Case, note: impl Fn(HeaderMap) -> Step + Send + Sync + 'static) -> Self {
        if case.steps.iter().all(|step| step.interim.is_empty()) {
            let answer = move |call: &restow_testkit::Call| reply(&note(call.headers.clone()));
            return Self::Server(Origin::start(answer).await);
        }
        let answer = move |_, request: &[u8]| bytes(&note(read(request)));
        Self::Bytes(RawOrigin::reading(answer).await)
    }

    fn url(&self, path: &str) -> String {
        match self {
            Self::Server(origin) => origin.url(path),
            Self::Bytes(origin) => origin.url(path),
        }
    }
}

/// The fields in the head of a request.
fn read(request: &[u8]) -> HeaderMap {
    let text = String::from_utf8_lossy(request);
    let said: Vec<String> = text
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    lines(&said, 0)
}

/// What comes before the answer of a step, and the answer.
fn bytes(step: &Step) -> Vec<u8> {
    let Answer::Reply {
        status,
        lines: said,
        body,
    } = &step.origin
    else {
        return Vec::new();
    };
    let mut bytes = Vec::new();
    for (status, said) in &step.interim {
        put(&mut bytes, *status, &lines(said, step.at));
    }
    let mut headers = dated(lines(said, step.at), step.at);
    let more = [
        format!("content-length: {}", body.len()),
        "connection: close".to_owned(),
    ];
    headers.extend(lines(&more, step.at));
    put(&mut bytes, *status, &headers);
    bytes.extend(body.bytes());
    bytes
}

fn put(bytes: &mut Vec<u8>, status: u16, headers: &HeaderMap) {
    let status = StatusCode::from_u16(status).unwrap();
    bytes.extend(format!("HTTP/1.1 {status}\r\n").bytes());
    for (name, value) in headers {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
}

/// A server would add today's date, whatever the clock of the case says.
fn dated(mut headers: HeaderMap, at: i64) -> HeaderMap {
    if !headers.contains_key(http::header::DATE) {
        let (name, value) = line("date: {date+0}", at);
        headers.insert(name, value);
    }
    headers
}

fn reply(step: &Step) -> Reply {
    match &step.origin {
        Answer::Unreachable => Reply::closed(),
        Answer::Reply {
            status,
            lines: said,
            body,
        } => {
            let headers = dated(lines(said, step.at), step.at);
            let reply = Reply::status(*status).headers(headers);
            if body.is_empty() {
                reply
            } else {
                reply.then(body.clone())
            }
        }
    }
}
