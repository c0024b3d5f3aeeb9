//! Entries as lines of JSON: the format of `restow export`, written and read without loss.
//!
//! Every line is one object, and begins with `sum`: the XXH3 checksum (64 bits, in hexadecimal) of what is between the comma behind it and
//! the end of the line. The first line is the header: the format's version, when it was made, and each repository as it is declared. Then
//! comes an entry a line, and a last line that says how many there were. Files may be put behind one another.
//!
//! ```json
//! {"sum":"...","restow_export":1,"made_at":"2026-08-01T12:00:00Z","secret_id":"...","repositories":[{"name":"items",...}]}
//! {"sum":"...","repository":"items","key":{"id":"7","lang":null},"status":200,"url":"https://api.example.com/items/7",
//!  "label":"Lamp","stored_at":"2026-08-01T11:59:58.123Z","checked_at":...,"changed_at":...,"expires_at":...,"columns":{"kind":"lamp"},
//!  "headers":["content-type: application/json"],"record":"...","body":{"json":{"id":7}}}
//! {"sum":"...","end":{"entries":1}}
//! ```
//!
//! - `partition`, `variant`, `query`, `label`, `columns` and `tags` are left out where there is none; no `expires_at` means never.
//! - A body is `json` where it is JSON that keeps its bytes on one line, else `text` where it is UTF-8, else `base64`. Header lines that are no
//!   text are `headers_base64`.
//! - `record` is what a store keeps beside an entry (base64): what caching needs of the header fields, with checksums of head, body and
//!   identity; see `docs/FORMAT.md`.
//! - `secret_id` tells whether two caches have one secret, and not what it is. Only an export that was asked for it holds the `secret`.

mod body;
mod entry;
mod header;
mod line;
mod reader;
mod time;

pub use entry::line as entry_line;
pub use header::Header;
pub use line::MAX_LINE;
pub use reader::{Item, Reader};

use crate::Result;

/// The version of the format that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// Writes the last line: how many entries there are.
///
/// # Errors
/// None in practice: [`ErrorKind::Codec`](crate::ErrorKind::Codec) is reserved for it.
pub fn end_line(entries: u64) -> Result<Vec<u8>> {
    line::write(&header::EndLine {
        end: header::End { entries },
    })
}
