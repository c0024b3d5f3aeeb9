//! The API behind the proxies.

use super::BODY;
use crate::Outcome;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use tokio::net::TcpListener;

static CALLS: AtomicU64 = AtomicU64::new(0);

pub(crate) async fn run(listen: SocketAddr) -> Outcome {
    let listener = TcpListener::bind(listen).await?;
    let body = Bytes::from(format!("{{\"data\":\"{}\"}}", "x".repeat(BODY - 11)));
    loop {
        let (stream, _) = listener.accept().await?;
        _ = stream.set_nodelay(true);
        let body = body.clone();
        let service = service_fn(move |request| answer(request, body.clone()));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    request: Request<Incoming>,
    body: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    if path == "/count" {
        let calls = CALLS.swap(0, Relaxed);
        return Ok(Response::new(Full::from(calls.to_string())));
    }
    CALLS.fetch_add(1, Relaxed);
    let (slow, private) = (path.starts_with("/slow"), path.starts_with("/slow/private"));
    if slow {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json; charset=utf-8"),
        (header::ETAG, "\"5d41402abc4b2a76b9719d911017c592\""),
        (header::LAST_MODIFIED, "Sat, 01 Aug 2026 00:00:00 GMT"),
        (
            header::CACHE_CONTROL,
            if private {
                "private, no-store"
            } else {
                "public, max-age=3600"
            },
        ),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
