//! Bytes as they came.

use super::Codec;
use crate::Result;
use bytes::Bytes;

/// The payload itself, shared and never copied.
#[derive(Clone, Copy, Debug, Default)]
pub struct Binary;

impl Codec for Binary {
    type Value = Bytes;

    fn name(&self) -> &str {
        "binary"
    }

    fn content_type(&self) -> &str {
        "application/octet-stream"
    }

    fn encode(&self, value: &Bytes) -> Result<Bytes> {
        Ok(value.clone())
    }

    fn decode(&self, payload: &Bytes) -> Result<Bytes> {
        Ok(payload.clone())
    }
}
