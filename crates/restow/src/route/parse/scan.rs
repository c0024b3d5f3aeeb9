//! Cutting a template up, with an eye on its braces.

/// Splits at the first place outside of braces where what follows is a `stop`; the second part begins with it, or is empty.
pub(super) fn cut(text: &str, stop: impl Fn(&str) -> bool) -> (&str, &str) {
    let mut inside = false;
    for (at, c) in text.char_indices() {
        let here = text.split_at_checked(at).unwrap_or((text, ""));
        if !inside && stop(here.1) {
            return here;
        }
        match c {
            '{' => inside = true,
            '}' => inside = false,
            _ => {}
        }
    }
    text.split_at_checked(text.len()).unwrap_or((text, ""))
}

/// Splits at each `delimiter` outside of braces.
pub(super) fn split(text: &str, delimiter: char) -> Vec<&str> {
    let (mut pieces, mut left) = (Vec::new(), text);
    loop {
        let (piece, after) = cut(left, |s| s.starts_with(delimiter));
        pieces.push(piece);
        match after.strip_prefix(delimiter) {
            Some(after) => left = after,
            None => return pieces,
        }
    }
}

/// Splits off the expression that `text` begins with.
pub(super) fn expression(text: &str) -> (&str, &str) {
    match text.find('}') {
        Some(end) => text.split_at_checked(end + 1).unwrap_or((text, "")),
        None => (text, ""),
    }
}

/// Returns what stands between the braces.
pub(super) fn inside(expression: &str) -> &str {
    expression.trim_start_matches('{').trim_end_matches('}')
}

/// Returns the operator of the expression that `text` begins with (RFC 6570, 2.2), if it has one.
pub(super) fn operator(text: &str) -> Option<char> {
    let first = text.strip_prefix('{')?.chars().next()?;
    "+#./;?&=,!@|".contains(first).then_some(first)
}

pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
}

/// Tells whether a label of a host may hold this byte.
pub(in crate::route) fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}
