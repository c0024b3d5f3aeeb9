//! Headers and the policy over them: no bytes panic, and none permit what others forbid.

use super::{Target, headers, input::Input};
use anyhow::{Context, Result, ensure};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use restow_policy::{
    CLOCK_SKEW_MS, ErrorKind, Facts, Flags, Limits, Mode, OnRequest, Options, Request,
    RequestControl, Role, StoreRequest, Stored, VaryNames, conditions, freshens, may_share,
    may_store, merge_304, not_modified, on_error, on_request, own_conditions_present, retry_after,
    rule, storable, variant, vary_names,
};

pub(super) const TARGET: Target = Target {
    name: "policy",
    check,
    words: headers::WORDS,
};

const METHODS: [Method; 5] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
];

fn check(data: &[u8]) -> Result<()> {
    decoded(data)?;
    let mut input = Input::new(data);
    let (answer, request) = (headers::take(&mut input), headers::take(&mut input));
    let status = StatusCode::from_u16(100 + u16::from(input.byte()) * 2).unwrap_or_default();
    let (asked, came, now) = (input.number(), input.number(), input.number());
    let facts = Facts::parse(status, &answer, asked, came);
    encoded(&facts)?;
    cleaned(&answer, &request)?;
    selected(&answer, &request, &mut input)?;
    let bits = input.byte();
    let options = Options {
        shared: bits & 1 != 0,
        background: bits & 2 != 0,
        force: bits & 4 != 0,
        share: bits & 8 != 0,
        http: bits & 16 != 0,
    };
    stored_rightly(&request, status, &answer, &facts, &options, &mut input)?;
    answered(&request, status, &answer, &facts, &options, now, &mut input)?;
    let _ = (retry_after(&answer, now), RequestControl::parse(&answer));
    Ok(())
}

/// Bytes that are read as facts are the only form of those facts.
fn decoded(data: &[u8]) -> Result<()> {
    if let Some(facts) = Facts::decode(data) {
        let mut again = Vec::new();
        facts.encode(&mut again);
        ensure!(again == data, "{facts:?} has two forms");
    }
    Ok(())
}

fn encoded(facts: &Facts) -> Result<()> {
    let mut bytes = Vec::new();
    facts.encode(&mut bytes);
    ensure!(
        Facts::decode(&bytes) == Some(*facts),
        "{facts:?} came back otherwise"
    );
    for end in 0..bytes.len() {
        let cut = bytes.get(..end).unwrap_or_default();
        ensure!(
            Facts::decode(cut).is_none(),
            "{facts:?} were read of their beginning"
        );
    }
    Ok(())
}

/// What is stored of an answer concerns no single connection, and stays the same when it is cleaned again.
fn cleaned(answer: &HeaderMap, other: &HeaderMap) -> Result<()> {
    for headers in [storable(answer), merge_304(answer, other)] {
        ensure!(
            !headers.contains_key("connection"),
            "Connection would be stored"
        );
        ensure!(storable(&headers) == headers, "{headers:?} is not clean");
    }
    let _ = (freshens(answer, other), own_conditions_present(other));
    Ok(())
}

/// The names of `Vary` are canonical, and a request that shows a secret among them selects nothing.
fn selected(answer: &HeaderMap, request: &HeaderMap, input: &mut Input<'_>) -> Result<()> {
    let names = vary_names(answer);
    let role = |name: &str| match name {
        "authorization" => Role::Credential,
        "x-a" => Role::Secret,
        _ => Role::Selects,
    };
    let key = [input.byte(); 32];
    let digest = variant(names.as_str(), request, &role, &key);
    match &names {
        VaryNames::None => ensure!(
            digest == Some(0),
            "nothing varies, and {digest:?} is selected"
        ),
        VaryNames::Star => ensure!(digest.is_none(), "Vary: * was selected"),
        VaryNames::Names(text) => {
            let mut line = HeaderMap::new();
            line.insert("vary", HeaderValue::from_str(text)?);
            ensure!(
                vary_names(&line) == names,
                "{text:?} is no canonical list of names"
            );
            let secret = text.split(',').any(|n| n == "x-a") && request.contains_key("x-a");
            ensure!(digest.is_none() == secret, "{text:?} selects {digest:?}");
        }
    }
    Ok(())
}

/// Nothing is stored, or shared, that anything in the answer or the request forbids.
fn stored_rightly(
    headers: &HeaderMap,
    status: StatusCode,
    answer: &HeaderMap,
    facts: &Facts,
    options: &Options,
    input: &mut Input<'_>,
) -> Result<()> {
    let method = METHODS
        .get(usize::from(input.byte()) % METHODS.len())
        .context("there are methods")?;
    let request = StoreRequest {
        method,
        headers,
        credential: input.flag(),
    };
    let verdict = may_store(&request, status, facts, options);
    let says = |flag| facts.flags.contains(flag);
    let understood = says(Flags::MUST_UNDERSTAND) && says(Flags::STATUS_UNDERSTOOD);
    let forbidden = says(Flags::VARY_STAR)
        || says(Flags::NO_STORE) && !understood && !options.force
        || RequestControl::parse(headers).no_store && !options.force
        || says(Flags::PRIVATE) && (options.shared || !request.credential && !options.share)
        || !matches!(*method, Method::GET | Method::POST);
    ensure!(
        verdict.is_err() || !forbidden,
        "{answer:?} to {request:?} would be stored under {options:?}"
    );
    let invalid = says(Flags::CACHE_CONTROL_INVALID);
    if may_share(facts).is_ok() {
        ensure!(
            !says(Flags::PRIVATE) && !invalid,
            "{answer:?} would be given to everyone"
        );
    }

    // A further line only takes away.
    let mut stricter = answer.clone();
    stricter.append(
        "cache-control",
        HeaderValue::from_static("no-store, private"),
    );
    let stricter = Facts::parse(status, &stricter, facts.requested_at, facts.received_at);
    ensure!(
        stricter
            .flags
            .contains(facts.flags | Flags::NO_STORE | Flags::PRIVATE),
        "a second Cache-Control gives back what {answer:?} forbade"
    );
    ensure!(
        may_share(&stricter).is_err(),
        "what is private would be given to everyone"
    );
    if options.shared && !understood
        || !options.force && !stricter.flags.contains(Flags::MUST_UNDERSTAND)
    {
        ensure!(
            may_store(&request, status, &stricter, options).is_err(),
            "what is private, and not to be stored, would be stored"
        );
    }
    Ok(())
}

/// Nothing is served beyond its lifetime, or against what the answer says of that.
fn answered(
    headers: &HeaderMap,
    status: StatusCode,
    answer: &HeaderMap,
    facts: &Facts,
    options: &Options,
    now: i64,
    input: &mut Input<'_>,
) -> Result<()> {
    let etag = answer.get("etag").map(HeaderValue::as_bytes);
    let last_modified = answer.get("last-modified").map(HeaderValue::as_bytes);
    let mut time = || input.flag().then(|| input.number());
    let (expires_at, keep_until) = (time(), time());
    let stored = Stored {
        status,
        facts,
        vary: "",
        variant: 0,
        etag,
        last_modified,
        expires_at,
        stored_at: input.number(),
        keep_until,
    };
    let modes = [Mode::Live, Mode::Revalidate, Mode::Refresh, Mode::Offline];
    let limits = Limits {
        stale_while_revalidate_ms: input.number(),
        stale_if_error_ms: input.number(),
        insist_if_error: false,
        insist_while_revalidate: false,
        mode: input.choose(&modes, Mode::Live),
    };
    let request = Request {
        method: &Method::GET,
        headers,
        credential: input.flag(),
    };
    let decision = on_request(
        &request,
        [stored].into_iter(),
        now,
        &limits,
        options,
        &mut |_| Some(0),
    );
    let live = expires_at.is_none_or(|at| now < at)
        && now >= stored.stored_at.saturating_sub(CLOCK_SKEW_MS);
    let kept = keep_until.is_none_or(|until| now < until);
    if stored.is_fresh(now) || matches!(decision, OnRequest::Serve(_, rule::FRESH)) {
        ensure!(live, "{stored:?} is fresh at {now}");
    }
    if matches!(
        decision,
        OnRequest::Serve(..) | OnRequest::ServeStaleAndRefresh(..) | OnRequest::Revalidate(..)
    ) {
        ensure!(kept, "{stored:?} is gone at {now}, and {decision:?}");
    }
    if let OnRequest::ServeStaleAndRefresh(..) = decision {
        let expired = expires_at.context("what never expires is never stale")?;
        // One that expired before it was stored is stale at once.
        let stale = now >= expired || expired <= stored.stored_at.max(facts.received_at);
        let window = if options.http {
            i64::from(facts.stale_while_revalidate.unwrap_or(0)) * 1000
        } else {
            limits.stale_while_revalidate_ms
        };
        ensure!(
            options.background && stale && now.saturating_sub(expired) <= window,
            "{stored:?} is served beside a refresh at {now} under {limits:?}"
        );
    }
    if limits.mode == Mode::Offline {
        let asks = !matches!(decision, OnRequest::Serve(..) | OnRequest::Refuse(_));
        ensure!(!asks, "{decision:?} asks the origin, which is offline");
    } else if facts
        .flags
        .intersects(Flags::MUST_REVALIDATE | Flags::NO_CACHE)
        && !live
    {
        let error = on_error(&stored, now, &limits, options, ErrorKind::Unreachable);
        ensure!(
            error.is_none()
                && !matches!(
                    decision,
                    OnRequest::Serve(..) | OnRequest::ServeStaleAndRefresh(..)
                ),
            "{stored:?} forbids to be stale, and at {now}: {decision:?}, {error:?}"
        );
    }
    let _ = (not_modified(headers, &stored), conditions(&stored).count());
    let _ = (facts.age_ms(now), facts.age_seconds(now));
    Ok(())
}
