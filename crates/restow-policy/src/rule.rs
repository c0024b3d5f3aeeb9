//! The named reasons of every decision: stable strings for outcomes, logs and `Cache-Status`.

use std::fmt;

/// Why a decision was made: a stable name, and the section of the RFC that says so.
///
/// `rfc` is empty where the reason is restow's own and no RFC speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// A stable name in kebab case.
    pub name: &'static str,
    /// The number and section of the RFC, such as `9111 4.2.4`, or nothing.
    pub rfc: &'static str,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rfc {
            "" => f.write_str(self.name),
            rfc => write!(f, "{} (RFC {rfc})", self.name),
        }
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $id:ident = $name:literal, $rfc:literal;)*) => {
        $($(#[$doc])* pub const $id: Rule = Rule { name: $name, rfc: $rfc };)*
        /// Every rule, for documentation and for tests that names stay unique.
        pub const ALL: &[Rule] = &[$($id),*];
    };
}

rules! {
    // Served.
    /// The entry is within its lifetime.
    FRESH = "fresh", "9111 4.2";
    /// The entry has expired and is within the window in which it is served while it is refreshed.
    STALE_WHILE_REVALIDATE = "stale-while-revalidate", "5861 3";
    /// The entry has expired and the request accepts that much staleness.
    MAX_STALE = "max-stale", "9111 5.2.1.2";
    /// The entry has expired and nothing newer may be asked for.
    OFFLINE = "offline", "";
    /// The origin answered with an error and the entry is within its `stale_if_error` window.
    STALE_IF_ERROR = "stale-if-error", "5861 4";
    /// The origin cannot be reached and the entry is within its `stale_if_error` window.
    STALE_IF_UNREACHABLE = "stale-if-unreachable", "9111 4.2.4";

    // Validated or fetched.
    /// Nothing is stored under this address.
    ABSENT = "absent", "9111 4";
    /// The entry that the request selects has expired.
    EXPIRED = "expired", "9111 4.2";
    /// Entries are stored, but `Vary` selects none of them for this request.
    OTHER_VARIANT = "other-variant", "9111 4.1";
    /// The entry seems to have been stored in the future, so its age is unknown.
    CLOCK_WENT_BACK = "clock-went-back", "9111 4.2.3";
    /// The request says `no-cache`.
    REQUEST_NO_CACHE = "request-no-cache", "9111 5.2.1.4";
    /// The request says `no-store`.
    REQUEST_NO_STORE = "request-no-store", "9111 5.2.1.5";
    /// The entry is older than the request accepts.
    REQUEST_MAX_AGE = "request-max-age", "9111 5.2.1.1";
    /// The entry is not fresh for as long as the request demands.
    REQUEST_MIN_FRESH = "request-min-fresh", "9111 5.2.1.3";
    /// The request carries a precondition that only the origin can judge.
    PRECONDITION = "precondition", "9110 13.1";
    /// The mode asks the origin every time, with a condition.
    MODE_REVALIDATE = "mode-revalidate", "";
    /// The mode asks the origin every time, without a condition.
    MODE_REFRESH = "mode-refresh", "";
    /// The cache does not understand this method.
    METHOD = "method", "9111 3";

    // Refused.
    /// The request accepts only a stored answer, and there is no usable one.
    ONLY_IF_CACHED = "only-if-cached", "9111 5.2.1.7";
    /// The network may not be asked, and nothing is stored.
    OFFLINE_MISS = "offline-miss", "";

    // Not stored.
    /// An answer to `HEAD` has no body to store.
    HEAD_HAS_NO_BODY = "head-has-no-body", "9110 9.3.2";
    /// An interim answer is not a final one.
    INTERIM_STATUS = "interim-status", "9111 3";
    /// A partial answer is not a whole one.
    PARTIAL = "partial", "9111 3.3";
    /// A 304 renews an entry and is never one itself.
    NOT_MODIFIED = "not-modified", "9111 4.3.3";
    /// The answer says `no-store`.
    NO_STORE = "no-store", "9111 5.2.2.5";
    /// The answer says `must-understand`, and its status is not understood.
    MUST_UNDERSTAND = "must-understand", "9111 5.2.2.3";
    /// The answer says `Vary: *`, or its `Vary` cannot be read, or it varies on a secret header.
    VARY_STAR = "vary-star", "9111 4.1";
    /// The answer says `private` and the entry would be shared.
    PRIVATE_IN_SHARED = "private-in-shared", "9111 5.2.2.7";
    /// The answer says `private`, the request showed no credential, and no principal is named.
    PRIVATE_WITHOUT_PRINCIPAL = "private-without-principal", "9111 5.2.2.7";
    /// The answer's `Cache-Control` cannot be read, and the entry would be shared.
    INVALID_CACHE_CONTROL = "invalid-cache-control", "9111 4.2.1";
    /// The answer says nothing that allows it to be stored: no lifetime, no validator, or a status that allows neither.
    NOT_CACHEABLE = "not-cacheable", "9111 3";
    /// The answer has to be validated each time, and has nothing to be validated by.
    STALE_AT_ONCE = "stale-at-once", "9111 4.2";
    /// The request was authorized, and the answer does not say that everyone may have it.
    AUTHORIZED = "authorized", "9111 3.5";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_in_kebab_case() {
        let names: HashSet<_> = ALL.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), ALL.len());
        for rule in ALL {
            assert!(
                rule.name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{rule}"
            );
            assert!(
                rule.rfc.is_empty() || rule.rfc.split_once(' ').is_some(),
                "{rule}"
            );
        }
    }
}
