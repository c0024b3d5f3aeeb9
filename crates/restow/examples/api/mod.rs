//! A small music API on the loopback interface, so that the examples run without internet.

#![allow(dead_code, reason = "each example uses a part of it")]

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::{
    convert::Infallible,
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

/// What the API says of a track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Track {
    /// Its number, as text.
    pub(crate) id: String,
    /// Its title.
    pub(crate) name: String,
    /// Who made it.
    pub(crate) artist: String,
    /// How long it plays.
    pub(crate) seconds: u32,
}

/// All tracks that there are: id, title, artist, seconds.
const TRACKS: [(&str, &str, &str, u32); 6] = [
    ("1", "Feeling Good", "Nina Simone", 174),
    ("2", "Sinnerman", "Nina Simone", 620),
    ("3", "Try a Little Tenderness", "Otis Redding", 227),
    ("4", "These Arms of Mine", "Otis Redding", 152),
    ("5", "So What", "Miles Davis", 562),
    ("6", "Blue in Green", "Miles Davis", 337),
];

/// How long the API takes for an answer.
const LATENCY: Duration = Duration::from_millis(20);

/// The API. It serves `GET /v1/tracks/{id}`, and stops with the program.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    origin: String,
    asked: Arc<AtomicUsize>,
}

impl Api {
    /// Starts it on a free port.
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let api = Self {
            origin: format!("http://{}", listener.local_addr()?),
            asked: Arc::default(),
        };
        tokio::spawn(serve(listener, api.asked.clone()));
        Ok(api)
    }

    /// Returns a path or a template of this API with its origin before it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Returns how many requests have reached it.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Makes a reqwest client. A program of your own calls `reqwest::Client::new()`.
///
/// This workspace builds reqwest with rustls and without a cryptographic provider, which has to be chosen first.
pub(crate) fn http_client() -> reqwest::Client {
    _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn serve(listener: TcpListener, asked: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let asked = asked.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            asked.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(LATENCY).await;
                Ok::<_, Infallible>(answer(&request))
            }
        });
        tokio::spawn(async move {
            // A client that hangs up early is no concern of an example.
            _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(request: &Request<Incoming>) -> Response<String> {
    let id = request.uri().path().strip_prefix("/v1/tracks/");
    let found = TRACKS.iter().find(|(number, ..)| Some(*number) == id);
    match found {
        Some((id, name, artist, seconds)) if request.method() == Method::GET => {
            let tag = format!("\"{id}-1\"");
            let unchanged = request
                .headers()
                .get(IF_NONE_MATCH)
                .is_some_and(|held| held.as_bytes() == tag.as_bytes());
            let body =
                serde_json::json!({ "id": id, "name": name, "artist": artist, "seconds": seconds });
            let (status, body) = if unchanged {
                (StatusCode::NOT_MODIFIED, String::new())
            } else {
                (StatusCode::OK, body.to_string())
            };
            response(status, body, Some(&tag))
        }
        _ => response(
            StatusCode::NOT_FOUND,
            r#"{"error":"there is no such track"}"#.to_owned(),
            None,
        ),
    }
}

fn response(status: StatusCode, body: String, tag: Option<&str>) -> Response<String> {
    let mut response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json");
    if let Some(tag) = tag {
        response = response.header(ETAG, tag);
    }
    response.body(body).unwrap_or_default()
}
