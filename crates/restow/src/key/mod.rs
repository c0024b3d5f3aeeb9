//! Keys: the typed values that identify an answer, and their canonical bytes.
//!
//! A program derives [`Key`](macro@crate::Key) on a struct, or uses `String`, an integer or a tuple. A [`RawKey`] is the same values
//! without a type, in bytes: each value carries its kind and its end, so that two keys never have the same bytes. After the fields it
//! holds the undeclared query parameters of a request, mostly none.
//!
//! ```
//! use restow::{FieldRef, Key, RawKey};
//! let raw = ("6fWo".to_string(), None::<i64>).to_raw()?;
//! assert_eq!(raw.fields().collect::<Vec<_>>(), [FieldRef::Text("6fWo"), FieldRef::Absent]);
//! assert_eq!(raw.query(), "");
//! assert_eq!(<(String, Option<i64>)>::from_raw(&raw)?.0, "6fWo");
//! # Ok::<(), restow::Error>(())
//! ```

mod field;
mod plain;
mod raw;
mod reader;
mod typed;

pub use field::{Field, FieldKind, FieldRef, FieldValue};
pub use raw::{Fields, KeyWriter, MAX_KEY_BYTES, RawKey};
pub use reader::KeyReader;
pub use typed::{Key, KeyField, Shape, Slot};
