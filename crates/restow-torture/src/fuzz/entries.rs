//! Every damage of the stored bytes of some entries.

use super::{input::Input, record};
use anyhow::Result;
use restow::entry::{Entry, Record};
use std::iter;

/// How many entries are damaged.
const ENTRIES: usize = 50;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Damage {
    /// How many damages were done.
    pub done: u64,
    /// Those that were not seen.
    pub unseen: Vec<String>,
}

/// Cuts and flips every bit of the record, the header lines, the URL and the body of 50 entries: each is to be noticed.
///
/// # Errors
/// Where an entry cannot be written.
pub fn every_damage(seed: u64) -> Result<Damage> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut damage = Damage::default();
    for nth in 0..ENTRIES {
        let noise: Vec<u8> = iter::repeat_with(|| random.u8(b' '..b'~'))
            .take(400)
            .collect();
        let stored = Stored::of(&record::take(&mut Input::new(&noise))?)?;
        damage.expect(nth, "nothing", stored.is_believed());
        for part in Part::ALL {
            let whole = stored.part(part);
            let cuts = (0..whole.len()).map(|end| whole.get(..end).unwrap_or_default().to_vec());
            let flips = (0..whole.len() * 8).map(|bit| {
                let mut flipped = whole.to_vec();
                if let Some(byte) = flipped.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
                flipped
            });
            for other in cuts.chain(flips) {
                let believed = stored.with(part, other).is_believed();
                damage.done += 1;
                damage.expect(nth, &format!("{part:?}"), !believed);
            }
        }
    }
    Ok(damage)
}

impl Damage {
    fn expect(&mut self, nth: usize, what: &str, kept: bool) {
        if !kept {
            self.unseen.push(format!(
                "entry {nth}, damaged: {what}; it is taken for another"
            ));
        }
    }
}

/// The parts of an entry as a store keeps them.
#[derive(Clone, Debug)]
struct Stored {
    record: Vec<u8>,
    lines: Vec<u8>,
    url: Vec<u8>,
    body: Vec<u8>,
    status: u16,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Record,
    Lines,
    Url,
    Body,
}

impl Part {
    const ALL: [Self; 4] = [Self::Record, Self::Lines, Self::Url, Self::Body];
}

impl Stored {
    fn of(entry: &Entry) -> Result<Self> {
        let head = &entry.meta.head;
        Ok(Self {
            record: Record::encode(&entry.meta, &entry.id, "tracks", &[])?,
            lines: head.lines().to_vec(),
            url: head.url().unwrap_or("").as_bytes().to_vec(),
            body: entry.body.to_vec(),
            status: head.status().as_u16(),
        })
    }

    fn part(&self, part: Part) -> &[u8] {
        match part {
            Part::Record => &self.record,
            Part::Lines => &self.lines,
            Part::Url => &self.url,
            Part::Body => &self.body,
        }
    }

    fn with(&self, part: Part, bytes: Vec<u8>) -> Self {
        let mut other = self.clone();
        *match part {
            Part::Record => &mut other.record,
            Part::Lines => &mut other.lines,
            Part::Url => &mut other.url,
            Part::Body => &mut other.body,
        } = bytes;
        other
    }

    /// Tells whether a store that reads this takes it for an entry.
    fn is_believed(&self) -> bool {
        let Ok(url) = std::str::from_utf8(&self.url) else {
            return false;
        };
        Record::decode(&self.record).is_ok_and(|record| {
            record.verify_body(&self.body).is_ok()
                && record
                    .into_head(self.status, Some(url.into()), self.lines.clone().into())
                    .is_ok()
        })
    }
}
