//! A line and its checksum.

use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

/// The longest line that is read, in bytes: 512 MiB.
pub const MAX_LINE: usize = 512 << 20;

const BEFORE: &[u8] = b"{\"sum\":\"";
const BEHIND: &[u8] = b"\",";
const SUM: usize = 16;
/// Where what the checksum is of begins.
const CONTENT: usize = BEFORE.len() + SUM + BEHIND.len();

/// Writes an object as a line with its checksum before it.
pub(super) fn write(object: &impl Serialize) -> Result<Vec<u8>> {
    // The object's brace is where the comma will be, so that nothing has to be moved.
    let mut line = vec![b' '; CONTENT - 1];
    serde_json::to_writer(&mut line, object).map_err(|e| {
        Error::new(ErrorKind::Codec, "an entry cannot be written as JSON").with_source(e)
    })?;
    let sum = format!("{:016x}", xxh3_64(line.get(CONTENT..).unwrap_or_default()));
    let head = [BEFORE, sum.as_bytes(), BEHIND].concat();
    if let Some(place) = line.get_mut(..CONTENT) {
        place.copy_from_slice(&head);
    }
    line.push(b'\n');
    Ok(line)
}

/// Checks a line, without its end, and makes the object of it that was written; says why it is none.
pub(super) fn open(line: &mut [u8]) -> Result<&[u8], &'static str> {
    let (head, content) = line.split_at_checked(CONTENT).ok_or(NO_LINE)?;
    let sum = head
        .strip_prefix(BEFORE)
        .and_then(|rest| rest.strip_suffix(BEHIND))
        .ok_or(NO_LINE)?;
    if sum != format!("{:016x}", xxh3_64(content)).as_bytes() {
        return Err("its checksum is not that of what it holds: it is damaged or was edited");
    }
    let object = line.get_mut(CONTENT - 1..).ok_or(NO_LINE)?;
    if let Some(brace) = object.first_mut() {
        *brace = b'{';
    }
    Ok(object)
}

const NO_LINE: &str = "it does not begin as a line of a restow export does";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_and_not_otherwise() {
        let line = write(&serde_json::json!({ "a": "é\n", "b": [1, null] })).unwrap();
        let (end, line) = line.split_last().unwrap();
        assert_eq!(*end, b'\n');
        assert!(!line.contains(&b'\n'));
        let object = open(&mut line.to_vec()).map(<[u8]>::to_vec).unwrap();
        let back: serde_json::Value = serde_json::from_slice(&object).unwrap();
        assert_eq!(back, serde_json::json!({ "a": "é\n", "b": [1, null] }));
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut other = line.to_vec();
                other[at] ^= 1 << bit;
                assert!(open(&mut other).is_err(), "bit {bit} of byte {at}");
            }
            assert!(open(&mut line[..at].to_vec()).is_err(), "cut at {at}");
        }
    }
}
