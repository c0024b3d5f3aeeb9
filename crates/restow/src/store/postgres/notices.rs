//! What others change: told by NOTIFY as part of each change, heard by LISTEN.

use super::{
    engine::{Connector, Engine, Use},
    error::{Attempt, Fault},
    layout::Area,
};
use crate::{
    BoxStream, RawKey,
    entry::{Address, Partition},
    store::{Change, TableName},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use std::{future::poll_fn, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{interval, timeout},
};
use tokio_postgres::{AsyncMessage, Client};

/// PostgreSQL takes fewer than 8,000 bytes at once.
const MAX_NOTICE: usize = 7_900;
/// A change that takes more notices than this is told as one of the whole table.
const MAX_NOTICES: usize = 16;
/// So many wait to be heard; beyond that the server holds them.
const WAITING: usize = 1_024;
/// How long to wait before connecting again, at first and at most.
const PATIENCE: Duration = Duration::from_millis(25);
const MOST_PATIENCE: Duration = Duration::from_millis(500);
/// How often it is asked whether the connection is still there, and how long an answer may take.
const ASK: Duration = Duration::from_millis(400);

/// The channel of all stores in one area.
pub(super) fn channel(area: &Area) -> String {
    format!("restow_{:016x}", area.number())
}

/// Says that entries at addresses changed: a store's number, a table, then an address a line. Where those are many, the table stands alone.
pub(super) fn of_addresses<'a>(
    instance: u64,
    table: &TableName,
    at: impl Iterator<Item = &'a Address>,
) -> Vec<String> {
    let begin = || format!("{instance:016x}\n{table}");
    let mut notices = Vec::new();
    let mut notice = begin();
    for address in at {
        let line = STANDARD_NO_PAD.encode(bytes(address));
        if notice.len() + 1 + line.len() > MAX_NOTICE {
            notices.push(std::mem::replace(&mut notice, begin()));
            if notices.len() == MAX_NOTICES || begin().len() + 1 + line.len() > MAX_NOTICE {
                return of_table(instance, table);
            }
        }
        notice.push('\n');
        notice += &line;
    }
    notices.push(notice);
    notices
}

/// Says that a whole table changed.
pub(super) fn of_table(instance: u64, table: &TableName) -> Vec<String> {
    vec![format!("{instance:016x}\n{table}")]
}

/// Reads a notice: what others changed, and nothing for one's own.
fn read(instance: u64, notice: &str) -> Vec<Change> {
    let mut lines = notice.split('\n');
    let whose = lines
        .next()
        .and_then(|hex| u64::from_str_radix(hex, 16).ok());
    if whose == Some(instance) {
        return Vec::new();
    }
    let table = lines.next().and_then(|name| TableName::new(name).ok());
    let Some(table) = table.filter(|_| whose.is_some()) else {
        return vec![Change::Everything];
    };
    let read = |line: &str| address(&STANDARD_NO_PAD.decode(line).ok()?);
    match lines.map(read).collect::<Option<Vec<_>>>() {
        Some(all) if !all.is_empty() => all
            .into_iter()
            .map(|at| Change::Address(table.clone(), at))
            .collect(),
        _ => vec![Change::Table(table)],
    }
}

/// Streams what others change, until the store is closed. Whenever it begins to listen, also after a lost connection, everything may have
/// changed, and it says so.
pub(super) fn listen(engine: &Arc<Engine>) -> BoxStream<'static, Change> {
    let (connector, instance) = (engine.connector(), engine.instance);
    let (channel, mut closing) = (channel(&engine.area), engine.closing());
    Box::pin(async_stream::stream! {
        let mut patience = PATIENCE;
        loop {
            let opening = timeout(connector.timeout(), Session::open(&connector, &channel));
            let opened = tokio::select! {
                opened = opening => opened.unwrap_or(Err(Fault::TimedOut)),
                () = ended(&mut closing) => return,
            };
            match opened {
                Ok(mut session) => {
                    patience = PATIENCE;
                    yield Change::Everything;
                    let mut ask = interval(ASK);
                    loop {
                        let notice = tokio::select! {
                            notice = session.notices.recv() => notice,
                            // Who is not answered hears nothing, and does not know it.
                            _ = ask.tick() => match connector.check().is_ok() && session.answers().await {
                                true => continue,
                                false => break,
                            },
                            () = ended(&mut closing) => return,
                        };
                        let Some(notice) = notice else { break };
                        for change in read(instance, &notice) {
                            yield change;
                        }
                    }
                    yield Change::Silence;
                }
                Err(fault) => tracing::debug!(?fault, "PostgreSQL cannot be listened to; it is tried again"),
            }
            tokio::select! {
                () = tokio::time::sleep(patience) => {}
                () = ended(&mut closing) => return,
            }
            patience = (patience * 2).min(MOST_PATIENCE);
        }
    })
}

/// A connection that listens.
struct Session {
    // The connection ends with it.
    client: Client,
    notices: mpsc::Receiver<String>,
}

impl Session {
    async fn open(connector: &Connector, channel: &str) -> Attempt<Self> {
        // Whoever writes another format tells of it in another way, as far as we know.
        connector.check()?;
        let (client, mut connection) = connector.connect_raw(Use::Notices).await?;
        let (sender, notices) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(notice) = message
                    && sender.send(notice.payload().to_owned()).await.is_err()
                {
                    break;
                }
            }
        });
        client.batch_execute(&format!("LISTEN {channel}")).await?;
        Ok(Self { client, notices })
    }

    /// Tells whether the server is still there.
    async fn answers(&self) -> bool {
        let asked = self.client.batch_execute("");
        matches!(timeout(ASK, asked).await, Ok(Ok(())))
    }
}

/// Returns once the store is closed or gone.
async fn ended(closing: &mut watch::Receiver<bool>) {
    _ = closing.wait_for(|closed| *closed).await;
}

fn bytes(at: &Address) -> Vec<u8> {
    let key = at.key.as_bytes();
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), key, at.partition.as_str().as_bytes()].concat()
}

fn address(bytes: &[u8]) -> Option<Address> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (key, partition) =
        rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some(Address {
        key: RawKey::from_bytes(key).ok()?,
        partition: Partition::parse(std::str::from_utf8(partition).ok()?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FieldRef;

    fn address_of(text: &str) -> Address {
        Address {
            key: RawKey::new([FieldRef::Text(text)], "q=1").unwrap(),
            partition: Partition::principal("alice\u{2028}日").unwrap(),
        }
    }

    fn heard(notices: &[String]) -> Vec<Option<Address>> {
        let heard = notices.iter().flat_map(|notice| read(2, notice));
        heard
            .map(|change| match change {
                Change::Address(_, at) => Some(at),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn addresses_are_heard_by_others_alone() {
        let table = TableName::new("a b").unwrap();
        let all = ["", "a\nb\0", "日本"].map(address_of);
        let notices = of_addresses(1, &table, all.iter());
        assert_eq!(heard(&notices), all.map(Some));
        assert!(read(1, &notices[0]).is_empty());
    }

    #[test]
    fn many_or_long_addresses_are_told_as_a_table() {
        let table = TableName::new("tracks").unwrap();
        let some: Vec<_> = (0..200).map(|i| address_of(&i.to_string())).collect();
        let notices = of_addresses(1, &table, some.iter());
        assert!(notices.len() > 1 && notices.iter().all(|n| n.len() <= MAX_NOTICE));
        assert_eq!(heard(&notices).len(), 200);
        let many: Vec<_> = (0..20_000).map(|i| address_of(&i.to_string())).collect();
        for at in [&many[..], &[address_of(&"x".repeat(60_000))]] {
            let notices = of_addresses(1, &table, at.iter());
            assert!(matches!(&read(2, &notices[0])[..], [Change::Table(t)] if *t == table));
        }
    }

    #[test]
    fn what_cannot_be_read_means_everything() {
        for notice in ["", "x", "zz\ntracks", "0001", "0001\nrestow_x"] {
            assert!(
                matches!(read(2, notice)[..], [Change::Everything]),
                "{notice:?}"
            );
        }
        assert!(matches!(
            read(2, "0001\ntracks\n***")[..],
            [Change::Table(_)]
        ));
    }
}
