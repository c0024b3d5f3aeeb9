//! Reading on a thread of its own, a little ahead of who takes what is read.

use std::vec;
use tokio::sync::mpsc;

/// So many parcels may wait.
const PARCELS: usize = 2;
/// So many items go together,
const ITEMS: usize = 128;
/// unless they are larger than this, in bytes.
const BYTES: u64 = 1 << 20;

/// Where a thread puts what it reads.
#[derive(Debug)]
pub(super) struct Ahead<T> {
    sender: mpsc::Sender<Vec<T>>,
    parcel: Vec<T>,
    bytes: u64,
}

impl<T> Ahead<T> {
    /// Adds an item of about this size; `false` where nobody wants more.
    pub(super) fn push(&mut self, item: T, bytes: u64) -> bool {
        self.parcel.push(item);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.parcel.len() < ITEMS && self.bytes < BYTES {
            return true;
        }
        self.send()
    }

    fn send(&mut self) -> bool {
        self.bytes = 0;
        let parcel = std::mem::take(&mut self.parcel);
        self.sender.blocking_send(parcel).is_ok()
    }
}

/// What comes of it, item by item.
#[derive(Debug)]
pub(super) struct Coming<T> {
    parcels: mpsc::Receiver<Vec<T>>,
    items: vec::IntoIter<T>,
}

impl<T> Coming<T> {
    /// Waits for the next item; `None` behind the last.
    pub(super) async fn next(&mut self) -> Option<T> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(item);
            }
            self.items = self.parcels.recv().await?.into_iter();
        }
    }
}

/// Runs `read` on a thread of its own.
pub(super) fn ahead<T: Send + 'static>(
    read: impl FnOnce(&mut Ahead<T>) + Send + 'static,
) -> Coming<T> {
    let (sender, parcels) = mpsc::channel(PARCELS);
    tokio::task::spawn_blocking(move || {
        let mut ahead = Ahead {
            sender,
            parcel: Vec::new(),
            bytes: 0,
        };
        read(&mut ahead);
        // Nobody waits for it, once the stream is dropped.
        _ = ahead.send();
    });
    Coming {
        parcels,
        items: Vec::new().into_iter(),
    }
}
