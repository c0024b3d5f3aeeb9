//! Whole answers through the policy: stored, asked for, confirmed, cut, made invalid, one after the other and never against what was said.

use super::{Target, headers::take_of, input::Input};
use anyhow::{Context, Result, ensure};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use restow_policy::{
    CLOCK_SKEW_MS, ErrorKind, Facts, Flags, HeadUpdate, Lifetime, Limits, OnRequest, Options,
    RangeAnswer, Request, Role, Rule, StoreRequest, Stored, also_invalidated, conditions,
    drop_cookies, drop_hop_by_hop, drop_own_conditions, freshens, groups, head_update,
    invalidated_groups, invalidates, lifetime, may_share, may_store, merge_304, not_modified,
    on_error, on_request, own_conditions_present, range, rule, storable, variant, vary_names,
};

pub(super) const TARGET: Target = Target {
    name: "answers",
    check,
    words: WORDS,
};

const NAMES: [&str; 28] = [
    "accept",
    "age",
    "authorization",
    "cache-control",
    "cache-group-invalidation",
    "cache-groups",
    "cdn-cache-control",
    "connection",
    "content-length",
    "content-location",
    "date",
    "etag",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "last-modified",
    "location",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "vary",
    "x-a",
    "x-b",
    "x-secret",
];

const WORDS: &[&str] = &[
    "max-age=60",
    "max-age=0",
    "s-maxage=60",
    "no-store",
    "no-cache",
    "no-cache=\"x-a\"",
    "private",
    "public",
    "must-revalidate",
    "must-understand",
    "immutable",
    "max-stale",
    "min-fresh=5",
    "only-if-cached",
    "stale-if-error=60",
    "stale-while-revalidate=60",
    "bytes=0-4",
    "bytes=-3",
    "bytes=9-",
    "\"a\"",
    "W/\"a\"",
    "\"b\"",
    "*",
    "x-a",
    "accept, x-b",
    "x-secret",
    ", ",
    ";",
    "=",
    "\"",
    "/b",
    "99999999999999999999",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun Nov  6 08:49:38 1994",
];

const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::OPTIONS,
];

fn check(data: &[u8]) -> Result<()> {
    let mut input = Input::new(data);
    let bits = input.byte();
    let options = Options {
        shared: bits & 1 != 0,
        http: bits & 2 != 0,
        background: bits & 4 != 0,
        force: bits & 8 != 0,
        share: bits & 16 != 0,
    };
    let targets: &[HeaderName] = if bits & 32 != 0 {
        &[HeaderName::from_static("cdn-cache-control")]
    } else {
        &[]
    };
    let cache = Cache { options, targets };
    let status = StatusCode::from_u16(200 + u16::from(input.byte()) * 2).unwrap_or_default();
    let mut head = || take_of(&mut input, &NAMES);
    let (request, answer, later, fresh) = (head(), head(), head(), head());
    let (came, now, then) = (input.number(), input.number(), input.number());

    let entry = cache.keep(&request, status, storable(&answer), &answer, came);
    kept(&cache, &entry, &answer)?;
    cache.answer(&entry, &later, now)?;
    cache.cut(&entry, &later, now, &mut input)?;
    confirmed(&cache, &entry, &request, &fresh, now)?;
    let other = cache.keep(&later, StatusCode::OK, storable(&fresh), &fresh, then);
    cache.select(&[&entry, &other], &later, now)?;
    cache.select(&[&entry, &other], &request, then)?;
    past(&entry, &fresh, &mut input)
}

/// What decides beside the answers.
struct Cache<'a> {
    options: Options,
    targets: &'a [HeaderName],
}

/// A stored answer; `verdict` says whether it may be.
#[derive(Debug)]
struct Entry {
    status: StatusCode,
    headers: HeaderMap,
    facts: Facts,
    vary: String,
    variant: Option<u128>,
    came: i64,
    /// How long it is fresh from then.
    lived: i64,
    credential: bool,
    verdict: Result<(), Rule>,
}

impl Entry {
    fn stored(&self) -> Stored<'_> {
        let field = |name| self.headers.get(name).map(HeaderValue::as_bytes);
        Stored {
            status: self.status,
            facts: &self.facts,
            vary: &self.vary,
            variant: self.variant.unwrap_or(0),
            etag: field("etag"),
            last_modified: field("last-modified"),
            expires_at: Some(self.came.saturating_add(self.lived)),
            stored_at: self.came,
            keep_until: None,
        }
    }

    fn says(&self, flags: Flags) -> bool {
        self.facts.flags.intersects(flags)
    }
}

fn shows_credential(headers: &HeaderMap) -> bool {
    headers.contains_key("authorization")
}

/// Where users share the entries, their credentials select.
fn selected(vary: &str, request: &HeaderMap, shared: bool) -> Option<u128> {
    let role = |name: &str| match name {
        "authorization" if shared => Role::Selects,
        "authorization" => Role::Credential,
        "x-secret" => Role::Secret,
        _ => Role::Selects,
    };
    variant(vary, request, &role, &[7; 32])
}

impl Cache<'_> {
    /// Makes the entry of an answer that came with the head `said`, of which `headers` are kept.
    fn keep(
        &self,
        request: &HeaderMap,
        status: StatusCode,
        mut headers: HeaderMap,
        said: &HeaderMap,
        came: i64,
    ) -> Entry {
        if self.options.shared {
            drop_cookies(&mut headers);
        }
        let facts = Facts::parse_targeted(status, said, came, came, self.targets);
        let vary = vary_names(said);
        let asked = StoreRequest {
            method: &Method::GET,
            headers: request,
            credential: shows_credential(request),
        };
        let lived = match lifetime(status, &facts, &self.options) {
            Lifetime::Explicit(ms) | Lifetime::Heuristic(ms) => ms,
            Lifetime::Unknown => 0,
        };
        Entry {
            status,
            headers,
            facts,
            vary: vary.as_str().to_owned(),
            variant: selected(vary.as_str(), request, self.options.shared),
            came,
            lived,
            credential: asked.credential,
            verdict: may_store(&asked, status, &facts, &self.options),
        }
    }

    /// Asks for one entry: it is given only as what was said allows.
    fn answer(&self, entry: &Entry, later: &HeaderMap, now: i64) -> Result<()> {
        let decision = self.select(&[entry], later, now)?;
        let gives = matches!(
            decision,
            OnRequest::Serve(..) | OnRequest::ServeStaleAndRefresh(..)
        );
        let stale = gives && !entry.stored().is_fresh(now);
        let forbids = entry.says(Flags::MUST_REVALIDATE | Flags::NO_CACHE)
            || self.options.shared
                && (entry.says(Flags::PROXY_REVALIDATE) || entry.facts.s_maxage.is_some());
        ensure!(
            !stale || !forbids,
            "{entry:?} is given stale at {now}: {decision:?}"
        );
        for error in [ErrorKind::Unreachable, ErrorKind::Status(503)] {
            let stands_in = on_error(
                &entry.stored(),
                now,
                &Limits::default(),
                &self.options,
                error,
            );
            ensure!(
                stands_in.is_none() || entry.stored().is_fresh(now) || !forbids,
                "{entry:?} stands in at {now}"
            );
        }
        Ok(())
    }

    /// Asks for one of several entries: only one that the request selects, and that it may have, is taken.
    fn select(&self, entries: &[&Entry], later: &HeaderMap, now: i64) -> Result<OnRequest> {
        let request = Request {
            method: &Method::GET,
            headers: later,
            credential: shows_credential(later),
        };
        // An answer that no request selects is in no store.
        let stored: Vec<&&Entry> = entries.iter().filter(|e| e.variant.is_some()).collect();
        let decision = on_request(
            &request,
            stored.iter().map(|entry| entry.stored()),
            now,
            &Limits::default(),
            &self.options,
            &mut |vary| selected(vary, later, self.options.shared),
        );
        let (OnRequest::Serve(nth, why)
        | OnRequest::ServeStaleAndRefresh(nth, why)
        | OnRequest::Revalidate(nth, why)) = decision
        else {
            return Ok(decision);
        };
        let entry = stored.get(nth).context("an entry that is not there")?;
        ensure!(
            selected(&entry.vary, later, self.options.shared) == entry.variant,
            "{later:?} selects {entry:?}"
        );
        if self.options.shared && request.credential && !self.options.share {
            ensure!(
                may_share(&entry.facts).is_ok(),
                "{later:?} is given what not everyone may have: {entry:?}"
            );
        }
        if why == rule::FRESH {
            let resident = now.saturating_sub(entry.came);
            ensure!(
                resident < entry.lived && resident >= -CLOCK_SKEW_MS,
                "{entry:?} is fresh after {resident} ms"
            );
        }
        Ok(decision)
    }

    /// A part of it, or the word that the client has it.
    fn cut(&self, entry: &Entry, later: &HeaderMap, now: i64, input: &mut Input<'_>) -> Result<()> {
        let len = input.number().unsigned_abs();
        let part = range(later, &entry.stored(), len);
        if let RangeAnswer::Part { first, last } = part {
            ensure!(
                first <= last && last < len,
                "{first} to {last} of {len} bytes"
            );
        }
        let asked = later.contains_key("range") && entry.status == StatusCode::OK;
        ensure!(
            asked || part == RangeAnswer::Whole,
            "nobody asked for {part:?}"
        );
        let mut without = later.clone();
        drop_own_conditions(&mut without);
        ensure!(
            !own_conditions_present(&without) && !not_modified(&without, &entry.stored()),
            "{without:?} has conditions"
        );
        ensure!(
            !not_modified(later, &entry.stored()) || entry.status.is_success(),
            "{} is not modified",
            entry.status
        );
        // Without its conditions the same entry is chosen, or one that they kept away.
        let with = self.select(&[entry], later, now)?;
        if matches!(with, OnRequest::Serve(_, rule::FRESH)) {
            ensure!(
                self.select(&[entry], &without, now)? == with,
                "conditions decide whether {entry:?} is fresh"
            );
        }
        Ok(())
    }
}

/// What is kept of an answer forbids nothing less than the answer did.
fn kept(cache: &Cache<'_>, entry: &Entry, answer: &HeaderMap) -> Result<()> {
    let Cache { options, .. } = cache;
    ensure!(
        storable(&entry.headers) == entry.headers && !entry.headers.contains_key("connection"),
        "{:?} is not clean",
        entry.headers
    );
    ensure!(
        !options.shared || !entry.headers.contains_key("set-cookie"),
        "a cookie is kept for everyone"
    );
    let share = may_share(&entry.facts).is_ok();
    ensure!(
        entry.verdict.is_err()
            || !options.shared
            || !entry.says(Flags::PRIVATE | Flags::CACHE_CONTROL_INVALID)
                && (!entry.credential || options.share || share),
        "{answer:?} is kept for everyone"
    );
    ensure!(
        entry.verdict.is_err() || entry.variant.is_some() || entry.vary.contains("x-secret"),
        "{answer:?} is kept, and nothing selects it"
    );
    let shared = entry.facts.s_maxage.filter(|_| options.shared);
    if let Some(seconds) = shared.or(entry.facts.max_age) {
        let left = i64::from(seconds)
            .saturating_mul(1_000)
            .saturating_sub(entry.facts.age_ms(entry.came));
        ensure!(
            entry.lived <= left.max(0),
            "{entry:?} is fresh for longer than it says"
        );
    }
    let of = |groups: Vec<String>| groups.len() <= 32 && groups.iter().all(|g| g.len() <= 256);
    ensure!(
        of(groups(answer)) && of(invalidated_groups(answer)),
        "too many groups"
    );
    let mut on = answer.clone();
    drop_hop_by_hop(&mut on);
    let named = answer.get_all("connection").iter();
    for name in named.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')) {
        let stays = HeaderName::from_bytes(name.trim_ascii()).is_ok_and(|n| on.contains_key(n));
        ensure!(!stays, "Connection names what goes on: {answer:?}");
    }
    let mut again = on.clone();
    drop_hop_by_hop(&mut again);
    ensure!(on == again, "{again:?} was not clean");
    Ok(())
}

/// A 304: what it says goes before what was said.
fn confirmed(
    cache: &Cache<'_>,
    entry: &Entry,
    request: &HeaderMap,
    fresh: &HeaderMap,
    now: i64,
) -> Result<()> {
    for (name, value) in conditions(&entry.stored()) {
        let from = if name == "if-none-match" {
            "etag"
        } else {
            "last-modified"
        };
        ensure!(
            entry.headers.get(from) == Some(&value),
            "{name}: {value:?} is not what is stored"
        );
    }
    if !freshens(&entry.headers, fresh) {
        return Ok(());
    }
    let merged = merge_304(&entry.headers, fresh);
    for name in ["content-length", "etag"] {
        let was = entry
            .headers
            .get(name)
            .filter(|_| merged.contains_key(name));
        ensure!(
            was.is_none_or(|was| merged.get(name) == Some(was)),
            "a 304 changes {name}"
        );
    }
    let renewed = cache.keep(request, entry.status, merged.clone(), &merged, now);
    ensure!(
        renewed.headers == storable(&renewed.headers),
        "{merged:?} is not clean"
    );
    // What the 304 itself says in full is what holds now.
    if fresh.contains_key("cache-control")
        && !fresh.contains_key("connection")
        && cache.targets.is_empty()
    {
        let alone = Facts::parse(entry.status, fresh, now, now).flags;
        let restricts = Flags::NO_STORE | Flags::PRIVATE | Flags::NO_CACHE | Flags::MUST_REVALIDATE;
        ensure!(
            renewed.facts.flags & restricts == alone & restricts,
            "{fresh:?} is not heeded"
        );
    }
    cache.answer(&renewed, request, now)?;
    let update = head_update(&entry.headers, StatusCode::OK, fresh);
    ensure!(update != HeadUpdate::Nothing, "a HEAD says nothing");
    let update = head_update(&entry.headers, StatusCode::NOT_FOUND, fresh);
    ensure!(update == HeadUpdate::Nothing, "a 404 says {update:?}");
    Ok(())
}

/// A request that goes past the cache.
fn past(entry: &Entry, answer: &HeaderMap, input: &mut Input<'_>) -> Result<()> {
    let method = input.choose(&[0, 1, 2, 3, 4, 5], 0);
    let method = METHODS.get(method).context("there are methods")?;
    let invalid = invalidates(method, entry.status);
    ensure!(
        !invalid || !method.is_safe() && entry.status.as_u16() < 400,
        "{method} with {} invalidates",
        entry.status
    );
    for url in also_invalidated(answer) {
        ensure!(
            answer.values().any(|value| value == url),
            "{url} is nowhere in {answer:?}"
        );
    }
    Ok(())
}
