//! Cache-Control for one kind of cache (RFC 9213).

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use crate::control::MAX_SECONDS;
use crate::facts::{Facts, Flags};

/// What `Cache-Control` and `Expires` say, which a targeted field replaces as a whole (RFC 9213 2.2).
const REPLACED: Flags = Flags::NO_STORE
    .union(Flags::PRIVATE)
    .union(Flags::PRIVATE_FIELDS)
    .union(Flags::NO_CACHE)
    .union(Flags::NO_CACHE_FIELDS)
    .union(Flags::MUST_REVALIDATE)
    .union(Flags::PROXY_REVALIDATE)
    .union(Flags::PUBLIC)
    .union(Flags::MUST_UNDERSTAND)
    .union(Flags::IMMUTABLE)
    .union(Flags::NO_TRANSFORM)
    .union(Flags::CACHE_CONTROL_INVALID)
    .union(Flags::MAX_AGE_INVALID)
    .union(Flags::S_MAXAGE_INVALID)
    .union(Flags::EXPIRES_INVALID);

/// Lets the first of the fields `targets` that is there and valid take the place of `Cache-Control` and `Expires`.
///
/// A field that is empty, no dictionary of structured fields, or that has a lifetime which is no whole number of seconds, is ignored as a
/// whole.
pub(crate) fn apply(facts: &mut Facts, headers: &HeaderMap, targets: &[HeaderName]) {
    let replaced = targets.iter().find_map(|name| read(headers, name, *facts));
    if let Some(replaced) = replaced {
        *facts = replaced;
    }
}

fn read(headers: &HeaderMap, name: &HeaderName, facts: Facts) -> Option<Facts> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(|v| v.as_bytes()).collect();
    if lines.is_empty() {
        return None;
    }
    let dictionary: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
    if dictionary.is_empty() {
        return None;
    }
    let mut facts = Facts {
        flags: facts.flags - REPLACED,
        max_age: None,
        s_maxage: None,
        expires: None,
        stale_while_revalidate: None,
        stale_if_error: None,
        ..facts
    };
    for (key, member) in &dictionary {
        let value = match member {
            ListEntry::Item(item) => Some(&item.bare_item),
            ListEntry::InnerList(_) => None,
        };
        let flag = match key.as_str() {
            "no-store" => Flags::NO_STORE,
            // A list of fields restricts more where it is taken for the whole answer.
            "private" => Flags::PRIVATE,
            "no-cache" => Flags::NO_CACHE,
            "must-revalidate" => Flags::MUST_REVALIDATE,
            "proxy-revalidate" => Flags::PROXY_REVALIDATE,
            "public" => Flags::PUBLIC,
            "must-understand" => Flags::MUST_UNDERSTAND,
            "immutable" => Flags::IMMUTABLE,
            "no-transform" => Flags::NO_TRANSFORM,
            "max-age" => {
                facts.max_age = Some(seconds(value)?);
                continue;
            }
            "s-maxage" => {
                facts.s_maxage = Some(seconds(value)?);
                continue;
            }
            "stale-while-revalidate" => {
                facts.stale_while_revalidate = Some(seconds(value)?);
                continue;
            }
            "stale-if-error" => {
                facts.stale_if_error = Some(seconds(value)?);
                continue;
            }
            _ => continue,
        };
        let is_off = matches!(value, Some(BareItem::Boolean(false)));
        facts.flags.set(flag, !is_off);
    }
    Some(facts)
}

/// Whole seconds that are not negative, capped (RFC 9111 1.2.2).
fn seconds(value: Option<&BareItem>) -> Option<u32> {
    let Some(BareItem::Integer(seconds)) = value else {
        return None;
    };
    let seconds = i64::from(*seconds);
    u32::try_from(seconds.min(i64::from(MAX_SECONDS))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, StatusCode};

    fn facts(lines: &[(&'static str, &'static str)]) -> Facts {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let targets = [
            HeaderName::from_static("own-cache-control"),
            HeaderName::from_static("cdn-cache-control"),
        ];
        Facts::parse_targeted(StatusCode::OK, &headers, 0, 0, &targets)
    }

    #[test]
    fn the_first_target_that_is_valid_replaces_all_that_others_say() {
        let no_store = ("cache-control", "no-store, max-age=5");
        let expires = ("expires", "0");
        let replaced = facts(&[no_store, expires, ("cdn-cache-control", "max-age=60")]);
        assert_eq!(replaced.max_age, Some(60));
        assert!(
            !replaced
                .flags
                .intersects(Flags::NO_STORE | Flags::EXPIRES_INVALID)
        );
        let first = facts(&[
            ("cdn-cache-control", "max-age=60"),
            ("own-cache-control", "private, max-age=7"),
        ]);
        assert_eq!(first.max_age, Some(7));
        assert!(first.flags.contains(Flags::PRIVATE));
        let capped = facts(&[("cdn-cache-control", "max-age=99999999999")]);
        assert_eq!(capped.max_age, Some(MAX_SECONDS));
        assert!(
            !facts(&[("cdn-cache-control", "no-store=?0, a")])
                .flags
                .contains(Flags::NO_STORE)
        );
    }

    #[test]
    fn a_target_that_cannot_be_read_is_as_if_it_were_not_there() {
        for invalid in [
            "",
            "max-age=60, &&&",
            "max-age=\"60\"",
            "max-age=1.5",
            "max-age=-1",
            "max-age",
            "MAX-AGE=60",
            "max-age = 60",
            "max-age=(1 2)",
        ] {
            let facts = facts(&[
                ("cache-control", "no-store"),
                ("cdn-cache-control", invalid),
            ]);
            assert!(facts.flags.contains(Flags::NO_STORE), "{invalid:?}");
            assert_eq!(facts.max_age, None, "{invalid:?}");
        }
    }
}
