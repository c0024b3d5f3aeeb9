//! What other processes change: published with each change, heard by those who have a memory tier.

use super::core::{Core, Heard};
use crate::{
    BoxStream, RawKey,
    entry::{Address, Partition},
    store::{Change, TableName},
};
use futures_util::StreamExt;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{interval, sleep, timeout};

/// Beyond so many bytes of addresses it is the whole table that changed.
const MOST: usize = 64 << 10;
/// How often it is asked whether the connection is still there, and how long an answer may take.
const ASK: Duration = Duration::from_millis(400);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);

const ADDRESSES: u8 = 1;
const TABLE: u8 = 2;
const EVERYTHING: u8 = 3;

/// Writes a change: the sender (16 bytes), its kind (1), the length of the name of the table (1) and the name; then addresses.
pub(super) fn message(sender: &[u8; 16], change: &Change) -> Vec<u8> {
    match change {
        Change::Address(table, address) => addresses(sender, table.as_str(), [address].into_iter()),
        Change::Table(table) => begin(sender, TABLE, table.as_str()),
        Change::Everything | Change::Silence => begin(sender, EVERYTHING, ""),
    }
}

/// Writes that addresses of a table changed.
pub(super) fn addresses<'a>(
    sender: &[u8; 16],
    table: &str,
    all: impl Iterator<Item = &'a Address>,
) -> Vec<u8> {
    let mut out = begin(sender, ADDRESSES, table);
    for address in all {
        let (key, partition) = (address.key.as_bytes(), address.partition.as_str());
        for part in [key, partition.as_bytes()] {
            let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(part);
        }
        if out.len() > MOST {
            return begin(sender, TABLE, table);
        }
    }
    out
}

fn begin(sender: &[u8; 16], kind: u8, table: &str) -> Vec<u8> {
    let mut out = sender.to_vec();
    out.push(kind);
    out.push(u8::try_from(table.len()).unwrap_or_default());
    out.extend_from_slice(table.as_bytes());
    out
}

/// Reads a message; nothing where it is our own. What cannot be read may have been anything.
fn read(ours: &[u8; 16], message: &[u8]) -> Vec<Change> {
    match message.split_first_chunk::<16>() {
        Some((sender, _)) if sender == ours => Vec::new(),
        Some((_, rest)) => parse(rest).unwrap_or_else(|| vec![Change::Everything]),
        None => vec![Change::Everything],
    }
}

fn parse(rest: &[u8]) -> Option<Vec<Change>> {
    let ([kind, len], rest) = rest.split_first_chunk()?;
    if *kind == EVERYTHING {
        return Some(vec![Change::Everything]);
    }
    let (name, mut rest) = rest.split_at_checked(usize::from(*len))?;
    let table = TableName::new(std::str::from_utf8(name).ok()?).ok()?;
    if *kind != ADDRESSES {
        return Some(vec![Change::Table(table)]);
    }
    let mut changes = Vec::new();
    while !rest.is_empty() {
        let key = RawKey::from_bytes(take(&mut rest)?).ok()?;
        let partition = std::str::from_utf8(take(&mut rest)?).ok()?;
        let partition = Partition::parse(partition).ok()?;
        changes.push(Change::Address(table.clone(), Address { key, partition }));
    }
    Some(changes)
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, after) = rest.split_first_chunk()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (part, after) = after.split_at_checked(len)?;
    *rest = after;
    Some(part)
}

/// Counts those who listen.
struct Listening<'a>(&'a Heard);

impl<'a> Listening<'a> {
    fn new(heard: &'a Heard) -> Self {
        heard.listening.fetch_add(1, Ordering::AcqRel);
        Self(heard)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.listening.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Returns what others change, until the store is closed. Each time the connection is made, anything may have been missed.
pub(super) fn changes(core: Arc<Core>) -> BoxStream<'static, Change> {
    Box::pin(async_stream::stream! {
        while core.check_open().is_ok() {
            if core.link.watch().check().is_err() {
                // Whoever writes another format tells of it in another way, as far as we know.
                sleep(PAUSE).await;
                continue;
            }
            let mut listening = match timeout(core.link.options().timeout, core.link.listen()).await {
                Ok(Ok(listening)) => listening,
                Ok(Err(_)) | Err(_) => {
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let subscribed = listening.subscribe(core.names.channel());
            if !matches!(timeout(core.link.options().timeout, subscribed).await, Ok(Ok(()))) {
                sleep(PAUSE).await;
                continue;
            }
            core.heard.changes.fetch_add(1, Ordering::AcqRel);
            let present = Listening::new(&core.heard);
            yield Change::Everything;
            let (mut sink, mut messages) = listening.split();
            let mut ask = interval(ASK);
            loop {
                let message = tokio::select! {
                    message = messages.next() => message,
                    _ = ask.tick() => {
                        // Who is not answered hears nothing, and does not know it.
                        let answered = timeout(ASK, sink.ping::<redis::Value>()).await;
                        let is_ours = core.check_open().and_then(|()| core.link.watch().check());
                        if is_ours.is_err() || !matches!(answered, Ok(Ok(_))) {
                            break;
                        }
                        continue;
                    }
                };
                let Some(message) = message else { break };
                let changes = read(&core.sender, message.get_payload_bytes());
                if !changes.is_empty() {
                    core.heard.changes.fetch_add(1, Ordering::AcqRel);
                }
                for change in changes {
                    yield change;
                }
            }
            drop(present);
            yield Change::Silence;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FieldRef;

    #[test]
    fn what_is_published_is_read_by_others_alone() {
        let table = TableName::new("日本").unwrap();
        let address = Address {
            key: RawKey::new([FieldRef::Text("a"), FieldRef::Absent], "q=1").unwrap(),
            partition: Partition::principal("alice").unwrap(),
        };
        for change in [
            Change::Address(table.clone(), address.clone()),
            Change::Table(table.clone()),
            Change::Everything,
        ] {
            let message = message(&[1; 16], &change);
            assert!(read(&[1; 16], &message).is_empty());
            let heard = read(&[2; 16], &message);
            assert_eq!(format!("{heard:?}"), format!("{:?}", [change]));
        }
        let many = vec![&address; 10_000];
        let message = addresses(&[1; 16], table.as_str(), many.into_iter());
        assert!(matches!(read(&[2; 16], &message)[..], [Change::Table(_)]));
        for damaged in [&b"x"[..], &[0; 17], &[7; 40]] {
            assert!(matches!(read(&[2; 16], damaged)[..], [Change::Everything]));
        }
    }
}
