//! Bytes, taken as whatever a check needs.

/// What is left of an input. At its end it gives zeros and empty texts, so that every input is one.
#[derive(Debug)]
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.chunk(1).first().copied().unwrap_or(0)
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number; small ones and the ends of the range as often as others.
    pub(super) fn number(&mut self) -> i64 {
        match self.byte() {
            0 => i64::MIN,
            1 => i64::MAX,
            kind => {
                let mut bytes = [0; 8];
                for (to, from) in bytes.iter_mut().zip(self.chunk(8)) {
                    *to = *from;
                }
                i64::from_le_bytes(bytes) >> (kind % 64)
            }
        }
    }

    /// A byte that says how many, then as many bytes.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.chunk(length)
    }

    /// The same as text; what is no UTF-8 is replaced.
    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub(super) fn choose<T: Copy>(&mut self, of: &[T], otherwise: T) -> T {
        let nth = usize::from(self.byte());
        of.get(nth % of.len().max(1)).copied().unwrap_or(otherwise)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn chunk(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
