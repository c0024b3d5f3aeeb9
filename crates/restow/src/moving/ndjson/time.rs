//! A moment in a line: ISO 8601 in UTC to the millisecond, and a number where no calendar has it.

use crate::Millis;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) Millis);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Iso(String),
    Millis(i64),
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let at = self.0.timestamp();
        match Millis::from(at) == self.0 {
            true => Written::Iso(at.to_string()),
            false => Written::Millis(self.0.0),
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(match Written::deserialize(from)? {
            Written::Millis(at) => Millis(at),
            Written::Iso(text) => {
                let at: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
                at.into()
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_comes_back() {
        for at in [
            0,
            1,
            -1,
            1_785_585_598_123,
            i64::MIN,
            i64::MAX - 1,
            253_402_300_799_999,
            -377_705_023_201_000,
        ] {
            let text = serde_json::to_string(&Time(Millis(at))).unwrap();
            let back: Time = serde_json::from_str(&text).unwrap();
            assert_eq!(back.0, Millis(at), "{text}");
        }
        assert_eq!(
            serde_json::to_string(&Time(Millis(1_785_585_598_120))).unwrap(),
            "\"2026-08-01T11:59:58.12Z\""
        );
    }
}
