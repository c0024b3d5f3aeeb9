//! Keys: the typed values that identify an answer, and their canonical bytes.

mod field;
mod plain;
mod raw;
mod reader;
mod typed;

pub use field::{Field, FieldKind, FieldRef, FieldValue};
pub use raw::{Fields, KeyWriter, MAX_KEY_BYTES, RawKey};
pub use reader::KeyReader;
pub use typed::{Key, KeyField, Shape, Slot};
