//! Bodies that are read as a whole, up to a length.

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http_body::Frame;
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use restow::client::{Body, BoxError};

/// What of a body is there.
pub(crate) enum Read {
    /// All of it.
    Whole(Bytes),
    /// More than was to be read: what was read, and the rest.
    Longer(Body),
    /// It broke off after this.
    Broken(Bytes, BoxError),
}

/// Reads up to `most` bytes of a body.
pub(crate) async fn read<B>(mut body: B, most: u64) -> Read
where
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + Unpin + 'static,
{
    let mut held = Held::default();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(piece)) => held.push(piece),
            Ok(Err(_)) => continue,
            Err(error) => return Read::Broken(held.whole(), error),
        }
        if held.len() as u64 > most {
            return Read::Longer(held.before(body));
        }
    }
    Read::Whole(held.whole())
}

/// A body that breaks off after these bytes.
pub(crate) fn broken(read: Bytes, error: BoxError) -> Body {
    let read = Some(read).filter(|r| !r.is_empty());
    let frames = read.map(|r| Ok(Frame::data(r))).into_iter();
    let frames = frames.chain([Err(error)]).collect::<Vec<_>>();
    Body::passing(StreamBody::new(stream::iter(frames)))
}

/// The size of the first block that bytes are copied to. Each is twice as large as the one before, up to [`MOST`].
const LEAST: usize = 4 << 10;
/// The largest block.
const MOST: usize = 64 << 10;

/// Bytes that have arrived. A single piece is not copied; of several, all but the first are, so that they do not keep the buffers that they came in.
#[derive(Default)]
pub(crate) struct Held {
    full: Vec<Bytes>,
    len: usize,
    last: BytesMut,
}

impl Held {
    pub(crate) fn len(&self) -> usize {
        self.len + self.last.len()
    }

    /// Takes in the next bytes.
    pub(crate) fn push(&mut self, mut piece: Bytes) {
        if self.len() == 0 {
            self.len = piece.len();
            self.full = vec![piece];
            return;
        }
        while !piece.is_empty() {
            let (last, room) = self.room();
            let now = piece.split_to(piece.len().min(room));
            last.extend_from_slice(&now);
        }
    }

    /// The block that the next bytes belong to, and how many more it takes.
    pub(crate) fn room(&mut self) -> (&mut BytesMut, usize) {
        if self.last.len() == self.last.capacity() {
            let size = (2 * self.last.len()).clamp(LEAST, MOST);
            self.turn_over(BytesMut::with_capacity(size));
        }
        let room = self.last.capacity() - self.last.len();
        (&mut self.last, room)
    }

    fn turn_over(&mut self, next: BytesMut) {
        let last = std::mem::replace(&mut self.last, next);
        if !last.is_empty() {
            self.len += last.len();
            self.full.push(last.freeze());
        }
    }

    /// All of it, in one piece that holds on to nothing beside.
    pub(crate) fn whole(mut self) -> Bytes {
        let is_full = self.last.len() == self.last.capacity();
        self.turn_over(BytesMut::new());
        match &mut self.full[..] {
            [] => Bytes::new(),
            [only] if is_full => std::mem::take(only),
            _ => {
                let mut whole = BytesMut::with_capacity(self.len);
                // Each block goes as soon as it is copied.
                for block in self.full {
                    whole.extend_from_slice(&block);
                }
                whole.freeze()
            }
        }
    }

    /// A body of this, and then of another.
    pub(crate) fn before<B>(mut self, rest: B) -> Body
    where
        B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        self.turn_over(BytesMut::new());
        let full = stream::iter(self.full).map(|block| Ok(Frame::data(block)));
        Body::passing(StreamBody::new(full.chain(BodyStream::new(rest))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(pieces: &[&'static str], end: Option<&str>) -> Body {
        let pieces = pieces.iter().map(|p| Ok(Frame::data(Bytes::from(*p))));
        let frames: Vec<_> = pieces.chain(end.map(|e| Err(BoxError::from(e)))).collect();
        Body::passing(StreamBody::new(stream::iter(frames)))
    }

    #[tokio::test]
    async fn every_byte_is_there_however_it_came_and_however_it_ends() {
        let cases: &[&[&'static str]] = &[&[], &["abcd"], &["ab", "cd"], &["", "a", "", "bcd", ""]];
        for pieces in cases {
            let all = pieces.concat();
            match read(body(pieces, None), 4).await {
                Read::Whole(whole) => assert_eq!(whole, all),
                _ => panic!("{pieces:?}"),
            }
            match read(body(pieces, Some("cut")), 4).await {
                Read::Broken(whole, error) => {
                    assert_eq!((whole.clone(), &*error.to_string()), (all.into(), "cut"));
                    let mut again = broken(whole.clone(), error);
                    if !whole.is_empty() {
                        let first = again.frame().await.unwrap().unwrap();
                        assert_eq!(first.into_data().unwrap(), whole);
                    }
                    let end = again.frame().await.unwrap();
                    assert_eq!(end.unwrap_err().to_string(), "cut");
                }
                _ => panic!("{pieces:?}"),
            }
        }
        match read(body(&["ab", "cd", "ef"], None), 3).await {
            Read::Longer(all) => assert_eq!(all.bytes().await.unwrap(), "abcdef"),
            _ => panic!("it is longer"),
        }
    }
}
