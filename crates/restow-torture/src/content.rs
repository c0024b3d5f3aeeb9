//! Bodies that say what they are.

use bytes::Bytes;

/// Makes the body of a version of a key: both by name, then text that follows from them, of 20 to 6,000 bytes.
pub fn body(key: &str, version: u64) -> Bytes {
    let mut text = format!("{key} {version}\n").into_bytes();
    let seed = key.bytes().fold(version, |sum, byte| {
        sum.wrapping_mul(0x100_0000_01B3) ^ u64::from(byte)
    });
    let mut random = fastrand::Rng::with_seed(seed);
    let length = random.usize(20..6_000);
    text.resize_with(text.len() + length, || random.u8(b'!'..b'~'));
    text.into()
}

/// The bodies of a version of some keys, as they are saved together.
pub fn bodies(keys: impl IntoIterator<Item = String>, version: u64) -> Vec<(String, Bytes)> {
    let pair = |key: String| {
        let body = body(&key, version);
        (key, body)
    };
    keys.into_iter().map(pair).collect()
}

/// Reads which version of `key` a body is; `None` where it is no body of this key, or not as it was made.
pub fn version(key: &str, stored: &[u8]) -> Option<u64> {
    let line = stored.split(|b| *b == b'\n').next()?;
    let (said, version) = std::str::from_utf8(line).ok()?.rsplit_once(' ')?;
    let version = version.parse().ok()?;
    (said == key && body(key, version) == stored).then_some(version)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "a test may fail")]
    use super::{body, version};

    #[test]
    fn a_body_is_its_own_and_no_others() {
        let made = body("k", 7);
        assert_eq!(version("k", &made), Some(7));
        assert_eq!(version("l", &made), None);
        assert_eq!(version("k", &made[1..]), None);
        assert_eq!(version("k", &made[..made.len() - 1]), None);
        let mut bent = made.to_vec();
        bent[12] ^= 1;
        assert_eq!(version("k", &bent), None);
    }
}
