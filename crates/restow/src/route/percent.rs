//! Percent-encoding: decoded once, encoded with one set per place.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::borrow::Cow;

/// A variable's value: all but unreserved characters (RFC 3986, 2.3) is encoded.
pub(super) const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The value of a rest-of-path variable.
pub(super) const REST: &AsciiSet = &VALUE.remove(b'/');
/// A literal of a path: all that RFC 3986 lets stand in a segment stands as it is.
pub(super) const LITERAL: &AsciiSet = &VALUE
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');
/// A literal name or value of a query.
pub(super) const QUERY_LITERAL: &AsciiSet = &LITERAL
    .remove(b'/')
    .remove(b'?')
    .add(b'&')
    .add(b'=')
    .add(b'+');

/// Decodes percent-escapes; `None` where one is broken or the result is not UTF-8.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    // The decoder lets a broken escape stand; it would then be encoded again as another text.
    let whole = text.split('%').skip(1).all(|escape| {
        let mut hex = escape.bytes();
        let mut digit = || hex.next().is_some_and(|b| b.is_ascii_hexdigit());
        digit() && digit()
    });
    if !whole {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok()
}

/// Decodes a name or value of a query, where `+` is a space.
pub(super) fn decode_form(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return decode(&spaced).map(|decoded| Cow::Owned(decoded.into_owned()));
    }
    decode(text)
}

/// Appends `text`, encoded but for what `set` lets stand.
pub(super) fn encode(out: &mut String, text: &str, set: &'static AsciiSet) {
    out.extend(utf8_percent_encode(text, set));
}

/// Appends an undeclared name or value in canonical form; `None` where it cannot be decoded.
///
/// A `+` stays itself: whether it is a space or a plus only the API knows, so neither may share its key.
pub(super) fn canonical(out: &mut String, raw: &str) -> Option<()> {
    for (i, piece) in raw.split('+').enumerate() {
        if i > 0 {
            out.push('+');
        }
        encode(out, &decode(piece)?, VALUE);
    }
    Some(())
}
