//! Codecs: how a payload becomes bytes and comes back.
//!
//! [`Json`] for any type that serde knows, [`Text`] for UTF-8, [`Binary`] for bytes as they came. Bodies are stored as the API sent them;
//! a codec reads them when they are asked for as values, and keeps out what it cannot read.

mod binary;
mod json;
mod text;

pub use binary::Binary;
pub use json::Json;
pub use text::Text;

use crate::Result;
use bytes::Bytes;
use std::fmt::Debug;

/// Turns values of one type into a payload and back. A user's own codec is one `impl`.
///
/// ```
/// use bytes::Bytes;
/// use restow::{Codec, Error, ErrorKind, Result};
///
/// #[derive(Clone, Debug)]
/// struct Lines;
///
/// impl Codec for Lines {
///     type Value = Vec<String>;
///     fn name(&self) -> &str { "lines" }
///     fn content_type(&self) -> &str { "text/plain; charset=utf-8" }
///     fn encode(&self, value: &Vec<String>) -> Result<Bytes> { Ok(value.join("\n").into()) }
///     fn decode(&self, payload: &Bytes) -> Result<Vec<String>> {
///         let text = std::str::from_utf8(payload)
///             .map_err(|e| Error::new(ErrorKind::Codec, "the payload is not UTF-8").with_source(e))?;
///         Ok(text.lines().map(String::from).collect())
///     }
/// }
/// # let lines = vec!["a".to_string(), "b".to_string()];
/// # assert_eq!(Lines.decode(&Lines.encode(&lines)?)?, lines);
/// # Ok::<(), Error>(())
/// ```
pub trait Codec: Debug + Send + Sync + 'static {
    /// What a payload means to the program.
    type Value: Send + Sync + 'static;

    /// Returns the name under which a repository remembers its codec.
    fn name(&self) -> &str;

    /// Returns the media type of what [`encode`](Self::encode) makes.
    fn content_type(&self) -> &str;

    /// Makes a payload of `value`.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) where the value has no form.
    fn encode(&self, value: &Self::Value) -> Result<Bytes>;

    /// Reads a payload.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) where it is not one of this codec.
    fn decode(&self, payload: &Bytes) -> Result<Self::Value>;
}
