//! The stored form of [`Facts`]: a version byte, then fixed little-endian fields.
//!
//! ```text
//! 0      version, 1
//! 1      which of the optional fields follow, one bit each in the order below
//! 2..6   flags
//! 6..10  age
//! 10..18 requested_at
//! 18..26 received_at
//! 26..   date i64, max_age u32, s_maxage u32, expires i64, last_modified i64, stale_while_revalidate u32, stale_if_error u32
//! ```

use crate::facts::{Facts, Flags};

const VERSION: u8 = 1;

impl Facts {
    /// Appends the stored form to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let present = [
            self.date.is_some(),
            self.max_age.is_some(),
            self.s_maxage.is_some(),
            self.expires.is_some(),
            self.last_modified.is_some(),
            self.stale_while_revalidate.is_some(),
            self.stale_if_error.is_some(),
        ];
        let present = present
            .iter()
            .rev()
            .fold(0, |bits, is| (bits << 1) | u8::from(*is));
        out.extend([VERSION, present]);
        out.extend(self.flags.bits().to_le_bytes());
        out.extend(self.age.to_le_bytes());
        out.extend(self.requested_at.to_le_bytes());
        out.extend(self.received_at.to_le_bytes());
        out.extend(self.date.iter().flat_map(|it| it.to_le_bytes()));
        out.extend(self.max_age.iter().flat_map(|it| it.to_le_bytes()));
        out.extend(self.s_maxage.iter().flat_map(|it| it.to_le_bytes()));
        out.extend(self.expires.iter().flat_map(|it| it.to_le_bytes()));
        out.extend(self.last_modified.iter().flat_map(|it| it.to_le_bytes()));
        out.extend(
            self.stale_while_revalidate
                .iter()
                .flat_map(|it| it.to_le_bytes()),
        );
        out.extend(self.stale_if_error.iter().flat_map(|it| it.to_le_bytes()));
    }

    /// Reads the stored form.
    ///
    /// `None` where the bytes are cut short, too long, of another version, or hold a flag that this version does not know: a
    /// restriction that is not understood must not be ignored. The facts can then be parsed again from the stored head.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let [version, present] = reader.take()?;
        // Seven optional fields: the eighth bit is free for a later version.
        if version != VERSION || present >> 7 != 0 {
            return None;
        }
        let has = |nth: u8| present >> nth & 1 == 1;
        let facts = Self {
            flags: Flags::from_bits(reader.u32()?)?,
            age: reader.u32()?,
            requested_at: reader.i64()?,
            received_at: reader.i64()?,
            date: if has(0) { Some(reader.i64()?) } else { None },
            max_age: if has(1) { Some(reader.u32()?) } else { None },
            s_maxage: if has(2) { Some(reader.u32()?) } else { None },
            expires: if has(3) { Some(reader.i64()?) } else { None },
            last_modified: if has(4) { Some(reader.i64()?) } else { None },
            stale_while_revalidate: if has(5) { Some(reader.u32()?) } else { None },
            stale_if_error: if has(6) { Some(reader.u32()?) } else { None },
        };
        reader.0.is_empty().then_some(facts)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Facts {
        Facts {
            flags: Flags::NO_STORE | Flags::STATUS_HEURISTIC,
            date: Some(1),
            age: 2,
            requested_at: 3,
            received_at: -4,
            max_age: Some(5),
            s_maxage: Some(6),
            expires: Some(7),
            last_modified: Some(8),
            stale_while_revalidate: Some(9),
            stale_if_error: Some(10),
        }
    }

    fn encoded(facts: &Facts) -> Vec<u8> {
        let mut out = Vec::new();
        facts.encode(&mut out);
        out
    }

    #[test]
    fn the_stored_form_is_frozen() {
        let hex = |facts: &Facts| {
            encoded(facts)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        assert_eq!(
            hex(&full()),
            concat!(
                "01",
                "7f",
                "01002000",
                "02000000",
                "0300000000000000",
                "fcffffffffffffff",
                "0100000000000000",
                "05000000",
                "06000000",
                "0700000000000000",
                "0800000000000000",
                "09000000",
                "0a000000",
            )
        );
        let some = Facts {
            max_age: Some(60),
            last_modified: Some(1),
            ..Facts::default()
        };
        assert_eq!(
            hex(&some),
            concat!(
                "01",
                "12",
                "00000000",
                "00000000",
                "0000000000000000",
                "0000000000000000",
                "3c000000",
                "0100000000000000"
            )
        );
    }

    #[test]
    fn the_bit_of_every_flag_is_frozen() {
        let names: Vec<_> = Flags::all()
            .iter_names()
            .map(|(name, flag)| (name, flag.bits().trailing_zeros()))
            .collect();
        assert_eq!(
            names,
            [
                ("NO_STORE", 0),
                ("PRIVATE", 1),
                ("PRIVATE_FIELDS", 2),
                ("NO_CACHE", 3),
                ("NO_CACHE_FIELDS", 4),
                ("MUST_REVALIDATE", 5),
                ("PROXY_REVALIDATE", 6),
                ("PUBLIC", 7),
                ("MUST_UNDERSTAND", 8),
                ("IMMUTABLE", 9),
                ("NO_TRANSFORM", 10),
                ("CACHE_CONTROL", 11),
                ("CACHE_CONTROL_INVALID", 12),
                ("MAX_AGE_INVALID", 13),
                ("S_MAXAGE_INVALID", 14),
                ("EXPIRES_INVALID", 15),
                ("VARY", 16),
                ("VARY_STAR", 17),
                ("SET_COOKIE", 18),
                ("ETAG", 19),
                ("STATUS_UNDERSTOOD", 20),
                ("STATUS_HEURISTIC", 21),
            ]
        );
    }

    #[test]
    fn what_is_cut_short_too_long_or_unknown_is_not_read() {
        let bytes = encoded(&full());
        assert_eq!(Facts::decode(&bytes), Some(full()));
        for end in 0..bytes.len() {
            assert_eq!(Facts::decode(&bytes[..end]), None, "cut at {end}");
        }
        let change = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            Facts::decode(&bytes)
        };
        assert_eq!(change(0, 2), None, "another version");
        assert_eq!(change(1, 0xff), None, "an unknown field");
        assert_eq!(change(5, 0x80), None, "an unknown flag");
        assert_eq!(
            Facts::decode(&[bytes.clone(), vec![0]].concat()),
            None,
            "a byte too many"
        );
    }
}
