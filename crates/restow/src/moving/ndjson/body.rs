//! A body in a line: as the JSON or the text that it is where that keeps its bytes, else in base64.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Body<'a> {
    Json(#[serde(borrow)] &'a RawValue),
    Text(#[serde(borrow)] Cow<'a, str>),
    Base64(#[serde(borrow)] Cow<'a, str>),
}

impl<'a> Body<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Self::Base64(base64(bytes).into());
        };
        // JSON on several lines would end this one.
        let one_line = !bytes.contains(&b'\n') && !bytes.contains(&b'\r');
        match serde_json::from_str::<&RawValue>(text) {
            Ok(json) if one_line && json.get() == text => Self::Json(json),
            _ => Self::Text(text.into()),
        }
    }

    /// Returns the bytes it was made of; `None` where it is no base64.
    pub(super) fn bytes(self) -> Option<Bytes> {
        match self {
            Self::Json(json) => Some(Bytes::copy_from_slice(json.get().as_bytes())),
            Self::Text(text) => Some(text.into_owned().into()),
            Self::Base64(text) => from_base64(&text).map(Bytes::from),
        }
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_comes_back_byte_for_byte() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let cases: [(&[u8], &str); 14] = [
            (b"", "text"),
            (b"{\"a\":1}", "json"),
            (b"{ \"a\" : 1.0e2, \"a\": 2 }", "json"),
            (b" {\"a\":1}", "text"),
            (b"{\"a\":\n1}", "text"),
            (b"{\"a\":1}\r", "text"),
            (b"{\"a\":1", "text"),
            ("\"\u{e9} \\u00e9\"".as_bytes(), "json"),
            ("caf\u{e9}".as_bytes(), "text"),
            (b"\0\x01\x7f", "text"),
            (b"\xff\xfe", "base64"),
            (
                b"12345678901234567890.123456789012345678901234567890",
                "json",
            ),
            (b"\"\xed\xa0\x80\"", "base64"),
            (deep.as_bytes(), "json"),
        ];
        for (bytes, kind) in cases {
            let line = serde_json::to_string(&Body::of(bytes)).unwrap();
            let name = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
            assert!(line.starts_with(&format!("{{\"{kind}\":")), "{name}");
            assert!(!line.contains('\n'), "{name}");
            let back: Body<'_> = serde_json::from_str(&line).unwrap();
            assert!(back.bytes().unwrap() == bytes, "{name}");
        }
    }
}
