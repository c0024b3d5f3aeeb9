//! Cache groups (RFC 9875).

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, ListEntry, Parser};

const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");
/// The most groups of an answer, and the longest name, that are heeded (RFC 9875 2 asks for no fewer than 32 and 32).
const MOST: usize = 32;
const LONGEST: usize = 256;

/// The groups that an answer belongs to, as its `Cache-Groups` says; none where that cannot be read (RFC 9875 2).
pub fn groups(headers: &HeaderMap) -> Vec<String> {
    list(headers, &CACHE_GROUPS)
}

/// The groups that an answer to an unsafe request makes invalid, as its `Cache-Group-Invalidation` says (RFC 9875 3).
pub fn invalidated_groups(headers: &HeaderMap) -> Vec<String> {
    list(headers, &INVALIDATION)
}

fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    if !headers.contains_key(name) {
        return Vec::new();
    }
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(|v| v.as_bytes()).collect();
    let joined = lines.join(&b", "[..]);
    let Ok(list) = Parser::new(&joined).parse::<sfv::List>() else {
        return Vec::new();
    };
    let names = list.into_iter().map(|entry| match entry {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::String(text) => Some(text.as_str().to_owned()),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    });
    // One member that is no string makes the whole field another one than it is taken for (RFC 9651 2).
    let Some(names) = names.collect::<Option<Vec<_>>>() else {
        return Vec::new();
    };
    names
        .into_iter()
        .filter(|name| name.len() <= LONGEST)
        .take(MOST)
        .collect()
}
