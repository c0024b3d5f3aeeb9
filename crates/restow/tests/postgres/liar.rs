//! A relay before a server that speaks its language, and says something else.

use restow_testkit::Postgres;
use std::{
    collections::VecDeque,
    fmt, io,
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
        tcp::{ReadHalf, WriteHalf},
    },
    task::JoinHandle,
};

/// What becomes of what the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    None,
    /// Nothing comes any more.
    Silence,
    /// Everything is noise, of the same length.
    Noise,
    /// Everything comes byte by byte.
    Drip,
    /// Something becomes of each message of a kind.
    Of(Kind, How),
}

/// A kind of message, by the letter that it begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kind(u8);

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", char::from(self.0))
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A bit of it is another one.
    Flipped,
    /// It ends in its middle, and its length says so.
    Cut,
    /// It ends in its middle, and so does the connection.
    Half,
    /// It ends in its middle, and nothing comes over this connection any more.
    HalfAndSilence,
    /// In its place is another one of its kind, that was said before.
    Others,
    /// It comes twice.
    Twice,
    /// It does not come.
    Missing,
    /// The connection ends in its place.
    Closed,
    /// The connection is reset in its place.
    Reset,
    /// It is announced to be 2 GB long.
    Endless,
    /// In its place is an error.
    Error(&'static str),
}

pub const ROW: Kind = Kind(b'D');
/// What a login is answered with.
pub const AUTHENTICATION: Kind = Kind(b'R');
/// What a statement's parameters are.
const PARAMETERS: Kind = Kind(b't');
/// The end of what a statement gives, and the end of an answer.
const COMMAND_COMPLETE: Kind = Kind(b'C');
const READY: Kind = Kind(b'Z');
/// The answers to a statement's text, to its values, and to the question what it gives.
const PARSE_COMPLETE: Kind = Kind(b'1');
const BIND_COMPLETE: Kind = Kind(b'2');
const ROW_DESCRIPTION: Kind = Kind(b'T');

const OF_ROWS: [How; 18] = [
    How::Flipped,
    How::Cut,
    How::Half,
    How::HalfAndSilence,
    How::Others,
    How::Twice,
    How::Missing,
    How::Closed,
    How::Reset,
    How::Endless,
    How::Error("53100"),
    How::Error("53300"),
    How::Error("57P01"),
    How::Error("42P01"),
    How::Error("0A000"),
    How::Error("26000"),
    How::Error("XX000"),
    How::Error("25006"),
];

/// All lies there are.
pub fn lies() -> impl Iterator<Item = Lie> {
    let of_rows = OF_ROWS.into_iter().map(|how| Lie::Of(ROW, how));
    let kinds = [
        COMMAND_COMPLETE,
        READY,
        PARSE_COMPLETE,
        BIND_COMPLETE,
        ROW_DESCRIPTION,
    ];
    let hows = [How::Flipped, How::Twice, How::Missing];
    let of_others = kinds
        .into_iter()
        .flat_map(move |kind| hows.map(|how| Lie::Of(kind, how)));
    of_rows
        .chain(of_others)
        .chain([Lie::Silence, Lie::Noise, Lie::Drip])
}

/// A relay before a server. It ends when it is dropped, with all its connections.
pub struct Liar {
    port: u16,
    said: Arc<Said>,
    task: JoinHandle<()>,
}

struct Said {
    lie: Mutex<Lie>,
    /// How often something else was said.
    lies: AtomicUsize,
    /// So many messages that it would be told about are true before.
    honest: AtomicUsize,
    /// Statements that were prepared by a name.
    prepared: AtomicUsize,
    /// Rows that were the answers to queries before.
    rows: Mutex<VecDeque<Vec<u8>>>,
}

/// What goes on the wire.
enum Wire {
    Bytes(Vec<u8>),
    Drip(Vec<u8>),
    /// The last there is, and how it ends.
    Last(Vec<u8>, End),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    Silent,
}

impl Liar {
    pub async fn before(server: &Postgres) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = Arc::new(Said {
            lie: Mutex::new(Lie::None),
            lies: AtomicUsize::new(0),
            honest: AtomicUsize::new(0),
            prepared: AtomicUsize::new(0),
            rows: Mutex::default(),
        });
        let (to, shared) = (server.port(), said.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                connections.spawn(relay(near, far, shared.clone()));
            }
        });
        Self { port, said, task }
    }

    /// The URL of the same place, through this.
    pub fn through(&self, server: &Postgres, url: &str) -> String {
        url.replace(&format!(":{}/", server.port()), &format!(":{}/", self.port))
    }

    pub fn tell(&self, lie: Lie) {
        self.tell_after(0, lie);
    }

    /// Lies after so many messages that are true.
    pub fn tell_after(&self, honest: usize, lie: Lie) {
        self.said.honest.store(honest, Relaxed);
        *self.said.lie.lock().unwrap() = lie;
    }

    pub fn told(&self) -> usize {
        self.said.lies.load(Relaxed)
    }

    /// How many statements the server has prepared, over all connections.
    pub fn prepared(&self) -> usize {
        self.said.prepared.load(Relaxed)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(mut near: TcpStream, mut far: TcpStream, said: Arc<Said>) {
    // Each message goes by itself: otherwise the next one would wait for word of it.
    for way in [&near, &far] {
        way.set_nodelay(true).unwrap();
    }
    let ((mut asked, answers), (from, mut questions)) = (near.split(), far.split());
    let end = tokio::select! {
        _ = tokio::io::copy(&mut asked, &mut questions) => End::Closed,
        end = hand_on(BufReader::new(from), answers, &said) => end.unwrap_or(End::Closed),
    };
    match end {
        End::Closed => {}
        End::Reset => near.set_zero_linger().unwrap(),
        // It ends when the other side has had enough.
        End::Silent => _ = tokio::io::copy(&mut near, &mut tokio::io::sink()).await,
    }
}

/// Reads what the server says message by message: a letter, a length that counts itself, and what it holds. Returns how that ends.
async fn hand_on(
    mut from: BufReader<ReadHalf<'_>>,
    mut to: WriteHalf<'_>,
    said: &Said,
) -> io::Result<End> {
    let (mut head, mut before) = ([0; 5], Kind(0));
    loop {
        from.read_exact(&mut head).await?;
        // What is not prepared for later is given its values before it is asked what it is.
        if (before, head[0]) == (PARSE_COMPLETE, PARAMETERS.0) {
            said.prepared.fetch_add(1, Relaxed);
        }
        before = Kind(head[0]);
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut message = head.to_vec();
        message.resize(1 + length, 0);
        from.read_exact(&mut message[5..]).await?;
        match said.instead(message) {
            Wire::Bytes(bytes) => to.write_all(&bytes).await?,
            Wire::Drip(bytes) => {
                for byte in bytes {
                    to.write_all(&[byte]).await?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Wire::Last(bytes, end) => {
                to.write_all(&bytes).await?;
                return Ok(end);
            }
        }
    }
}

impl Said {
    fn instead(&self, message: Vec<u8>) -> Wire {
        let lie = *self.lie.lock().unwrap();
        let other = self.other(&message);
        let is_about = match lie {
            Lie::None => false,
            Lie::Silence | Lie::Noise | Lie::Drip => true,
            Lie::Of(kind, _) => kind.0 == message[0],
        };
        let is_honest = |left: usize| left.checked_sub(1);
        if !is_about
            || self
                .honest
                .fetch_update(Relaxed, Relaxed, is_honest)
                .is_ok()
        {
            return Wire::Bytes(message);
        }
        let nth = self.lies.fetch_add(1, Relaxed);
        match lie {
            Lie::None => Wire::Bytes(message),
            Lie::Silence => Wire::Bytes(Vec::new()),
            Lie::Noise => Wire::Bytes(noise(nth, message.len())),
            Lie::Drip => Wire::Drip(message),
            Lie::Of(_, how) => how.becomes(message, nth, other),
        }
    }

    /// Remembers a row, and returns another one.
    fn other(&self, row: &[u8]) -> Option<Vec<u8>> {
        if row[0] != ROW.0 {
            return None;
        }
        let mut rows = self.rows.lock().unwrap();
        let other = rows.iter().rev().find(|other| ***other != *row).cloned();
        rows.push_back(row.to_owned());
        if rows.len() > 64 {
            rows.pop_front();
        }
        other
    }
}

impl How {
    fn becomes(self, message: Vec<u8>, nth: usize, other: Option<Vec<u8>>) -> Wire {
        let middle = &message[..message.len() / 2];
        Wire::Bytes(match self {
            Self::Flipped => flipped(message, nth),
            Self::Cut => framed(message[0], middle.get(5..).unwrap_or_default()),
            Self::Half => return Wire::Last(middle.to_vec(), End::Closed),
            Self::HalfAndSilence => return Wire::Last(middle.to_vec(), End::Silent),
            Self::Others => other.unwrap_or(message),
            Self::Twice => [&message[..], &message].concat(),
            Self::Missing => Vec::new(),
            Self::Closed => return Wire::Last(Vec::new(), End::Closed),
            Self::Reset => return Wire::Last(Vec::new(), End::Reset),
            Self::Endless => {
                let mut long = message;
                long[1..5].copy_from_slice(&i32::MAX.to_be_bytes());
                long
            }
            Self::Error(code) => {
                let text = format!("SERROR\0C{code}\0Mthat is a lie\0\0");
                framed(b'E', text.as_bytes())
            }
        })
    }
}

/// Flips a bit of what a message holds, or of its letter where it holds nothing.
fn flipped(mut message: Vec<u8>, nth: usize) -> Vec<u8> {
    let at = match message.len() - 5 {
        0 => 0,
        holds => 5 + (nth * 13) % holds,
    };
    message[at] ^= 1 << (nth % 8);
    message
}

fn noise(nth: usize, length: usize) -> Vec<u8> {
    let noise = (nth as u64..).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32);
    noise.map(|n| n as u8).take(length).collect()
}

fn framed(letter: u8, holds: &[u8]) -> Vec<u8> {
    let length = u32::try_from(holds.len() + 4).unwrap().to_be_bytes();
    [&[letter][..], &length, holds].concat()
}
