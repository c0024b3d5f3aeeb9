//! What may be stored (RFC 9111 3), and what may be shared (3.5).

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, Method, StatusCode};

use crate::control::RequestControl;
use crate::decide::may_be_stale;
use crate::facts::{Facts, Flags};
use crate::lifetime::{Lifetime, lifetime};
use crate::rule::{self, Rule};

/// The request whose answer is to be stored.
#[derive(Clone, Copy, Debug)]
pub struct StoreRequest<'a> {
    /// The method of the request.
    pub method: &'a Method,
    /// The fields of the request.
    pub headers: &'a HeaderMap,
    /// Whether the entry belongs to someone: the request showed a credential, or the caller names a principal.
    pub credential: bool,
}

/// What the endpoint and the place of the cache allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether the cache stands between several users and origins, as a proxy does: the rules for shared caches apply.
    pub shared: bool,
    /// Whether the answers say themselves how long they are fresh (RFC 9111); otherwise the program decides.
    pub http: bool,
    /// Whether a refresh can outlive the request that started it.
    pub background: bool,
    /// Whether the endpoint stores what says `no-store` too.
    pub force: bool,
    /// Whether the endpoint gives every answer to everyone, whoever asked for it.
    pub share: bool,
}

/// Says whether an answer may be stored (RFC 9111 3), or which rule forbids it.
///
/// `force` lifts `no-store` and `must-understand`, and nothing else: what is partial, private to nobody known, or can never be
/// selected again stays out.
///
/// # Errors
/// The rule that forbids it.
pub fn may_store(
    request: &StoreRequest<'_>,
    status: StatusCode,
    facts: &Facts,
    options: &Options,
) -> Result<(), Rule> {
    if !understood(request.method) {
        return Err(rule::METHOD);
    }
    if request.method == Method::HEAD {
        return Err(rule::HEAD_HAS_NO_BODY);
    }
    match status {
        StatusCode::PARTIAL_CONTENT => return Err(rule::PARTIAL),
        StatusCode::NOT_MODIFIED => return Err(rule::NOT_MODIFIED),
        _ if status.is_informational() => return Err(rule::INTERIM_STATUS),
        _ => {}
    }
    let says = |flag| facts.flags.contains(flag);
    if says(Flags::VARY_STAR) {
        return Err(rule::VARY_STAR);
    }
    if !options.force {
        if RequestControl::parse(request.headers).no_store {
            return Err(rule::REQUEST_NO_STORE);
        }
        if says(Flags::MUST_UNDERSTAND) {
            // It replaces `no-store` for those who understand the status (RFC 9111 5.2.2.3).
            if !says(Flags::STATUS_UNDERSTOOD) {
                return Err(rule::MUST_UNDERSTAND);
            }
        } else if says(Flags::NO_STORE) {
            return Err(rule::NO_STORE);
        }
    }
    if options.shared {
        if says(Flags::CACHE_CONTROL_INVALID) {
            return Err(rule::INVALID_CACHE_CONTROL);
        }
        if says(Flags::PRIVATE) {
            return Err(rule::PRIVATE_IN_SHARED);
        }
        if request.credential && !options.share {
            may_share(facts)?;
        }
    } else if says(Flags::PRIVATE) && !request.credential && !options.share {
        return Err(rule::PRIVATE_WITHOUT_PRINCIPAL);
    }
    if options.http {
        of_use(request.method, status, facts, options)?;
    }
    Ok(())
}

/// Says whether an answer that decides for itself is one that RFC 9111 3 allows to be stored, and of any use in a store.
fn of_use(
    method: &Method,
    status: StatusCode,
    facts: &Facts,
    options: &Options,
) -> Result<(), Rule> {
    let validator = facts.flags.contains(Flags::ETAG) || facts.last_modified.is_some();
    match lifetime(status, facts, options) {
        // It can neither be validated, nor stand in where the origin fails (RFC 9111 4.2.4).
        Lifetime::Explicit(..1) | Lifetime::Heuristic(..1)
            if !validator && !may_be_stale(facts, options) =>
        {
            Err(rule::STALE_AT_ONCE)
        }
        // The answer to a POST has to name its lifetime: nothing is guessed of it (RFC 9110 9.3.3).
        Lifetime::Heuristic(_) | Lifetime::Unknown if method == Method::POST => {
            Err(rule::NOT_CACHEABLE)
        }
        Lifetime::Unknown if !validator => Err(rule::NOT_CACHEABLE),
        _ if is_cacheable(facts, options) => Ok(()),
        _ => Err(rule::NOT_CACHEABLE),
    }
}

/// Whether the status, or something in the answer, is on the list of what allows an answer to be stored (the end of RFC 9111 3).
///
/// `no-cache` is not on it: it only says that what is stored otherwise has to be validated. A lifetime that is used up or cannot be
/// read is still one, but a `Cache-Control` that cannot be read whole restricts alone.
fn is_cacheable(facts: &Facts, options: &Options) -> bool {
    let says = |flag| facts.flags.contains(flag);
    let by_control = says(Flags::PUBLIC)
        || says(Flags::PRIVATE) && !options.shared
        || facts.max_age.is_some()
        || facts.s_maxage.is_some() && options.shared;
    says(Flags::STATUS_HEURISTIC)
        || facts.expires.is_some()
        || says(Flags::EXPIRES_INVALID)
        || by_control && !says(Flags::CACHE_CONTROL_INVALID)
}

/// Says whether an answer to a request that showed a credential may be given to everyone (RFC 9111 3.5), or which rule forbids it.
///
/// # Errors
/// The rule that forbids it. A `Cache-Control` that cannot be read whole allows nothing.
pub fn may_share(facts: &Facts) -> Result<(), Rule> {
    let says = |flag| facts.flags.contains(flag);
    if says(Flags::CACHE_CONTROL_INVALID) {
        return Err(rule::INVALID_CACHE_CONTROL);
    }
    if says(Flags::PRIVATE) {
        return Err(rule::PRIVATE_IN_SHARED);
    }
    let s_maxage = facts.s_maxage.is_some() && !says(Flags::S_MAXAGE_INVALID);
    if says(Flags::PUBLIC) || says(Flags::MUST_REVALIDATE) || s_maxage {
        Ok(())
    } else {
        Err(rule::AUTHORIZED)
    }
}

/// Says whether a successful answer to this method invalidates what is stored for its target (RFC 9111 4.4).
///
/// A method that is not known to be safe counts as unsafe.
pub fn is_unsafe(method: &Method) -> bool {
    !method.is_safe()
}

/// Says whether an answer with this status to this method invalidates what is stored for its target (RFC 9111 4.4): a success or a
/// redirect of an unsafe method.
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    is_unsafe(method) && (status.is_success() || status.is_redirection())
}

/// The other URLs that such an answer invalidates, as it names them: relative to the target, and only those of its origin (RFC 9111 4.4).
pub fn also_invalidated(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    [LOCATION, CONTENT_LOCATION]
        .into_iter()
        .filter_map(|name| headers.get(name)?.to_str().ok())
}

/// Says whether the cache understands this method (RFC 9111 3): `GET`, `HEAD`, and `POST` for endpoints that ask by `POST`.
pub fn understood(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::POST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    type Lines<'a> = &'a [(&'static str, &'a str)];

    fn map(lines: Lines<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    struct Case {
        method: Method,
        request: &'static str,
        status: u16,
        answer: Lines<'static>,
        credential: bool,
        options: Options,
        expected: Result<(), Rule>,
    }

    fn case(expected: Result<(), Rule>) -> Case {
        Case {
            method: Method::GET,
            request: "",
            status: 200,
            answer: &[],
            credential: false,
            options: Options::default(),
            expected,
        }
    }

    #[test]
    fn an_answer_is_stored_unless_a_rule_forbids_it() {
        let force = Options {
            force: true,
            ..Options::default()
        };
        let share = Options {
            share: true,
            ..Options::default()
        };
        let shared = Options {
            shared: true,
            ..Options::default()
        };
        let private: Lines<'static> = &[("cache-control", "PRIVATE")];
        let no_store: Lines<'static> = &[("cache-control", "max-age=60, No-Store")];
        let understand: Lines<'static> = &[("cache-control", "must-understand, no-store")];
        let broken: Lines<'static> = &[("cache-control", "max-age=60;")];
        let cases = [
            case(Ok(())),
            Case {
                method: Method::POST,
                ..case(Ok(()))
            },
            Case {
                status: 404,
                ..case(Ok(()))
            },
            Case {
                method: Method::HEAD,
                ..case(Err(rule::HEAD_HAS_NO_BODY))
            },
            Case {
                method: Method::PUT,
                ..case(Err(rule::METHOD))
            },
            Case {
                status: 103,
                ..case(Err(rule::INTERIM_STATUS))
            },
            Case {
                status: 206,
                options: force,
                ..case(Err(rule::PARTIAL))
            },
            Case {
                status: 304,
                options: force,
                ..case(Err(rule::NOT_MODIFIED))
            },
            Case {
                answer: &[("vary", "accept, *")],
                options: force,
                ..case(Err(rule::VARY_STAR))
            },
            Case {
                answer: no_store,
                ..case(Err(rule::NO_STORE))
            },
            Case {
                answer: no_store,
                options: force,
                ..case(Ok(()))
            },
            Case {
                request: "no-store",
                ..case(Err(rule::REQUEST_NO_STORE))
            },
            Case {
                request: "no-store",
                options: force,
                ..case(Ok(()))
            },
            Case {
                answer: understand,
                ..case(Ok(()))
            },
            Case {
                answer: understand,
                status: 599,
                ..case(Err(rule::MUST_UNDERSTAND))
            },
            Case {
                answer: private,
                ..case(Err(rule::PRIVATE_WITHOUT_PRINCIPAL))
            },
            Case {
                answer: private,
                options: force,
                ..case(Err(rule::PRIVATE_WITHOUT_PRINCIPAL))
            },
            Case {
                answer: private,
                credential: true,
                ..case(Ok(()))
            },
            Case {
                answer: private,
                options: share,
                ..case(Ok(()))
            },
            Case {
                answer: private,
                options: shared,
                credential: true,
                ..case(Err(rule::PRIVATE_IN_SHARED))
            },
            Case {
                answer: &[("cache-control", "private=\"a\"")],
                options: shared,
                ..case(Ok(()))
            },
            Case {
                answer: broken,
                options: shared,
                ..case(Err(rule::INVALID_CACHE_CONTROL))
            },
            Case {
                answer: broken,
                ..case(Ok(()))
            },
        ];
        for (nth, case) in cases.iter().enumerate() {
            let mut headers = HeaderMap::new();
            if !case.request.is_empty() {
                headers.insert("cache-control", HeaderValue::from_static(case.request));
            }
            let status = StatusCode::from_u16(case.status).unwrap();
            let facts = Facts::parse(status, &map(case.answer), 0, 0);
            let request = StoreRequest {
                method: &case.method,
                headers: &headers,
                credential: case.credential,
            };
            assert_eq!(
                may_store(&request, status, &facts, &case.options),
                case.expected,
                "case {nth}: {:?}",
                case.answer
            );
        }
    }

    /// RFC 9110 9.3.3: an answer to a POST is kept for what it says of its lifetime, never by a guess.
    #[test]
    fn the_lifetime_of_an_answer_to_a_post_is_not_guessed() {
        let options = Options {
            http: true,
            ..Options::default()
        };
        const CHANGED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        const TAG: (&str, &str) = ("etag", "\"a\"");
        let rows: &[(Lines<'_>, bool)] = &[
            (&[CHANGED], false),
            (&[TAG], false),
            (&[("cache-control", "public"), CHANGED], false),
            (&[("cache-control", "max-age=60")], true),
            (&[("expires", "Sun, 06 Nov 2094 08:49:37 GMT")], true),
            (&[("cache-control", "no-cache, max-age=60"), TAG], true),
        ];
        for (answer, post_may) in rows {
            let facts = Facts::parse(StatusCode::OK, &map(answer), 0, 0);
            for (method, may) in [(Method::POST, *post_may), (Method::GET, true)] {
                let request = StoreRequest {
                    method: &method,
                    headers: &HeaderMap::new(),
                    credential: false,
                };
                let stored = may_store(&request, StatusCode::OK, &facts, &options);
                assert_eq!(stored.is_ok(), may, "{method} {answer:?}: {stored:?}");
            }
        }
    }

    /// RFC 9111 3: the status is heuristically cacheable, or the answer names a lifetime, `public` or, for one user, `private`.
    #[test]
    fn an_answer_that_decides_for_itself_needs_a_status_or_a_word_that_allows_it() {
        const TAG: (&str, &str) = ("etag", "\"a\"");
        const CHANGED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        const NO: Result<(), Rule> = Err(rule::NOT_CACHEABLE);
        const YES: Result<(), Rule> = Ok(());
        let control = |value| ("cache-control", value);
        // What it says, and whether it may be stored with a status that allows nothing: for one user, for several.
        type Row = (&'static str, [Result<(), Rule>; 2]);
        let rows: &[Row] = &[
            ("no-cache", [NO, NO]),
            ("no-cache, must-revalidate", [NO, NO]),
            ("no-cache=\"x-a\"", [NO, NO]),
            ("must-revalidate", [NO, NO]),
            ("immutable", [NO, NO]),
            ("stale-if-error=60", [NO, NO]),
            ("no-cache;", [NO, Err(rule::INVALID_CACHE_CONTROL)]),
            ("max-age=60;", [NO, Err(rule::INVALID_CACHE_CONTROL)]),
            ("public;", [NO, Err(rule::INVALID_CACHE_CONTROL)]),
            ("no-cache, public", [YES, YES]),
            ("no-cache, private", [YES, Err(rule::PRIVATE_IN_SHARED)]),
            ("no-cache, max-age=60", [YES, YES]),
            ("no-cache, max-age=x", [YES, YES]),
            ("no-cache, s-maxage=60", [NO, YES]),
            ("max-age=0", [YES, YES]),
        ];
        for &(says, expected) in rows {
            for (shared, expected) in [false, true].into_iter().zip(expected) {
                let options = Options {
                    shared,
                    http: true,
                    ..Options::default()
                };
                let verdict = |status: u16, lines: Lines<'_>| {
                    let status = StatusCode::from_u16(status).unwrap();
                    let facts = Facts::parse(status, &map(lines), 0, 0);
                    let request = StoreRequest {
                        method: &Method::GET,
                        headers: &HeaderMap::new(),
                        credential: !shared,
                    };
                    may_store(&request, status, &facts, &options)
                };
                if says == "no-cache" {
                    let alone = verdict(403, &[control(says)]);
                    assert_eq!(alone, Err(rule::STALE_AT_ONCE), "{shared}");
                }
                for validator in [TAG, CHANGED] {
                    for status in [201, 302, 307, 400, 403, 429, 500, 503, 599] {
                        let end = verdict(status, &[control(says), validator]);
                        assert_eq!(end, expected, "{status}: {says}, {validator:?}, {shared}");
                    }
                }
                for status in [200, 204, 301, 404, 410, 501] {
                    let expected = match expected {
                        Err(rule) if rule != rule::NOT_CACHEABLE => Err(rule),
                        _ => YES,
                    };
                    let end = verdict(status, &[control(says), TAG]);
                    assert_eq!(end, expected, "{status}: {says}, {shared}");
                }
                for expires in ["Sun, 06 Nov 1994 08:49:37 GMT", "0"] {
                    let expected = match expected {
                        Err(rule) if rule != rule::NOT_CACHEABLE => Err(rule),
                        _ => YES,
                    };
                    let end = verdict(403, &[control(says), TAG, ("expires", expires)]);
                    assert_eq!(end, expected, "expires {expires}: {says}, {shared}");
                }
            }
        }
    }

    #[test]
    fn an_authorized_answer_is_shared_only_where_it_says_so() {
        let cases = [
            ("max-age=60", Err(rule::AUTHORIZED)),
            ("public", Ok(())),
            ("s-maxage=5", Ok(())),
            ("must-revalidate", Ok(())),
            ("s-maxage=5, s-maxage=6", Err(rule::AUTHORIZED)),
            ("s-maxage=x", Err(rule::AUTHORIZED)),
            ("public, private", Err(rule::PRIVATE_IN_SHARED)),
            ("public;", Err(rule::INVALID_CACHE_CONTROL)),
            ("ext=\"a, public\"", Err(rule::AUTHORIZED)),
        ];
        for (value, expected) in cases {
            let facts = Facts::parse(StatusCode::OK, &map(&[("cache-control", value)]), 0, 0);
            assert_eq!(may_share(&facts), expected, "{value}");
        }
    }

    #[test]
    fn only_methods_known_to_be_safe_are_safe() {
        let unsafe_of = |name: &str| is_unsafe(&Method::from_bytes(name.as_bytes()).unwrap());
        assert!(
            ["POST", "PUT", "DELETE", "PATCH", "PURGE", "get"]
                .into_iter()
                .all(unsafe_of)
        );
        assert!(
            !["GET", "HEAD", "OPTIONS", "TRACE"]
                .into_iter()
                .any(unsafe_of)
        );
    }
}
