//! The bytes of a body while it arrives: held once, for the store and for a reader who may be slower.

use bytes::{Bytes, BytesMut};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// The size of the first piece where the body's length is not known. Each is twice as large as the one before, up to [`MOST`].
const LEAST: usize = 4 << 10;
/// The largest piece, and the most that is given to the reader at a time.
const MOST: usize = 64 << 10;

/// Takes bytes in. Dropped, no more will come.
#[derive(Debug, Default)]
pub(crate) struct Gathering(Arc<Mutex<State>>);

/// Reads what is taken in, at its own pace.
#[derive(Debug)]
pub(crate) struct Reader {
    state: Arc<Mutex<State>>,
    read: usize,
}

/// The bytes, copied out of the buffers that they came in: a few of them would keep the whole buffer.
#[derive(Debug, Default)]
struct State {
    /// What is full, each with its place in the body, in order.
    pieces: Vec<(usize, Bytes)>,
    /// What is being filled.
    last: BytesMut,
    len: usize,
    /// Whether no more will come. What was read can go then.
    closed: bool,
    reader: Option<Waker>,
}

impl Gathering {
    /// Begins with nothing; where the length is known there will be one piece.
    pub(crate) fn new(expected: Option<usize>) -> Self {
        let last = BytesMut::with_capacity(expected.unwrap_or(0));
        let state = State {
            last,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Makes the reader.
    pub(crate) fn reader(&self) -> Reader {
        Reader {
            state: self.0.clone(),
            read: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len
    }

    /// Takes in the next bytes.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let mut state = lock(&self.0);
        state.take_in(chunk);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Ends it, and returns the whole, which holds on to nothing beside.
    pub(crate) fn whole(self) -> Bytes {
        let (pieces, len, room) = {
            let mut state = lock(&self.0);
            let room = state.room();
            state.turn_over(0);
            let pieces: Vec<_> = state.pieces.iter().map(|(_, p)| p.clone()).collect();
            (pieces, state.len, room)
        };
        // Not under the lock: the reader need not wait for it.
        let whole = match &pieces[..] {
            [only] if room == 0 => only.clone(),
            _ => {
                let mut whole = BytesMut::with_capacity(len);
                pieces.iter().for_each(|p| whole.extend_from_slice(p));
                whole.freeze()
            }
        };
        lock(&self.0).pieces = vec![(0, whole.clone())];
        whole
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.closed = true;
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }
}

impl Reader {
    /// Reads on; `None` once no more will come.
    pub(crate) fn poll_read(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = lock(&self.state);
        match state.at(self.read) {
            Some(bytes) => {
                self.read += bytes.len();
                if state.closed {
                    let read = self.read;
                    state.pieces.retain(|(start, p)| start + p.len() > read);
                }
                Poll::Ready(Some(bytes))
            }
            None if state.closed => Poll::Ready(None),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl State {
    fn room(&self) -> usize {
        self.last.capacity() - self.last.len()
    }

    fn take_in(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            if self.room() == 0 {
                self.turn_over((2 * self.last.len()).clamp(LEAST, MOST));
            }
            let (now, later) = chunk.split_at(chunk.len().min(self.room()));
            self.last.extend_from_slice(now);
            self.len += now.len();
            chunk = later;
        }
    }

    /// Puts what is being filled to the pieces, and begins one of this size.
    fn turn_over(&mut self, size: usize) {
        let full = std::mem::replace(&mut self.last, BytesMut::with_capacity(size));
        if !full.is_empty() {
            let start = self.len - full.len();
            self.pieces.push((start, full.freeze()));
        }
    }

    /// What stands at a place of the body, as far as it is in one piece.
    fn at(&self, place: usize) -> Option<Bytes> {
        let nth = self.pieces.partition_point(|(start, _)| *start <= place);
        let piece = nth.checked_sub(1).and_then(|nth| self.pieces.get(nth));
        if let Some((start, piece)) = piece
            && place - start < piece.len()
        {
            return Some(piece.slice(place - start..));
        }
        let begins = self.len - self.last.len();
        let rest = self.last.get(place.checked_sub(begins)?..)?;
        let most = rest.get(..MOST).unwrap_or(rest);
        (!most.is_empty()).then(|| Bytes::copy_from_slice(most))
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reader: &mut Reader) -> Option<Bytes> {
        match reader.poll_read(&Context::from_waker(Waker::noop())) {
            Poll::Ready(bytes) => bytes,
            Poll::Pending => Some(Bytes::new()),
        }
    }

    /// Bytes that tell where they stand.
    fn body(len: usize) -> Vec<u8> {
        (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
    }

    #[test]
    fn whoever_reads_gets_every_byte_whatever_comes_when() {
        let body = body(150_000);
        for expected in [
            None,
            Some(0),
            Some(100),
            Some(body.len()),
            Some(2 * body.len()),
        ] {
            for chunk in [3, 1_000, 4_096, 100_000, body.len()] {
                for every in [1, 3, usize::MAX] {
                    let mut gathering = Gathering::new(expected);
                    let (mut reader, mut seen) = (gathering.reader(), Vec::new());
                    for (nth, chunk) in body.chunks(chunk).enumerate() {
                        gathering.push(chunk);
                        if nth % every == 0 {
                            seen.extend(read(&mut reader).unwrap());
                        }
                    }
                    assert_eq!(gathering.len(), body.len());
                    let whole = gathering.whole();
                    while let Some(bytes) = read(&mut reader) {
                        assert!(!bytes.is_empty(), "it waits for more");
                        seen.extend(bytes);
                    }
                    assert!(
                        whole == body && seen == body,
                        "{expected:?} {chunk} {every}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_was_read_is_let_go_once_no_more_will_come() {
        let mut gathering = Gathering::new(None);
        let mut reader = gathering.reader();
        gathering.push(&body(300_000));
        let state = gathering.0.clone();
        drop(gathering);
        let held = || {
            lock(&state)
                .pieces
                .iter()
                .map(|(_, p)| p.len())
                .sum::<usize>()
        };
        let (before, mut seen) = (held(), 0);
        while let Some(bytes) = read(&mut reader) {
            seen += bytes.len();
            assert!(held() <= before.saturating_sub(seen));
        }
        assert_eq!((seen, held()), (300_000, 0));
    }

    #[test]
    fn a_whole_holds_on_to_nothing_beside() {
        for (expected, len) in [(None, 10), (None, 100_000), (Some(10), 10), (Some(100), 10)] {
            let mut gathering = Gathering::new(expected);
            gathering.push(&body(len));
            let whole = gathering.whole();
            let exact = whole.try_into_mut().map_or(0, |whole| whole.capacity());
            assert!(
                exact == len || exact == 0,
                "{expected:?}: {exact} for {len}"
            );
        }
    }
}
