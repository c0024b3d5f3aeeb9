//! Both policies, asked the same.

use crate::exchange::Exchange;
use http::{HeaderValue, Request as Asked, Response, StatusCode, header};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};
use restow_policy::*;
use restow_testkit::cases::START;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a policy says: whether it stores, and of what is stored whether it is fresh, and whether it is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Says {
    pub(crate) stores: bool,
    pub(crate) fresh: bool,
    pub(crate) gives: bool,
}

pub(crate) fn ours(exchange: &Exchange) -> Says {
    let options = Options {
        shared: exchange.shared,
        http: true,
        ..Options::default()
    };
    let (request, answer) = (exchange.request_headers(), exchange.answer_headers());
    let status = StatusCode::from_u16(exchange.status).unwrap();
    let facts = Facts::parse(status, &answer, START, START);
    let asked = StoreRequest {
        method: &exchange.method,
        headers: &request,
        credential: exchange.credential(&request),
    };
    let vary = vary_names(&answer);
    let select = |vary: &str, headers| variant(vary, headers, &|_| Role::Selects, &[0; 32]);
    let lived = match lifetime(status, &facts, &options) {
        Lifetime::Explicit(ms) | Lifetime::Heuristic(ms) => ms,
        Lifetime::Unknown => 0,
    };
    let stored = Stored {
        status,
        facts: &facts,
        vary: vary.as_str(),
        variant: select(vary.as_str(), &request).unwrap_or(0),
        etag: answer.get(header::ETAG).map(HeaderValue::as_bytes),
        last_modified: answer.get(header::LAST_MODIFIED).map(HeaderValue::as_bytes),
        expires_at: Some(START + lived),
        stored_at: START,
        keep_until: None,
    };
    let later = exchange.later_headers();
    let ask = Request {
        method: &exchange.later_method,
        headers: &later,
        credential: exchange.credential(&later),
    };
    let decision = on_request(
        &ask,
        [stored].into_iter(),
        exchange.now(),
        &Limits::default(),
        &options,
        &mut |vary| select(vary, &later),
    );
    Says {
        stores: may_store(&asked, status, &facts, &options).is_ok(),
        fresh: stored.is_fresh(exchange.now()),
        gives: matches!(decision, OnRequest::Serve(..)),
    }
}

pub(crate) fn at(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap())
}

pub(crate) fn other(exchange: &Exchange) -> CachePolicy {
    let mut request = Asked::new(());
    *request.method_mut() = exchange.method.clone();
    *request.headers_mut() = exchange.request_headers();
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::from_u16(exchange.status).unwrap();
    *answer.headers_mut() = exchange.answer_headers();
    let options = CacheOptions {
        shared: exchange.shared,
        // A lifetime of its own for `immutable` is an option of that policy.
        immutable_min_time_to_live: Duration::ZERO,
        ..CacheOptions::default()
    };
    CachePolicy::new_options(&request, &answer, at(START), options)
}

pub(crate) fn theirs(exchange: &Exchange, policy: &CachePolicy) -> Says {
    let mut later = Asked::new(());
    *later.method_mut() = exchange.later_method.clone();
    *later.headers_mut() = exchange.later_headers();
    let now = at(exchange.now());
    Says {
        stores: policy.is_storable(),
        fresh: !policy.is_stale(now),
        gives: matches!(policy.before_request(&later, now), BeforeRequest::Fresh(_)),
    }
}
