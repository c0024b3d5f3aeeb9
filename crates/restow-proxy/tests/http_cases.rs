//! The table of HTTP cases, through the proxy: a real client, real connections, a real origin.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a case that cannot be played has to fail"
)]

use http::HeaderMap;
use restow::{Cache, Millis, TestClock};
use restow_proxy::{Options, Proxy, Upstream};
use restow_testkit::{
    Origin, Reply,
    cases::{Answer, Case, START, Seen, Step, check, line, lines, play_all},
    http_client,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, sync::Notify};

/// How long a test waits for what is on its way.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_a_shared_cache_holds_through_the_proxy() {
    let client = http_client()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    play_all(true, async |case| play(case, &client).await).await;
}

async fn play(case: &Case, client: &reqwest::Client) -> Vec<(usize, String)> {
    let step: Arc<Mutex<Option<Step>>> = Arc::default();
    let asked: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let (now, noted) = (step.clone(), asked.clone());
    let came = Arc::new(Notify::new());
    let tells = came.clone();
    let origin = Origin::start(move |call| {
        noted.lock().unwrap().push(call.headers.clone());
        tells.notify_one();
        reply(now.lock().unwrap().as_ref().unwrap())
    })
    .await;
    let clock = TestClock::at(Millis(START));
    let builder = Cache::builder().url("memory:").shared(true);
    let cache = builder.clock(clock.clone()).build().await.unwrap();
    let upstreams = vec![Upstream::new(&origin.url("")).unwrap()];
    let proxy = Proxy::new(cache, upstreams, Options::default())
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
        seen.asked.clone_from(&asked.lock().unwrap());
        wrong.extend(check(one, &seen).into_iter().map(|what| (nth, what)));
    }
    served.abort();
    wrong
}

fn reply(step: &Step) -> Reply {
    match &step.origin {
        Answer::Unreachable => Reply::closed(),
        Answer::Reply {
            status,
            lines: said,
            body,
        } => {
            let mut headers = lines(said, step.at);
            if !headers.contains_key(http::header::DATE) {
                // A server would add today's, whatever the clock of the case says.
                let (name, value) = line("date: {date+0}", step.at);
                headers.insert(name, value);
            }
            let reply = Reply::status(*status).headers(headers);
            if body.is_empty() {
                reply
            } else {
                reply.then(body.clone())
            }
        }
    }
}
