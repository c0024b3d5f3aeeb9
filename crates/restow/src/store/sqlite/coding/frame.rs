//! Frames of zstd, bounded on the way out. Contexts and digested dictionaries are used again and again.

use std::{cell::RefCell, fmt, sync::OnceLock};
use zstd_safe::{CCtx, CDict, DCtx, DDict};

/// Higher levels cost several times as much for a few percent.
const LEVEL: i32 = 3;
/// No frame holds more than so many times its own bytes: a block of 128 KiB takes four.
const EXPANSION: usize = 32_768;

thread_local! {
    static CONTEXTS: RefCell<Contexts> = RefCell::default();
}

#[derive(Default)]
struct Contexts {
    compress: Option<CCtx<'static>>,
    decompress: Option<DCtx<'static>>,
}

/// A dictionary in the forms that zstd reads fastest.
pub(super) struct Digested {
    bytes: Box<[u8]>,
    decoder: DDict<'static>,
    /// Whoever only reads needs none.
    encoder: OnceLock<Option<CDict<'static>>>,
}

impl Digested {
    /// `None` where it is no dictionary.
    pub(super) fn new(bytes: Box<[u8]>) -> Option<Self> {
        Some(Self {
            decoder: DDict::try_create(&bytes)?,
            bytes,
            encoder: OnceLock::new(),
        })
    }

    fn encoder(&self) -> Option<&CDict<'static>> {
        let digest = || CDict::try_create(&self.bytes, LEVEL);
        self.encoder.get_or_init(digest).as_ref()
    }
}

impl fmt::Debug for Digested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digested")
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Makes a frame; `None` where memory is short.
pub(super) fn compress(plain: &[u8], dictionary: Option<&Digested>) -> Option<Vec<u8>> {
    let mut frame = Vec::new();
    frame
        .try_reserve_exact(zstd_safe::compress_bound(plain.len()))
        .ok()?;
    with_contexts(|contexts| {
        let context = match &mut contexts.compress {
            Some(context) => context,
            none => none.insert(CCtx::try_create()?),
        };
        match dictionary {
            Some(dictionary) => {
                context.compress_using_cdict(&mut frame, plain, dictionary.encoder()?)
            }
            None => context.compress(&mut frame, plain, LEVEL),
        }
        .ok()
    })?;
    Some(frame)
}

/// Reads a frame that holds exactly `len` bytes; `None` where it does not.
pub(super) fn decompress(
    frame: &[u8],
    len: usize,
    dictionary: Option<&Digested>,
) -> Option<Vec<u8>> {
    if content_size(frame)? != len {
        return None;
    }
    let mut plain = Vec::new();
    plain.try_reserve_exact(len).ok()?;
    with_contexts(|contexts| {
        let context = match &mut contexts.decompress {
            Some(context) => context,
            none => none.insert(DCtx::try_create()?),
        };
        // More than fits is an error of zstd's.
        match dictionary {
            Some(dictionary) => {
                context.decompress_using_ddict(&mut plain, frame, &dictionary.decoder)
            }
            None => context.decompress(&mut plain, frame),
        }
        .ok()
    })?;
    (plain.len() == len).then_some(plain)
}

/// Returns how many bytes a frame says it holds; `None` where it cannot hold so many.
pub(super) fn content_size(frame: &[u8]) -> Option<usize> {
    let size = zstd_safe::get_frame_content_size(frame).ok()??;
    let size = usize::try_from(size).ok()?;
    (size / EXPANSION <= frame.len()).then_some(size)
}

fn with_contexts<T>(f: impl FnOnce(&mut Contexts) -> Option<T>) -> Option<T> {
    let done = CONTEXTS.try_with(|contexts| f(&mut *contexts.try_borrow_mut().ok()?));
    done.ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_hold_no_more_than_is_expected() {
        let plain = b"{\"name\":\"Song\"}".repeat(20);
        for len in [0, 1, plain.len()] {
            let plain = &plain[..len];
            let frame = compress(plain, None).unwrap();
            assert_eq!(decompress(&frame, len, None).as_deref(), Some(plain));
            assert_eq!(decompress(&frame, len + 1, None), None);
            let twice = [&*frame, &*frame].concat();
            assert_eq!(decompress(&twice, len, None).is_some(), len == 0);
        }
    }

    #[test]
    fn a_frame_that_claims_more_than_it_can_hold_allocates_nothing() {
        // The size of the content, eight bytes long, is all that this header has behind its magic number and its descriptor.
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1110_0000];
        frame.extend_from_slice(&(1_u64 << 46).to_le_bytes());
        frame.extend_from_slice(&[1, 0, 0]);
        assert_eq!(
            zstd_safe::get_frame_content_size(&frame).unwrap(),
            Some(1 << 46)
        );
        assert_eq!(content_size(&frame), None);
        assert_eq!(decompress(&frame, 1 << 46, None), None);
    }

    #[test]
    fn no_damaged_frame_comes_back_as_if_it_were_whole_in_length_alone() {
        let plain = b"{\"name\":\"Song\"}".repeat(20);
        let frame = compress(&plain, None).unwrap();
        for end in 0..frame.len() {
            assert_eq!(decompress(&frame[..end], plain.len(), None), None);
        }
    }
}
