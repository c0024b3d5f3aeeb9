//! UTF-8 text.

use super::Codec;
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;

/// UTF-8 text. The codec of an endpoint that names none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text;

impl Codec for Text {
    type Value = String;

    fn name(&self) -> &str {
        "text"
    }

    fn content_type(&self) -> &str {
        "text/plain; charset=utf-8"
    }

    fn encode(&self, value: &String) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(value.as_bytes()))
    }

    fn decode(&self, payload: &Bytes) -> Result<String> {
        match std::str::from_utf8(payload) {
            Ok(text) => Ok(text.to_owned()),
            Err(e) => Err(Error::new(
                ErrorKind::Codec,
                "the payload is not UTF-8 text; use the codec \"binary\"",
            )
            .with_source(e)),
        }
    }
}
