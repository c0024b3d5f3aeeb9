//! Bodies that come encoded, decoded while they arrive: that one is too much is seen long before all of it is there.

use crate::{
    coding::Coding,
    recode::{Decoder, growth},
    whole::Held,
};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use restow::{
    client::{Body, BoxError},
    endpoint::Rejection,
};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

/// What became of a body.
pub(crate) enum Plain {
    /// What it holds.
    Whole(Bytes),
    /// All of it as it comes, and why it is left so: [`Rejection::Encoding`] where it is not of this coding, or breaks off;
    /// [`Rejection::TooLarge`] where it is, or becomes, longer than was allowed; [`Rejection::Expands`] where it grows more than bodies do.
    Encoded(Body, Rejection),
    /// It broke off after this.
    Broken(Bytes, BoxError),
}

/// Decodes a body of up to `most` bytes to as many.
pub(crate) async fn read<B>(coding: Coding, body: B, most: u64) -> Plain
where
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    let length = body.size_hint().exact();
    let expands = length.map_or(u64::MAX, growth);
    let limit = most.min(expands);
    let mut tee = Tee::of(Body::passing(body), most);
    let mut decoded = Decoder::of(coding, tee.body()).read(limit).await;
    if decoded.is_err()
        && coding == Coding::Deflate
        && let Some(again) = tee.again()
    {
        tee = again;
        decoded = Decoder::bare(tee.body()).read(limit).await;
    }
    if let Ok(Ok(_)) = decoded {
        // What stands behind the end of its coding has to arrive, too.
        tee.drain().await;
    }
    let Came {
        rest, held, end, ..
    } = tee.into_inner();
    let why = match (end, decoded) {
        (Some(End::Broken(error)), _) => return Plain::Broken(held.whole(), error),
        (Some(End::TooLong), _) => Rejection::TooLarge,
        (Some(End::Whole), _) if held.len() == 0 => return Plain::Whole(Bytes::new()),
        (_, Ok(Ok(decoded))) if decoded.len() as u64 <= growth(held.len() as u64) => {
            drop(held);
            return Plain::Whole(decoded.whole());
        }
        (_, Ok(Ok(_))) => Rejection::Expands,
        (_, Ok(Err(Rejection::TooLarge))) if expands < most => Rejection::Expands,
        (_, Ok(Err(why))) => why,
        (_, Err(_)) => Rejection::Encoding,
    };
    Plain::Encoded(held.before(rest), why)
}

/// A body that is given to a decoder, and held for who gets it as it comes.
struct Tee(Arc<Mutex<Came>>);

/// What has come of a body.
#[derive(Default)]
struct Came {
    rest: Body,
    held: Held,
    most: u64,
    end: Option<End>,
}

/// Why no more comes of a body.
enum End {
    Whole,
    TooLong,
    Broken(BoxError),
}

impl Tee {
    fn of(rest: Body, most: u64) -> Self {
        let came = Came {
            rest,
            most,
            ..Came::default()
        };
        Self(Arc::new(Mutex::new(came)))
    }

    /// The body for the decoder.
    fn body(&self) -> Body {
        Body::passing(Self(self.0.clone()))
    }

    /// The same from its beginning; `None` where no decoder can read it to its end.
    fn again(&self) -> Option<Self> {
        let mut came = self.lock();
        let ends = matches!(came.end, None | Some(End::Whole));
        ends.then(|| std::mem::take(&mut *came))
            .map(|came| Self::of(came.held.before(came.rest), came.most))
    }

    async fn drain(&mut self) {
        while self.frame().await.is_some() {}
    }

    fn into_inner(self) -> Came {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Came> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_body::Body for Tee {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut came = self.lock();
        while came.end.is_none() {
            match ready!(Pin::new(&mut came.rest).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(piece) = frame.into_data() else {
                        continue;
                    };
                    came.held.push(piece.clone());
                    if came.held.len() as u64 > came.most {
                        came.end = Some(End::TooLong);
                    } else {
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                }
                Some(Err(error)) => came.end = Some(End::Broken(error)),
                None => came.end = Some(End::Whole),
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recode::tests::{ALL, encode, text};
    use futures_util::stream;
    use http_body_util::StreamBody;

    /// A body in pieces, so that its length is not known; it breaks off where it is told to.
    fn pieces(body: &Bytes, size: usize, breaks: bool) -> Body {
        let pieces = body.chunks(size).map(Bytes::copy_from_slice);
        let pieces = pieces.map(|piece| Ok(Frame::data(piece)));
        let end = breaks.then(|| Err(BoxError::from("cut")));
        let frames: Vec<_> = pieces.chain(end).collect();
        Body::passing(StreamBody::new(stream::iter(frames)))
    }

    /// Decodes a body whose length is known, and one whose length is not; what is left as it came has to be what came.
    async fn both(coding: Coding, body: &Bytes, most: u64) -> [Result<Bytes, Rejection>; 2] {
        let mut both = [Ok(Bytes::new()), Ok(Bytes::new())];
        let bodies = [Body::whole(body.clone()), pieces(body, 1000, false)];
        for (got, sent) in both.iter_mut().zip(bodies) {
            *got = match read(coding, sent, most).await {
                Plain::Whole(plain) => Ok(plain),
                Plain::Encoded(came, why) => {
                    assert!(came.bytes().await.unwrap() == body, "{coding:?} {why:?}");
                    Err(why)
                }
                Plain::Broken(..) => panic!("{coding:?}: it did not break off"),
            };
        }
        both
    }

    async fn same(coding: Coding, body: &Bytes, most: u64, expected: Result<Bytes, Rejection>) {
        for got in both(coding, body, most).await {
            let lengths = (
                got.as_ref().map(Bytes::len),
                expected.as_ref().map(Bytes::len),
            );
            assert!(got == expected, "{coding:?}: {lengths:?}");
        }
    }

    #[tokio::test]
    async fn what_is_encoded_comes_back_whatever_its_length() {
        for coding in ALL {
            for lines in [0, 1, 100, 40_000] {
                let plain = text(lines);
                let encoded = encode(coding, &plain).await;
                same(coding, &encoded, 2 << 20, Ok(plain)).await;
            }
            same(coding, &Bytes::new(), 10, Ok(Bytes::new())).await;
        }
    }

    #[tokio::test]
    async fn what_is_too_long_or_not_of_its_coding_is_left_as_it_came() {
        for coding in ALL {
            let plain = text(1_000);
            let encoded = encode(coding, &plain).await;
            let length = plain.len() as u64;
            same(coding, &encoded, length, Ok(plain)).await;
            same(coding, &encoded, length - 1, Err(Rejection::TooLarge)).await;
            // As it came it is too long already.
            let most = encoded.len() as u64 - 1;
            same(coding, &encoded, most, Err(Rejection::TooLarge)).await;
            let cut = encoded.slice(..encoded.len() - 1);
            same(coding, &cut, length, Err(Rejection::Encoding)).await;
            let junk = Bytes::from_static(b"{\"this\": \"is plain\"}");
            same(coding, &junk, length, Err(Rejection::Encoding)).await;
            let junk = Bytes::from(junk.repeat(1_000));
            same(coding, &junk, 1 << 20, Err(Rejection::Encoding)).await;
        }
    }

    #[tokio::test]
    async fn what_grows_beyond_all_measure_is_left_as_it_came() {
        for coding in ALL {
            let expected = Err(Rejection::Expands);
            for length in [2, 8] {
                let bomb = encode(coding, &vec![0; length << 20].into()).await;
                same(coding, &bomb, u64::MAX, expected.clone()).await;
            }
            // What does so at its beginning alone is none.
            let plain = [&vec![0; 3 << 20][..], &text(40_000)].concat().into();
            let encoded = encode(coding, &plain).await;
            same(coding, &encoded, 8 << 20, Ok(plain)).await;
        }
    }

    #[tokio::test]
    async fn what_breaks_off_is_known_to_whatever_was_decoded() {
        for coding in ALL {
            let plain = text(1_000);
            let encoded = encode(coding, &plain).await;
            for length in [0, 1, encoded.len() / 2, encoded.len()] {
                let some = encoded.slice(..length);
                match read(coding, pieces(&some, 100, true), 1 << 20).await {
                    Plain::Broken(came, error) => {
                        assert_eq!((came, &*error.to_string()), (some, "cut"));
                    }
                    _ => panic!("{coding:?} {length}: it broke off"),
                }
            }
        }
    }

    #[tokio::test]
    async fn members_follow_each_other_and_deflate_may_lack_its_frame() {
        let (one, two) = (text(3), text(5));
        for coding in [Coding::Gzip, Coding::Zstd] {
            let pieces = [encode(coding, &one).await, encode(coding, &two).await];
            let plain = [one.clone(), two.clone()].concat().into();
            same(coding, &pieces.concat().into(), 1 << 20, Ok(plain)).await;
        }
        let framed = encode(Coding::Deflate, &one).await;
        let bare = framed.slice(2..framed.len() - 4);
        same(Coding::Deflate, &bare, 1 << 20, Ok(one)).await;
    }

    /// Of what says very much only as much is taken as shows it.
    #[tokio::test]
    async fn a_bomb_is_not_read_to_its_end() {
        let member = encode(Coding::Gzip, &vec![0; 1 << 20].into()).await;
        let (sent, asked) = (member.clone(), Arc::new(Mutex::new(0)));
        let counts = asked.clone();
        let endless = stream::repeat_with(move || {
            *counts.lock().unwrap() += 1;
            Ok::<_, BoxError>(Frame::data(sent.clone()))
        });
        let body = Body::passing(StreamBody::new(endless));
        match read(Coding::Gzip, body, 64 << 20).await {
            Plain::Encoded(_, why) => assert_eq!(why, Rejection::Expands),
            _ => panic!("it has no end"),
        }
        assert_eq!(*asked.lock().unwrap(), 5, "members of one MiB each");
    }
}
