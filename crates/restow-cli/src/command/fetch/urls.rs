//! The URLs to fetch: those of the command line, then those of stdin, each made or read when its turn comes.

use crate::{exit::Failure, ranges::Pattern};
use futures_util::{Stream, StreamExt as _, stream};
use std::{io::BufRead as _, thread};
use tokio::sync::mpsc;

/// Returns the URLs, and how many there are where that is known.
pub(super) fn urls(
    patterns: &[String],
    stdin: bool,
) -> Result<(impl Stream<Item = String> + use<>, Option<u64>), Failure> {
    let patterns = patterns
        .iter()
        .map(|p| Pattern::parse(p))
        .collect::<Result<Vec<_>, _>>()?;
    let count = patterns
        .iter()
        .try_fold(0_u64, |n, p| n.checked_add(p.len()));
    let given = stream::iter(patterns.into_iter().flat_map(Pattern::into_urls));
    let read = if stdin {
        lines().left_stream()
    } else {
        stream::empty().right_stream()
    };
    Ok((given.chain(read), count.filter(|_| !stdin)))
}

/// The lines of stdin. A thread of its own reads them: a runtime cannot wait for a terminal without one.
fn lines() -> impl Stream<Item = String> {
    let (sender, mut receiver) = mpsc::channel(64);
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            let line = line.trim();
            if !line.is_empty() && sender.blocking_send(line.to_owned()).is_err() {
                return;
            }
        }
    });
    stream::poll_fn(move |context| receiver.poll_recv(context))
}
