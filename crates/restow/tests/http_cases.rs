//! The table of HTTP cases, through the library: as a cache of one user, and as one that several share.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a case that cannot be played has to fail"
)]

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::Full;
use restow::{Binary, Cache, Millis, RouteEndpoint, TestClock, client::Body};
use restow_testkit::cases::{Answer, Case, Player, START, Seen, Step, check, lines, play_all};
use std::{
    io,
    sync::{Arc, Mutex},
};
use tower::{Layer as _, Service as _, service_fn};

#[tokio::test]
async fn every_case_holds_for_a_cache_of_one_user() {
    let left_out = play_all(Player::Library, false, async |case| play(case, false).await);
    assert_eq!(left_out.await, 9, "those with interim answers");
}

#[tokio::test]
async fn every_case_holds_for_a_cache_that_users_share() {
    let left_out = play_all(Player::Library, true, async |case| play(case, true).await);
    let proxys = 9 + 27;
    assert_eq!(
        left_out.await,
        proxys,
        "those with interim answers or Cache-Status"
    );
}

/// The origin of one case: what it answers now, and what it was asked.
#[derive(Default)]
struct Origin {
    step: Option<Step>,
    asked: Vec<http::HeaderMap>,
}

async fn play(case: &Case, shared: bool) -> Vec<(usize, String)> {
    let clock = TestClock::at(Millis(START));
    let mut builder = Cache::builder()
        .url("memory:")
        .shared(shared)
        .targeted(case.targeted.iter().copied().map(HeaderName::from_static))
        .clock(clock.clone());
    if !shared {
        builder = builder.principal("me");
    }
    let cache = builder.build().await.unwrap();
    let pages = RouteEndpoint::<String, Binary>::get("pages", "http://origin.example{/path*}")
        .unwrap()
        .http();
    cache.create_repository(pages).await.unwrap();
    let origin = Arc::new(Mutex::new(Origin::default()));
    let played = origin.clone();
    let mut service = cache
        .layer()
        .layer(service_fn(move |request: Request<Bytes>| {
            let answer = answer(&played, &request);
            async move { answer }
        }));
    let mut wrong = Vec::new();
    for (nth, step) in case.steps.iter().enumerate() {
        clock.set(Millis(START + step.at * 1_000));
        *origin.lock().unwrap() = Origin {
            step: Some(step.clone()),
            asked: Vec::new(),
        };
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = step.method.parse().unwrap();
        *request.uri_mut() = format!("http://origin.example{}", step.path)
            .parse()
            .unwrap();
        *request.headers_mut() = lines(&step.request, step.at);
        let mut seen = match service.call(request).await {
            Ok(response) => seen(response).await,
            Err(_) => Seen {
                status: 502,
                ..Seen::default()
            },
        };
        if step.refreshes {
            // What is refreshed behind is asked for, and stored, in tasks of its own.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        seen.asked = origin.lock().unwrap().asked.clone();
        wrong.extend(check(step, &seen).into_iter().map(|what| (nth, what)));
    }
    wrong
}

fn answer(
    origin: &Mutex<Origin>,
    request: &Request<Bytes>,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let mut origin = origin.lock().unwrap();
    origin.asked.push(request.headers().clone());
    let step = origin.step.as_ref().unwrap();
    match &step.origin {
        Answer::Unreachable => Err(io::ErrorKind::ConnectionReset.into()),
        Answer::Reply {
            status,
            lines: said,
            body,
        } => {
            let mut response = Response::new(Full::from(body.clone()));
            *response.status_mut() = (*status).try_into().unwrap();
            *response.headers_mut() = lines(said, step.at);
            Ok(response)
        }
    }
}

async fn seen(response: Response<Body>) -> Seen {
    let (parts, body) = response.into_parts();
    Seen {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: body.bytes().await.map(|b| b.to_vec()).unwrap_or_default(),
        asked: Vec::new(),
    }
}
