//! Bodies that are encoded or decoded on their way, in pieces.

use crate::{coding::Coding, whole::Held};
use async_compression::{
    Level, brotli,
    tokio::bufread as codec,
    zstd::{CParameter, DParameter},
};
use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body::{Body as _, Frame};
use http_body_util::StreamBody;
use restow::{client::Body, endpoint::Rejection};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt as _, ReadBuf};
use tokio_util::io::ReaderStream;

/// The most of a body that one step of a codec is given.
const PIECE: usize = 16 << 10;
/// How much a codec takes in, or gives out, before other tasks have their turn: a few milliseconds of work.
const TURN: usize = 128 << 10;
/// How many times its length a body may grow to where it is decoded.
const MOST_GROWTH: u64 = 250;
/// Up to this length it may grow as it likes for the store.
const FREE_GROWTH: u64 = 1 << 20;
/// Up to here what grows beyond measure at its beginning may be less so later.
const FREE_BEGINNING: u64 = 4 << 20;
/// The window in which zstd and brotli look for repetitions, as a power of two: memory of each answer under way.
const WINDOW: u8 = 18;
/// The largest window that an answer in zstd may ask for (RFC 9659).
const LARGEST_WINDOW: u32 = 23;

type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// Encodes a body while it is read.
pub(crate) fn encoded(coding: Coding, body: Body) -> Body {
    let from = Pieces::of(body);
    passing(match coding {
        Coding::Gzip => Box::pin(codec::GzipEncoder::with_quality(from, Level::Precise(4))),
        Coding::Deflate => Box::pin(codec::ZlibEncoder::with_quality(from, Level::Precise(4))),
        Coding::Brotli => {
            let params = brotli::EncoderParams::default().quality(Level::Precise(4));
            let params = params.window_size(WINDOW.into());
            Box::pin(codec::BrotliEncoder::with_params(from, params))
        }
        Coding::Zstd => {
            let window = CParameter::window_log(WINDOW.into());
            let level = Level::Precise(3);
            Box::pin(codec::ZstdEncoder::with_quality_and_params(
                from,
                level,
                &[window],
            ))
        }
    })
}

/// Decodes a body while it is read. Up to `free` bytes it may grow as it likes; it fails where it is longer, and grows more than bodies do.
pub(crate) fn decoded(coding: Coding, body: Body, free: u64) -> Body {
    let from = Pieces::of(body);
    let taken = from.taken.clone();
    let mut given = 0;
    let pieces = ReaderStream::with_capacity(decoder_of(coding, from), PIECE);
    let pieces = pieces.map(move |piece| {
        let piece = piece?;
        given += piece.len() as u64;
        if given > free.max(taken.load(Relaxed).saturating_mul(MOST_GROWTH)) {
            tracing::warn!(target: "restow", ?coding, "an answer that grows beyond all measure where it is decoded for its client is cut");
            return Err(io::Error::other(Rejection::Expands.to_string()));
        }
        Ok(Frame::data(piece))
    });
    Body::passing(StreamBody::new(pieces.boxed()))
}

/// What a body holds, while it is decoded.
pub(crate) struct Decoder {
    reader: Reader,
    taken: Arc<AtomicU64>,
}

impl Decoder {
    /// Decodes a body.
    pub(crate) fn of(coding: Coding, body: Body) -> Self {
        let from = Pieces::of(body);
        Self {
            taken: from.taken.clone(),
            reader: decoder_of(coding, from),
        }
    }

    /// Decodes what was made by the bare algorithm: some take "deflate" at its word, and leave out the frame that it has in HTTP (RFC 9110
    /// section 8.4.1.2).
    pub(crate) fn bare(body: Body) -> Self {
        let from = Pieces::of(body);
        Self {
            taken: from.taken.clone(),
            reader: Box::pin(codec::DeflateDecoder::new(from)),
        }
    }

    /// Decodes it to its end, up to `most` bytes.
    ///
    /// # Errors
    /// Where it is not of this coding, or breaks off; within: [`Rejection::TooLarge`] where it becomes longer, [`Rejection::Expands`] where
    /// it has grown so far as no body does.
    pub(crate) async fn read(mut self, most: u64) -> io::Result<Result<Held, Rejection>> {
        let mut held = Held::default();
        let mut turn = 0;
        loop {
            let (into, room) = held.room();
            let length = self
                .reader
                .read_buf(&mut into.limit(room.min(PIECE)))
                .await?;
            if length == 0 {
                return Ok(Ok(held));
            }
            let len = held.len() as u64;
            if len > most {
                return Ok(Err(Rejection::TooLarge));
            }
            if len > growth(self.taken.load(Relaxed)).max(FREE_BEGINNING) {
                return Ok(Err(Rejection::Expands));
            }
            turn += length;
            if turn >= TURN {
                turn = 0;
                tokio::task::yield_now().await;
            }
        }
    }
}

/// How long so many bytes may become for the store where they are decoded.
pub(crate) fn growth(length: u64) -> u64 {
    length.saturating_mul(MOST_GROWTH).max(FREE_GROWTH)
}

fn decoder_of(coding: Coding, from: Pieces) -> Reader {
    match coding {
        Coding::Gzip => {
            let mut decoder = codec::GzipDecoder::new(from);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Coding::Deflate => Box::pin(codec::ZlibDecoder::new(from)),
        Coding::Brotli => Box::pin(codec::BrotliDecoder::new(from)),
        Coding::Zstd => {
            let window = DParameter::window_log_max(LARGEST_WINDOW);
            let mut decoder = codec::ZstdDecoder::with_params(from, &[window]);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
    }
}

fn passing(reader: Reader) -> Body {
    let pieces = ReaderStream::with_capacity(reader, PIECE);
    Body::passing(StreamBody::new(pieces.map_ok(Frame::data).boxed()))
}

/// A body as codecs read it: in small pieces, with a pause for other tasks after a few.
struct Pieces {
    body: Body,
    piece: Bytes,
    turn: usize,
    /// How many bytes a codec has taken.
    taken: Arc<AtomicU64>,
}

impl Pieces {
    fn of(body: Body) -> Self {
        Self {
            body,
            piece: Bytes::new(),
            turn: 0,
            taken: Arc::default(),
        }
    }
}

impl AsyncBufRead for Pieces {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.turn >= TURN {
            this.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        while this.piece.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => this.piece = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(&[])),
            }
        }
        let end = this.piece.len().min(PIECE);
        Poll::Ready(Ok(this.piece.get(..end).unwrap_or_default()))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        this.piece.advance(amount.min(this.piece.len()));
        this.turn += amount;
        this.taken.fetch_add(amount as u64, Relaxed);
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let piece = ready!(self.as_mut().poll_fill_buf(cx))?;
        let length = piece.len().min(into.remaining());
        into.put_slice(piece.get(..length).unwrap_or_default());
        self.consume(length);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const ALL: [Coding; 4] =
        [Coding::Zstd, Coding::Brotli, Coding::Gzip, Coding::Deflate];

    pub(crate) async fn encode(coding: Coding, body: &Bytes) -> Bytes {
        let body = encoded(coding, Body::whole(body.clone()));
        body.bytes().await.unwrap()
    }

    /// Text that repeats itself, but not too much.
    pub(crate) fn text(lines: usize) -> Bytes {
        let line = |n: usize| format!("{n:08} {:016x}\n", n.wrapping_mul(0x9E37_79B9));
        (0..lines).map(line).collect::<String>().into()
    }

    #[tokio::test]
    async fn what_is_encoded_comes_back_whatever_its_length() {
        for coding in ALL {
            for lines in [0, 1, 100, 40_000] {
                let plain = text(lines);
                let encoded = encode(coding, &plain).await;
                assert!(
                    plain.len() < 10_000 || encoded.len() < plain.len() * 3 / 4,
                    "{coding:?}"
                );
                let streamed = decoded(coding, Body::whole(encoded), 0);
                assert!(
                    streamed.bytes().await.unwrap() == plain,
                    "{coding:?} {lines}"
                );
            }
        }
    }

    #[tokio::test]
    async fn what_grows_too_much_is_cut_where_it_is_decoded() {
        for coding in ALL {
            // Nothing, very often.
            let bomb = encode(coding, &vec![0; 8 << 20].into()).await;
            assert!(bomb.len() < 16 << 10, "{coding:?} {}", bomb.len());
            for (free, whole) in [(4 << 20, false), (8 << 20, true)] {
                let body = decoded(coding, Body::whole(bomb.clone()), free);
                assert_eq!(body.bytes().await.is_ok(), whole, "{coding:?}, {free}");
            }
        }
    }
}
