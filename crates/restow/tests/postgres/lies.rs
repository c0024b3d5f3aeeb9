//! A server that lies, behind a relay that changes what it says: nobody is given a wrong body, and no request fails.

use crate::{panics::panics, support::*};
use futures_util::TryStreamExt as _;
use restow::{
    ErrorKind, Field, Selection,
    entry::Entry,
    store::{Parts, Table, TableSpec},
};
use restow_testkit::Postgres;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

/// What becomes of what the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// Nothing.
    None,
    /// A bit of each row is another one.
    Flipped,
    /// A row ends in its middle, and its length says so.
    Cut,
    /// A row ends in its middle, and so does the connection.
    Half,
    /// In the place of a row is one that another query was answered with.
    Others,
    /// Each row comes twice.
    Twice,
    /// No row comes.
    Missing,
    /// The connection ends in the place of a row.
    Closed,
    /// Nothing comes any more.
    Silence,
    /// Everything is noise, of the same length.
    Noise,
    /// A row is announced that is 2 GB long.
    Endless,
    /// Everything comes byte by byte.
    Drip,
    /// In the place of a row is an error.
    Error(&'static [u8; 5]),
}

const LIES: [Lie; 19] = [
    Lie::Flipped,
    Lie::Cut,
    Lie::Half,
    Lie::Others,
    Lie::Twice,
    Lie::Missing,
    Lie::Closed,
    Lie::Silence,
    Lie::Noise,
    Lie::Endless,
    Lie::Drip,
    Lie::Error(b"53100"),
    Lie::Error(b"53300"),
    Lie::Error(b"57P01"),
    Lie::Error(b"42P01"),
    Lie::Error(b"0A000"),
    Lie::Error(b"26000"),
    Lie::Error(b"XX000"),
    Lie::Error(b"25006"),
];

/// A relay before a server. It ends when it is dropped.
struct Liar {
    port: u16,
    said: Arc<Said>,
    task: JoinHandle<()>,
}

struct Said {
    lie: Mutex<Lie>,
    /// How often something else was said.
    lies: AtomicUsize,
    /// Rows that were the answers to queries before.
    rows: Mutex<VecDeque<Vec<u8>>>,
}

impl Liar {
    async fn before(server: &Postgres) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = Arc::new(Said {
            lie: Mutex::new(Lie::None),
            lies: AtomicUsize::new(0),
            rows: Mutex::default(),
        });
        let (to, shared) = (server.port(), said.clone());
        let task = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                // Each message goes by itself: otherwise the next one would wait for word of it.
                for way in [&near, &far] {
                    way.set_nodelay(true).unwrap();
                }
                let ((mut asked, answers), (from, mut questions)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(async move { tokio::io::copy(&mut asked, &mut questions).await });
                tokio::spawn(hand_on(BufReader::new(from), answers, shared.clone()));
            }
        });
        Self { port, said, task }
    }

    /// The URL of the same place, through this.
    fn through(&self, server: &Postgres, url: &str) -> String {
        url.replace(&format!(":{}/", server.port()), &format!(":{}/", self.port))
    }

    fn tell(&self, lie: Lie) {
        *self.said.lie.lock().unwrap() = lie;
    }

    fn told(&self) -> usize {
        self.said.lies.load(Relaxed)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads what the server says message by message: a letter, a length that counts itself, and what it holds.
async fn hand_on(mut from: BufReader<OwnedReadHalf>, mut to: OwnedWriteHalf, said: Arc<Said>) {
    let mut head = [0; 5];
    while from.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut message = head.to_vec();
        message.resize(1 + length, 0);
        if from.read_exact(&mut message[5..]).await.is_err() {
            return;
        }
        let lie = *said.lie.lock().unwrap();
        if lie == Lie::Drip {
            said.lies.fetch_add(1, Relaxed);
            for byte in message {
                if to.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            continue;
        }
        let Some(says) = said.instead(lie, message) else {
            return;
        };
        if to.write_all(&says).await.is_err() {
            return;
        }
    }
}

impl Said {
    /// What is said instead; `None` ends the connection.
    fn instead(&self, lie: Lie, message: Vec<u8>) -> Option<Vec<u8>> {
        let is_row = message[0] == b'D';
        let other = is_row.then(|| self.other(&message)).flatten();
        let everything = matches!(lie, Lie::Silence | Lie::Noise);
        if lie == Lie::None || !(is_row || everything) {
            return Some(message);
        }
        let nth = self.lies.fetch_add(1, Relaxed);
        let middle = message.len() / 2;
        Some(match lie {
            Lie::None | Lie::Drip => message,
            Lie::Flipped => {
                let mut flipped = message;
                let at = 5 + (nth * 13) % (flipped.len() - 5);
                flipped[at] ^= 1 << (nth % 8);
                flipped
            }
            Lie::Cut => framed(b'D', &message[5..middle.max(5)]),
            Lie::Half | Lie::Closed => return None,
            Lie::Others => other.unwrap_or(message),
            Lie::Twice => [&message[..], &message].concat(),
            Lie::Missing | Lie::Silence => Vec::new(),
            Lie::Noise => {
                let noise = (nth as u64..).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32);
                noise.map(|n| n as u8).take(message.len()).collect()
            }
            Lie::Endless => {
                let mut long = message;
                long[1..5].copy_from_slice(&i32::MAX.to_be_bytes());
                long
            }
            Lie::Error(code) => {
                let text = [b"SERROR\0C", &code[..], b"\0Mthat is a lie\0\0"].concat();
                framed(b'E', &text)
            }
        })
    }

    /// Remembers a row, and returns another one.
    fn other(&self, row: &[u8]) -> Option<Vec<u8>> {
        let mut rows = self.rows.lock().unwrap();
        let other = rows.iter().rev().find(|other| ***other != *row).cloned();
        rows.push_back(row.to_owned());
        if rows.len() > 64 {
            rows.pop_front();
        }
        other
    }
}

fn framed(letter: u8, holds: &[u8]) -> Vec<u8> {
    let length = u32::try_from(holds.len() + 4).unwrap().to_be_bytes();
    [&[letter][..], &length, holds].concat()
}

fn body_of(id: &str) -> String {
    format!("this is the body of {id}")
}

/// An entry is its own, or not there.
fn check(lie: Lie, entry: &Entry) {
    let id = entry.id.address.key.to_string();
    let body = std::str::from_utf8(&entry.body).unwrap();
    assert!(
        (0..10).any(|n| id.contains(&n.to_string()) && body == body_of(&n.to_string())),
        "{lie:?}: {id} has the body {body:?}"
    );
}

/// Asks for all there is, in each way; what comes is right, and errors are of the kinds that a store's failures have.
async fn ask(lie: Lie, table: &dyn Table) {
    let kinds = [
        ErrorKind::Store,
        ErrorKind::Busy,
        ErrorKind::Corrupt,
        ErrorKind::ReadOnly,
        ErrorKind::NoSuchRepository,
        // A write's answer says by one bit whether a lease was lost.
        ErrorKind::Fenced,
        // Which format it has is also what the server says.
        ErrorKind::Format,
    ];
    let failed = |error: restow::Error| {
        assert!(kinds.contains(&error.kind()), "{lie:?}: {error:?}");
    };
    let ids: Vec<_> = (0..10).map(|n| at(&n.to_string())).collect();
    for id in &ids {
        match table.read(id, Parts::Whole, T0).await {
            Ok(found) => found.iter().for_each(|entry| {
                assert_eq!(entry.id.address, *id, "{lie:?}");
                check(lie, entry);
            }),
            Err(error) => failed(error),
        }
    }
    match table.read_many(&ids, Parts::Whole, T0).await {
        Ok(all) => {
            assert_eq!(all.len(), ids.len(), "{lie:?}");
            for (id, found) in ids.iter().zip(&all) {
                for entry in found.iter() {
                    assert_eq!(entry.id.address, *id, "{lie:?}");
                    check(lie, entry);
                }
            }
        }
        Err(error) => failed(error),
    }
    let all = Selection::default();
    // What may go over a whole table takes its time; it is the breaker that bounds it.
    let scanned = table.scan(&all, Parts::Whole, T0).try_collect::<Vec<_>>();
    match tokio::time::timeout(Duration::from_millis(500), scanned).await {
        Ok(Ok(all)) => all.iter().for_each(|entry| check(lie, entry)),
        Ok(Err(error)) => failed(error),
        Err(_) => {}
    }
    if let Err(error) = save(table, "0", &body_of("0")).await {
        failed(error);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_server_says_nobody_is_given_a_wrong_body() {
    let (server, panics) = (Postgres::start(), panics());
    let liar = Liar::before(&server).await;
    let url = server.fresh();
    let through = liar.through(&server, &url);
    let store = open(&format!("{through}&server_timeout=100ms"))
        .await
        .unwrap();
    let table = store.open(&tracks()).await.unwrap();
    // What a lie had removed as damaged is put there again, by who is not lied to.
    let honest = open(&url).await.unwrap().open(&tracks()).await.unwrap();
    for lie in LIES {
        for n in 0..10 {
            save(&*honest, &n.to_string(), &body_of(&n.to_string()))
                .await
                .unwrap();
        }
        let told = liar.told();
        liar.tell(lie);
        let asked = async {
            // One bit in each row, and each time another one.
            for _ in 0..if lie == Lie::Flipped { 30 } else { 1 } {
                ask(lie, &*table).await;
            }
        };
        // Each call has the time that the driver waits for, and is tried again where that may help.
        let asked = tokio::time::timeout(Duration::from_secs(60), asked).await;
        asked.unwrap_or_else(|_| panic!("{lie:?}: somebody waits without end"));
        assert!(liar.told() > told, "{lie:?} was never told");
        liar.tell(Lie::None);
        // What it was lied to about may have been removed, and its own save refused.
        save(&*honest, "0", &body_of("0")).await.unwrap();
        let mut last = Ok(None);
        let back = async {
            while !matches!(last, Ok(Some(_))) {
                last = body(&*table, "0").await;
                tokio::task::yield_now().await;
            }
        };
        let back = tokio::time::timeout(Duration::from_secs(10), back).await;
        assert!(back.is_ok(), "after {lie:?} it never comes back: {last:?}");
    }
    assert_eq!(panics(), 0);
    store.close().await.unwrap();
}

/// As where answers come one question late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_another_repository_under_the_same_key_is_none() {
    let server = Postgres::start();
    let liar = Liar::before(&server).await;
    let url = server.fresh();
    let store = open(&liar.through(&server, &url)).await.unwrap();
    let albums = TableSpec::new("albums", vec![Field::text("id")]).unwrap();
    let tracks = store.open(&tracks()).await.unwrap();
    let albums = store.open(&albums).await.unwrap();
    for (table, body) in [(&tracks, "of tracks"), (&albums, "of albums")] {
        save(&**table, "0", body).await.unwrap();
    }
    // Its row is the last that the liar has heard.
    assert_eq!(body(&*albums, "0").await.unwrap().unwrap(), "of albums");
    liar.tell(Lie::Others);
    assert_eq!(body(&*tracks, "0").await.unwrap(), None);
    assert!(liar.told() > 0);
    store.close().await.unwrap();
}

#[cfg(feature = "reqwest")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_server_says_no_request_fails() {
    use restow::{
        Cache, RouteEndpoint, Text,
        exchange::{Answered, OutcomeKind},
    };
    use restow_testkit::{Origin, Reply, http_client};
    let (server, panics) = (Postgres::start(), panics());
    let liar = Liar::before(&server).await;
    let origin = Origin::start(|call| Reply::ok(call.target.clone())).await;
    let through = liar.through(&server, &server.fresh());
    let cache = Cache::builder().url(&*through).build().await.unwrap();
    let pages = RouteEndpoint::<String, Text>::get("pages", &origin.url("/pages/{id}")).unwrap();
    let pages = pages.coalesce(restow::endpoint::Coalesce::Shared);
    cache.create_repository(pages).await.unwrap();
    let ask = async |n: usize| {
        let client = cache.client(http_client().build().unwrap());
        let target = format!("/pages/{}", n % 10);
        let answer = client.get(origin.url(&target)).send().await.unwrap();
        let outcome = answer.extensions().get::<Answered>().unwrap().outcome.kind;
        assert_eq!(answer.text().await.unwrap(), target);
        outcome
    };
    for lie in LIES {
        let hits = async { while ask(0).await != OutcomeKind::Hit {} };
        tokio::time::timeout(Duration::from_secs(20), hits)
            .await
            .unwrap_or_else(|_| panic!("before {lie:?} it never hits"));
        let told = liar.told();
        liar.tell(lie);
        for n in 0..60 {
            ask(n).await;
        }
        assert!(liar.told() > told, "{lie:?} was never told");
        liar.tell(Lie::None);
    }
    assert_eq!(panics(), 0);
    cache.close().await.unwrap();
}
