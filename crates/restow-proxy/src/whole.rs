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
    let mut read = Joined::default();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(piece)) => read.push(piece),
            Ok(Err(_)) => continue,
            Err(error) => return Read::Broken(read.whole(), error),
        }
        if read.len() as u64 > most {
            let first = stream::iter([Ok(Frame::data(read.whole()))]);
            let all = first.chain(BodyStream::new(body));
            return Read::Longer(Body::passing(StreamBody::new(all)));
        }
    }
    Read::Whole(read.whole())
}

/// A body that breaks off after these bytes.
pub(crate) fn broken(read: Bytes, error: BoxError) -> Body {
    let read = Some(read).filter(|r| !r.is_empty());
    let frames = read.map(|r| Ok(Frame::data(r))).into_iter();
    let frames = frames.chain([Err(error)]).collect::<Vec<_>>();
    Body::passing(StreamBody::new(stream::iter(frames)))
}

/// Pieces in one. A single one is not copied; many small ones do not keep the buffers that they came in.
#[derive(Default)]
struct Joined {
    first: Bytes,
    all: BytesMut,
}

impl Joined {
    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        self.all.extend_from_slice(&std::mem::take(&mut self.first));
        self.all.extend_from_slice(&piece);
    }

    fn whole(self) -> Bytes {
        match self.all.is_empty() {
            true => self.first,
            false => self.all.freeze(),
        }
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
