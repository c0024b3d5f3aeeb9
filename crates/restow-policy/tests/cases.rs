//! The table of HTTP cases, through the decisions alone: a cache that keeps answers in a list and asks the policy for everything else.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a case that cannot be played has to fail"
)]

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use restow_policy::*;
use restow_testkit::cases::{Answer, Case, Player, START, Seen, Step, check, lines, play_all};

#[tokio::test]
async fn every_case_holds_for_a_cache_of_one_user() {
    let left_out = play_all(Player::Policy, false, async |case| play(case, false));
    assert_eq!(left_out.await, 0);
}

#[tokio::test]
async fn every_case_holds_for_a_cache_that_users_share() {
    let left_out = play_all(Player::Policy, true, async |case| play(case, true));
    assert_eq!(left_out.await, 27, "those of Cache-Status");
}

fn play(case: &Case, shared: bool) -> Vec<(usize, String)> {
    let mut cache = Listed {
        options: Options {
            shared,
            http: true,
            background: true,
            ..Options::default()
        },
        targeted: case
            .targeted
            .iter()
            .copied()
            .map(HeaderName::from_static)
            .collect(),
        entries: Vec::new(),
    };
    let mut wrong = Vec::new();
    for (nth, step) in case.steps.iter().enumerate() {
        let mut origin = Origin {
            step,
            asked: Vec::new(),
        };
        let answer = cache.answer(step, &mut origin);
        let seen = Seen {
            status: answer.status.as_u16(),
            headers: answer.headers,
            body: answer.body,
            asked: origin.asked,
        };
        wrong.extend(check(step, &seen).into_iter().map(|what| (nth, what)));
    }
    wrong
}

/// What an origin would say in one step, and what it was asked.
struct Origin<'a> {
    step: &'a Step,
    asked: Vec<HeaderMap>,
}

impl Origin<'_> {
    /// The answer; nothing where the origin closes.
    fn ask(&mut self, headers: HeaderMap) -> Option<Head> {
        self.asked.push(headers);
        match &self.step.origin {
            Answer::Unreachable => None,
            Answer::Reply {
                status,
                lines: said,
                body,
            } => Some(Head {
                status: StatusCode::from_u16(*status).unwrap(),
                headers: lines(said, self.step.at),
                body: body.clone().into_bytes(),
            }),
        }
    }
}

#[derive(Clone)]
struct Head {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Head {
    fn own(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Vec::new(),
        }
    }
}

/// An answer in the list.
struct Entry {
    path: String,
    head: Head,
    facts: Facts,
    vary: String,
    variant: u128,
    expires_at: i64,
    stored_at: i64,
}

impl Entry {
    fn stored(&self) -> Stored<'_> {
        let field = |name| self.head.headers.get(name).map(HeaderValue::as_bytes);
        Stored {
            status: self.head.status,
            facts: &self.facts,
            vary: &self.vary,
            variant: self.variant,
            etag: field(header::ETAG),
            last_modified: field(header::LAST_MODIFIED),
            expires_at: Some(self.expires_at),
            stored_at: self.stored_at,
            keep_until: None,
        }
    }

    /// What a client is given of it.
    fn given(&self, method: &Method, request: &HeaderMap, now: i64) -> Head {
        let mut given = self.head.clone();
        let age = self.facts.age_seconds(now);
        given.headers.insert(header::AGE, age.into());
        if not_modified(request, &self.stored()) {
            given.status = StatusCode::NOT_MODIFIED;
            given.body.clear();
            return given;
        }
        let len = given.body.len();
        if *method == Method::HEAD {
            given.body.clear();
            return given;
        }
        let text = match range(request, &self.stored(), len as u64) {
            RangeAnswer::Whole => return given,
            RangeAnswer::Part { first, last } => {
                given.status = StatusCode::PARTIAL_CONTENT;
                let bytes = usize::try_from(first).unwrap()..=usize::try_from(last).unwrap();
                given.body = given.body[bytes].to_vec();
                format!("bytes {first}-{last}/{len}")
            }
            RangeAnswer::Unsatisfiable => {
                given.status = StatusCode::RANGE_NOT_SATISFIABLE;
                given.body.clear();
                format!("bytes */{len}")
            }
        };
        let text = HeaderValue::from_str(&text).unwrap();
        given.headers.insert(header::CONTENT_RANGE, text);
        given
    }
}

/// A cache that is nothing but a list and the policy.
struct Listed {
    options: Options,
    targeted: Vec<HeaderName>,
    entries: Vec<Entry>,
}

/// One request to it.
struct Asking<'a> {
    path: &'a str,
    method: Method,
    headers: HeaderMap,
    /// Whether it says whose it is. The one user of a private cache is known.
    credential: bool,
    now: i64,
}

/// Which statuses a stored answer may stand in for where it allows that.
const ERRORS: std::ops::RangeInclusive<u16> = 500..=504;
const LIMITS: Limits = Limits {
    stale_while_revalidate_ms: 0,
    stale_if_error_ms: 0,
    insist_if_error: false,
    insist_while_revalidate: false,
    mode: Mode::Live,
};

impl Listed {
    fn answer(&mut self, step: &Step, origin: &mut Origin<'_>) -> Head {
        let headers = lines(&step.request, step.at);
        let asking = Asking {
            path: &step.path,
            method: step.method.parse().unwrap(),
            credential: !self.options.shared || headers.contains_key(header::AUTHORIZATION),
            headers,
            now: START + step.at * 1_000,
        };
        // A key has a class of methods: what is stored here was asked for by GET.
        if !matches!(asking.method, Method::GET | Method::HEAD) {
            return self.past(&asking, origin);
        }
        match self.decide(&asking) {
            OnRequest::Serve(nth, _) => self.given(nth, &asking),
            OnRequest::ServeStaleAndRefresh(nth, _) => {
                let given = self.given(nth, &asking);
                let conditional = self.entries[nth].stored().has_validator();
                // It is made for the store: of the whole, whatever of it was asked for.
                let mut whole = Asking {
                    method: Method::GET,
                    ..asking
                };
                drop_own_conditions(&mut whole.headers);
                self.fetch(&whole, conditional.then_some(nth), origin);
                given
            }
            OnRequest::Revalidate(nth, _) => self.fetch(&asking, Some(nth), origin),
            OnRequest::Fetch(_) => self.fetch(&asking, None, origin),
            OnRequest::Refuse(_) => Head::own(StatusCode::GATEWAY_TIMEOUT),
            other => panic!("{other:?} is new"),
        }
    }

    fn decide(&self, asking: &Asking<'_>) -> OnRequest {
        let request = Request {
            method: &asking.method,
            headers: &asking.headers,
            credential: asking.credential,
        };
        let places: Vec<usize> = self.at(asking.path).collect();
        let stored = places.iter().map(|nth| self.entries[*nth].stored());
        let decision = on_request(
            &request,
            stored,
            asking.now,
            &LIMITS,
            &self.options,
            &mut |vary| select(vary, &asking.headers, self.options.shared),
        );
        // The decision counts the entries that it was shown.
        match decision {
            OnRequest::Serve(nth, rule) => OnRequest::Serve(places[nth], rule),
            OnRequest::ServeStaleAndRefresh(nth, rule) => {
                OnRequest::ServeStaleAndRefresh(places[nth], rule)
            }
            OnRequest::Revalidate(nth, rule) => OnRequest::Revalidate(places[nth], rule),
            other => other,
        }
    }

    fn at<'a>(&'a self, path: &'a str) -> impl Iterator<Item = usize> + 'a {
        let all = self.entries.iter().enumerate();
        all.filter(move |(_, entry)| entry.path == path)
            .map(|(nth, _)| nth)
    }

    /// Whether an entry is given to who asks.
    fn may_give(&self, nth: usize, asking: &Asking<'_>) -> bool {
        !(self.options.shared && asking.credential) || may_share(&self.entries[nth].facts).is_ok()
    }

    /// The entry of the request's variant, however old.
    fn held(&self, asking: &Asking<'_>) -> Option<usize> {
        let chosen = |nth: &usize| {
            let entry = &self.entries[*nth];
            select(&entry.vary, &asking.headers, self.options.shared) == Some(entry.variant)
        };
        self.at(asking.path)
            .filter(chosen)
            .max_by_key(|nth| self.entries[*nth].stored_at)
    }

    fn given(&self, nth: usize, asking: &Asking<'_>) -> Head {
        self.entries[nth].given(&asking.method, &asking.headers, asking.now)
    }

    /// Asks the origin, with a condition where an entry is to be confirmed, and does to the list what the answer means.
    fn fetch(
        &mut self,
        asking: &Asking<'_>,
        confirms: Option<usize>,
        origin: &mut Origin<'_>,
    ) -> Head {
        let has_precondition = [header::IF_MATCH, header::IF_UNMODIFIED_SINCE]
            .iter()
            .any(|name| asking.headers.contains_key(name));
        let whole = asking.method == Method::GET
            && !asking.headers.contains_key(header::RANGE)
            && !has_precondition;
        let mut sent = asking.headers.clone();
        if whole {
            drop_own_conditions(&mut sent);
            assert!(!own_conditions_present(&sent));
            if let Some(nth) = confirms {
                sent.extend(conditions(&self.entries[nth].stored()));
            }
        }
        let answer = origin.ask(sent);
        if has_precondition {
            // Its answer is for who asked alone, and nothing stands in for it.
            return answer.unwrap_or_else(|| Head::own(StatusCode::BAD_GATEWAY));
        }
        let Some(answer) = answer else {
            return self
                .stand_in(asking, ErrorKind::Unreachable)
                .unwrap_or_else(|| Head::own(StatusCode::BAD_GATEWAY));
        };
        for (status, said) in &origin.step.interim {
            let status = StatusCode::from_u16(*status).unwrap();
            let headers = lines(said, origin.step.at);
            let verdict = self.verdict(asking, status, &self.facts(status, &headers, asking.now));
            assert_eq!(verdict, Err(rule::INTERIM_STATUS));
        }
        let status = answer.status.as_u16();
        if ERRORS.contains(&status)
            && let Some(stale) = self.stand_in(asking, ErrorKind::Status(status))
        {
            return stale;
        }
        if asking.method == Method::HEAD {
            let facts = self.facts(answer.status, &answer.headers, asking.now);
            assert!(self.verdict(asking, answer.status, &facts).is_err());
            self.update_by_head(asking, &answer);
            return answer;
        }
        if answer.status == StatusCode::NOT_MODIFIED
            && whole
            && let Some(nth) = confirms
        {
            if !freshens(&self.entries[nth].head.headers, &answer.headers) {
                return self.fetch(asking, None, origin);
            }
            let (renewed, may_stay) = self.renewed(nth, asking, &answer.headers);
            self.entries[nth] = renewed;
            let mut given = self.given(nth, asking);
            if !given.headers.contains_key(header::SET_COOKIE) {
                // They were set for whoever asked.
                for cookie in answer.headers.get_all(header::SET_COOKIE) {
                    given.headers.append(header::SET_COOKIE, cookie.clone());
                }
            }
            if !may_stay {
                self.entries.remove(nth);
            }
            return given;
        }
        self.store(asking, &answer);
        answer
    }

    fn stand_in(&self, asking: &Asking<'_>, failed: ErrorKind) -> Option<Head> {
        let nth = self
            .held(asking)
            .filter(|nth| self.may_give(*nth, asking))?;
        let stored = self.entries[nth].stored();
        on_error(&stored, asking.now, &LIMITS, &self.options, failed)?;
        Some(self.given(nth, asking))
    }

    fn facts(&self, status: StatusCode, headers: &HeaderMap, now: i64) -> Facts {
        Facts::parse_targeted(status, headers, now, now, &self.targeted)
    }

    fn verdict(&self, asking: &Asking<'_>, status: StatusCode, facts: &Facts) -> Result<(), Rule> {
        let request = StoreRequest {
            method: &asking.method,
            headers: &asking.headers,
            credential: asking.credential,
        };
        may_store(&request, status, facts, &self.options)
    }

    fn expires_at(&self, status: StatusCode, facts: &Facts, now: i64) -> i64 {
        match lifetime(status, facts, &self.options) {
            Lifetime::Explicit(ms) | Lifetime::Heuristic(ms) => now + ms,
            Lifetime::Unknown => now,
        }
    }

    fn store(&mut self, asking: &Asking<'_>, answer: &Head) {
        let (status, now) = (answer.status, asking.now);
        // Not the policy's: an error that may be gone in a moment never takes the place of a good answer.
        let good = |nth: usize| self.entries[nth].head.status.is_success();
        if status.is_server_error() && self.held(asking).is_some_and(good) {
            return;
        }
        let facts = self.facts(status, &answer.headers, now);
        if self.verdict(asking, status, &facts).is_err() {
            return;
        }
        let vary = vary_names(&answer.headers);
        let shared = self.options.shared;
        let Some(variant) = select(vary.as_str(), &asking.headers, shared) else {
            return;
        };
        let mut headers = storable(&answer.headers);
        if self.options.shared {
            drop_cookies(&mut headers);
        }
        let same = |entry: &Entry| entry.path == asking.path && entry.variant == variant;
        self.entries.retain(|entry| !same(entry));
        self.entries.push(Entry {
            path: asking.path.to_owned(),
            head: Head {
                headers,
                ..answer.clone()
            },
            facts,
            vary: vary.as_str().to_owned(),
            variant,
            expires_at: self.expires_at(status, &facts, now),
            stored_at: now,
        });
    }

    /// The entry with the fields of a fresh head, and whether it may stay.
    fn renewed(&self, nth: usize, asking: &Asking<'_>, fresh: &HeaderMap) -> (Entry, bool) {
        let (entry, now) = (&self.entries[nth], asking.now);
        let status = entry.head.status;
        let mut headers = merge_304(&entry.head.headers, fresh);
        if self.options.shared {
            drop_cookies(&mut headers);
        }
        let facts = self.facts(status, &headers, now);
        let get = Asking {
            method: Method::GET,
            headers: asking.headers.clone(),
            ..*asking
        };
        let may_stay = self.verdict(&get, status, &facts).is_ok();
        let renewed = Entry {
            path: entry.path.clone(),
            facts,
            vary: vary_names(&headers).as_str().to_owned(),
            variant: entry.variant,
            expires_at: self.expires_at(status, &facts, now),
            stored_at: entry.stored_at.min(now),
            head: Head {
                headers,
                ..entry.head.clone()
            },
        };
        (renewed, may_stay)
    }

    fn update_by_head(&mut self, asking: &Asking<'_>, answer: &Head) {
        let Some(nth) = self.held(asking) else { return };
        // It says nothing of the entry for others.
        if RequestControl::parse(&asking.headers).no_store || !self.may_give(nth, asking) {
            return;
        }
        let stored = &self.entries[nth].head.headers;
        match head_update(stored, answer.status, &answer.headers) {
            HeadUpdate::Freshens => {
                let (renewed, may_stay) = self.renewed(nth, asking, &answer.headers);
                self.entries[nth] = renewed;
                if !may_stay {
                    self.entries.remove(nth);
                }
            }
            HeadUpdate::Invalidates => _ = self.entries.remove(nth),
            HeadUpdate::Nothing => {}
        }
    }

    /// Sends a request past the list, and removes what its answer makes invalid.
    fn past(&mut self, asking: &Asking<'_>, origin: &mut Origin<'_>) -> Head {
        assert!(!understood(&asking.method) || asking.method == Method::POST);
        if asking.method != Method::POST {
            assert_eq!(self.decide(asking), OnRequest::Fetch(rule::METHOD));
        }
        let Some(answer) = origin.ask(asking.headers.clone()) else {
            return Head::own(StatusCode::BAD_GATEWAY);
        };
        if invalidates(&asking.method, answer.status) {
            let base = "http://origin.example";
            let others = also_invalidated(&answer.headers);
            let mut gone: Vec<&str> = others
                .map(|url| url.strip_prefix(base).unwrap_or(url))
                .collect();
            gone.push(asking.path);
            let named = invalidated_groups(&answer.headers);
            self.entries.retain(|entry| {
                let groups = groups(&entry.head.headers);
                !gone.contains(&&*entry.path) && !groups.iter().any(|group| named.contains(group))
            });
        }
        answer
    }
}

/// The variant that a request selects. Where users share the entries, their credentials select.
fn select(vary: &str, request: &HeaderMap, shared: bool) -> Option<u128> {
    let role = |name: &str| match name {
        "authorization" | "cookie" if shared => Role::Selects,
        "authorization" | "cookie" => Role::Credential,
        _ => Role::Selects,
    };
    variant(vary, request, &role, &[7; 32])
}
