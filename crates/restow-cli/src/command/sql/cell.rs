//! One value, for people and for programs.

use crate::output::size;
use restow::store::sqlite::SqlValue;
use serde_json::Value;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr as _;

/// So many bytes are shown of a blob.
const BYTES: usize = 8;

/// The value in a table for people, at most so wide.
pub(super) fn shown(value: &SqlValue, most: usize) -> String {
    match value {
        SqlValue::Null => "-".to_owned(),
        SqlValue::Blob(bytes) => {
            let cut = if bytes.len() > BYTES { ".." } else { "" };
            let some = hex(bytes.iter().take(BYTES).copied());
            format!("x'{some}{cut}' {}", size(bytes.len() as u64))
        }
        other => fit(&text(other), most),
    }
}

/// The value as text, whole: bytes in hexadecimal, NULL as nothing.
pub(super) fn text(value: &SqlValue) -> String {
    match value {
        SqlValue::Null => String::new(),
        SqlValue::Integer(i) => i.to_string(),
        SqlValue::Real(r) => r.to_string(),
        SqlValue::Text(text) => text.clone(),
        SqlValue::Blob(bytes) => hex(bytes.iter().copied()),
    }
}

/// The value in JSON: bytes as text in hexadecimal.
pub(super) fn json(value: &SqlValue) -> Value {
    match value {
        SqlValue::Null => Value::Null,
        SqlValue::Integer(i) => (*i).into(),
        SqlValue::Real(r) => (*r).into(),
        other => text(other).into(),
    }
}

/// One line of text at most so wide; what steers a terminal is written out.
pub(super) fn fit(text: &str, most: usize) -> String {
    let (mut line, mut wide) = (String::new(), 0);
    for c in text.chars() {
        let shown = match c {
            '\n' | '\r' | '\t' => c.escape_default().to_string(),
            // Also those that turn the direction of a line.
            c if c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                c.escape_unicode().to_string()
            }
            c => c.to_string(),
        };
        wide += width(&shown);
        if wide > most {
            while width(&line) >= most && line.pop().is_some() {}
            line.push('…');
            break;
        }
        line.push_str(&shown);
    }
    line
}

/// How many columns of a terminal a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

fn hex(bytes: impl Iterator<Item = u8>) -> String {
    bytes.fold(String::new(), |mut hex, byte| {
        // Writing to a text cannot fail.
        _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_line_and_no_wider_than_it_may_be() {
        for (text, most, line) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("a\nb", 9, "a\\nb"),
            ("\u{1b}[31m", 20, "\\u{1b}[31m"),
            ("日本語", 5, "日本…"),
            ("日本", 4, "日本"),
            ("x", 1, "x"),
            ("xy", 1, "…"),
        ] {
            assert_eq!(fit(text, most), line, "{text:?}");
            assert!(width(&fit(text, most)) <= most, "{text:?}");
        }
        let blob = SqlValue::Blob(vec![0xab; 20]);
        assert_eq!(shown(&blob, 60), "x'abababababababab..' 20 B");
        assert_eq!(text(&SqlValue::Blob(vec![0, 255])), "00ff");
    }
}
