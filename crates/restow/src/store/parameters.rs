//! The parameters of a store's URL, of which wrappers take their own.

use crate::Result;

/// Takes parameters out of a store's URL, and returns it without them. `take` is told the name and the value of each, and says whether it is its
/// own. A bare path has none.
pub(super) fn take(url: &str, mut take: impl FnMut(&str, &str) -> Result<bool>) -> Result<String> {
    let Some((place, query)) = url.split_once('?') else {
        return Ok(url.to_owned());
    };
    let mut rest = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !take(name, value)? {
            rest.push(pair);
        }
    }
    Ok(match rest.is_empty() {
        true => place.to_owned(),
        false => format!("{place}?{}", rest.join("&")),
    })
}
