//! The parameters of a store's URL, of which wrappers take their own.

use crate::Result;
#[cfg(any(feature = "postgres", feature = "redis"))]
use crate::{Error, ErrorKind};

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

/// Refuses a URL with an `@` where none can be: there is a password before it that was not percent-encoded, and a part of it would be taken for
/// something that is shown, such as a host.
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(super) fn check_encoded(url: &str) -> Result<()> {
    let (_, place) = url.split_once("://").unwrap_or_default();
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let names = query
        .split('&')
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    let is_encoded = authority.matches('@').count() < 2
        && !path.contains('@')
        && names.into_iter().all(|name| !name.contains('@'));
    if is_encoded {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Config,
        "the URL of the store has an @ where none can be; percent-encode what is special in the password: write @ as %40, / as %2F, ? as %3F",
    ))
}
