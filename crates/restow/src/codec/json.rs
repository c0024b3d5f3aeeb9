//! JSON of any type that serde knows.

use super::Codec;
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, marker::PhantomData};

/// JSON of a `T`; `Json<serde_json::Value>` where the shape is not known.
///
/// ```
/// use restow::{Codec, codec::Json};
/// let codec = Json::<Vec<u8>>::new();
/// assert_eq!(codec.decode(&codec.encode(&vec![1, 2])?)?, [1, 2]);
/// assert_eq!(Json::<Vec<u8>>::pretty().encode(&vec![])?, "[]");
/// # Ok::<(), restow::Error>(())
/// ```
pub struct Json<T> {
    pretty: bool,
    value: PhantomData<fn() -> T>,
}

impl<T> Json<T> {
    /// Makes a codec that writes compact JSON.
    pub const fn new() -> Self {
        Self {
            pretty: false,
            value: PhantomData,
        }
    }

    /// Makes a codec that writes indented JSON.
    pub const fn pretty() -> Self {
        Self {
            pretty: true,
            value: PhantomData,
        }
    }
}

impl<T> Clone for Json<T> {
    fn clone(&self) -> Self {
        Self {
            pretty: self.pretty,
            value: PhantomData,
        }
    }
}

impl<T> Default for Json<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json<{}>", std::any::type_name::<T>())
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Codec for Json<T> {
    type Value = T;

    fn name(&self) -> &str {
        "json"
    }

    fn content_type(&self) -> &str {
        "application/json"
    }

    fn encode(&self, value: &T) -> Result<Bytes> {
        let bytes = if self.pretty {
            serde_json::to_vec_pretty(value)
        } else {
            serde_json::to_vec(value)
        };
        bytes.map(Bytes::from).map_err(|e| {
            Error::new(ErrorKind::Codec, "the value cannot be written as JSON").with_source(e)
        })
    }

    fn decode(&self, payload: &Bytes) -> Result<T> {
        serde_json::from_slice(payload).map_err(|e| {
            let message = format!(
                "the payload is not JSON of a {}",
                std::any::type_name::<T>()
            );
            Error::new(ErrorKind::Codec, message).with_source(e)
        })
    }
}
