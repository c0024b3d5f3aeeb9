//! New inputs out of old ones.

use fastrand::Rng;

/// The longest input that is made.
const LONGEST: usize = 4_096;

/// Changes inputs at random; a seed repeats it.
#[derive(Debug)]
pub(super) struct Mutator {
    random: Rng,
    words: &'static [&'static str],
}

impl Mutator {
    pub(super) fn new(seed: u64, words: &'static [&'static str]) -> Self {
        Self {
            random: Rng::with_seed(seed),
            words,
        }
    }

    /// Makes an input of one of these, of two, or of none.
    pub(super) fn change(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = match self.random.u8(..) {
            0..20 => Vec::new(),
            _ => self.random.choice(seeds).cloned().unwrap_or_default(),
        };
        for _ in 0..self.random.usize(1..6) {
            self.step(&mut input, seeds);
        }
        input.truncate(LONGEST);
        input
    }

    fn step(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.random.usize(..=input.len());
        let end = self.random.usize(at..=input.len().min(at + 64));
        match self.random.u8(0..8) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.random.u8(0..8);
                }
            }
            1 => {
                let noise: Vec<u8> = (0..self.random.usize(1..9))
                    .map(|_| self.random.u8(..))
                    .collect();
                input.splice(at..end.min(at + noise.len()), noise);
            }
            2 => input.truncate(at),
            3 => _ = input.drain(at..end),
            4 => {
                let twice = input.get(at..end).unwrap_or_default().to_vec();
                input.splice(at..at, twice);
            }
            5 => {
                // The end of another: lengths and what they are of no longer fit.
                let other = self.random.choice(seeds).cloned().unwrap_or_default();
                let from = self.random.usize(..=other.len());
                input.truncate(at);
                input.extend(other.into_iter().skip(from));
            }
            _ => {
                let word = self.random.choice(self.words).copied().unwrap_or_default();
                let over = if self.random.bool() { at } else { end };
                input.splice(at..over, word.bytes());
            }
        }
    }
}
