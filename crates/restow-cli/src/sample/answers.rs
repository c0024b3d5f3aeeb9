//! What the sample answers.

use super::data::{self, TOKEN, User};
use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, LINK,
        RETRY_AFTER, VARY,
    },
};
use http_body_util::Full;
use serde::Serialize;
use std::{
    fmt::Display,
    hash::{DefaultHasher, Hasher as _},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Requests per second, as real APIs have it.
const PER_SECOND: u32 = 2_000;

type Answer = Response<Full<Bytes>>;

/// The requests of this second.
#[derive(Debug, Default)]
pub(super) struct Limit(Mutex<Option<(Instant, u32)>>);

impl Limit {
    /// Counts a request; `false` where there are too many.
    fn allows(&self) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (since, count) = window
            .filter(|(since, _)| now.duration_since(*since) < Duration::from_secs(1))
            .unwrap_or((now, 0));
        *window = Some((since, count + 1));
        count < PER_SECOND
    }
}

/// Answers a request.
pub(super) fn answer<B>(request: &Request<B>, limit: &Limit) -> Answer {
    if !limit.allows() {
        let mut answer = problem(StatusCode::TOO_MANY_REQUESTS, "too many requests");
        insert(&mut answer, RETRY_AFTER, "1");
        return answer;
    }
    if request.method() != Method::GET {
        return problem(StatusCode::METHOD_NOT_ALLOWED, "the sample is only read");
    }
    let headers = request.headers();
    let uri = request.uri();
    match uri.path().strip_prefix("/items") {
        Some("") => list(headers, &origin(request), uri.query()),
        Some(rest) => rest
            .strip_prefix('/')
            .and_then(|id| id.parse().ok())
            .and_then(data::item)
            .map_or_else(not_found, |item| {
                found(headers, &item, "public, max-age=60")
            }),
        None if uri.path() == "/users/me" => me(headers),
        None => not_found(),
    }
}

fn list(headers: &HeaderMap, origin: &str, query: Option<&str>) -> Answer {
    let page = query
        .unwrap_or("")
        .split('&')
        .find_map(|pair| pair.strip_prefix("page="))
        .map_or(Some(1), |page| page.parse::<u64>().ok());
    let Some(page) = page.filter(|p| (1..=data::last_page()).contains(p)) else {
        return not_found();
    };
    let mut answer = found(headers, &data::page(page), "public, max-age=60");
    let link = |page: u64, rel: &str| format!("<{origin}/items?page={page}>; rel=\"{rel}\"");
    let mut links = vec![link(1, "first"), link(data::last_page(), "last")];
    if page > 1 {
        links.push(link(page - 1, "prev"));
    }
    if page < data::last_page() {
        links.push(link(page + 1, "next"));
    }
    insert(&mut answer, LINK, links.join(", "));
    answer
}

fn me(headers: &HeaderMap) -> Answer {
    let token = headers.get(AUTHORIZATION).map(|v| v.as_bytes());
    if token != Some(format!("Bearer {TOKEN}").as_bytes()) {
        return problem(StatusCode::UNAUTHORIZED, "a bearer token is needed");
    }
    let user = User {
        name: "ada",
        plan: "free",
    };
    let mut answer = found(headers, &user, "private, max-age=60");
    insert(&mut answer, VARY, "authorization");
    answer
}

fn found(headers: &HeaderMap, value: &impl Serialize, cache_control: &str) -> Answer {
    let Ok(body) = serde_json::to_vec(value) else {
        return problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the data cannot be written",
        );
    };
    let mut hash = DefaultHasher::new();
    hash.write(&body);
    let etag = format!("\"{:016x}\"", hash.finish());
    let unchanged = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|v| v.as_bytes() == etag.as_bytes());
    let mut answer = if unchanged {
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else {
        json(StatusCode::OK, body)
    };
    insert(&mut answer, ETAG, etag);
    insert(&mut answer, CACHE_CONTROL, cache_control);
    answer
}

fn origin<B>(request: &Request<B>) -> String {
    let host = request.headers().get(http::header::HOST);
    let host = host.and_then(|h| h.to_str().ok()).unwrap_or("localhost");
    format!("http://{host}")
}

fn not_found() -> Answer {
    problem(StatusCode::NOT_FOUND, "there is nothing here")
}

fn problem(status: StatusCode, message: &str) -> Answer {
    json(status, format!("{{\"error\":{message:?}}}"))
}

fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    insert(&mut answer, CONTENT_TYPE, "application/json");
    answer
}

fn insert(answer: &mut Answer, name: HeaderName, value: impl Display) {
    if let Ok(value) = value.to_string().parse() {
        answer.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(uri: &str, headers: &[(HeaderName, &str)]) -> Answer {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        answer(&request.body(()).unwrap(), &Limit::default())
    }

    #[test]
    fn an_entity_tag_is_confirmed_and_another_is_not() {
        let first = get("/items/7", &[]);
        let etag = first.headers()[ETAG].to_str().unwrap();
        assert_eq!(
            get("/items/7", &[(IF_NONE_MATCH, etag)]).status(),
            StatusCode::NOT_MODIFIED
        );
        assert_eq!(
            get("/items/8", &[(IF_NONE_MATCH, etag)]).status(),
            StatusCode::OK
        );
    }

    #[test]
    fn statuses_are_those_of_a_real_api() {
        let token = format!("Bearer {TOKEN}");
        for (uri, headers, status) in [
            ("/items/1", &[][..], 200),
            ("/items/500", &[], 200),
            ("/items/501", &[], 404),
            ("/items/x", &[], 404),
            ("/items?page=20", &[], 200),
            ("/items?page=21", &[], 404),
            ("/users/me", &[], 401),
            ("/users/me", &[(AUTHORIZATION, token.as_str())], 200),
            ("/other", &[], 404),
        ] {
            assert_eq!(get(uri, headers).status().as_u16(), status, "{uri}");
        }
    }

    #[test]
    fn too_many_requests_are_refused_with_the_time_to_wait() {
        let limit = Limit(Mutex::new(Some((Instant::now(), PER_SECOND))));
        let request = Request::get("/items/1").body(()).unwrap();
        let refused = answer(&request, &limit);
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers()[RETRY_AFTER], "1");
    }
}
