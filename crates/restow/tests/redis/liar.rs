//! A relay before a server that speaks its language, and says something else.

use restow_testkit::redis::Redis;
use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// What becomes of the answers of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Nothing.
    None,
    /// The connection is reset in the place of an answer.
    Reset,
    /// The connection ends in the place of an answer.
    Closed,
    /// An answer ends in its middle, and so does the connection.
    Half,
    /// An answer ends in its middle, and nothing comes over this connection any more.
    HalfAndSilence,
    /// Nothing comes over this connection any more.
    Silence,
    /// Each second brings a byte.
    Drip,
    /// Everything is noise, of the same length.
    Noise,
    /// A bit of each text is another one.
    Flipped,
    /// Each answer is another one's.
    Others,
    /// Each answer comes twice.
    Twice,
    /// Each other answer does not come.
    Missing,
    /// Each list lacks its last member.
    Shorter,
    /// Each list has a member more.
    Longer,
    /// Each answer is within two lists.
    Nested,
    /// Each answer is this one.
    Says(&'static [u8]),
    /// What is about a key is sent to the next server, and there to the next.
    Elsewhere(&'static str),
}

pub(crate) const LIES: [Lie; 41] = [
    Lie::Reset,
    Lie::Closed,
    Lie::Half,
    Lie::HalfAndSilence,
    Lie::Silence,
    Lie::Drip,
    Lie::Noise,
    Lie::Flipped,
    Lie::Others,
    Lie::Twice,
    Lie::Missing,
    Lie::Shorter,
    Lie::Longer,
    Lie::Nested,
    Lie::Says(b"-LOADING Redis is loading the dataset in memory\r\n"),
    Lie::Says(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
    Lie::Says(b"-READONLY You can't write against a read only replica.\r\n"),
    Lie::Says(b"-NOSCRIPT No matching script.\r\n"),
    Lie::Says(b"-MOVED 3999 127.0.0.1:1\r\n"),
    Lie::Says(b"-ASK 3999 127.0.0.1:1\r\n"),
    Lie::Says(b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n"),
    Lie::Says(b"-CLUSTERDOWN The cluster is down\r\n"),
    Lie::Says(b"-BUSY Redis is busy running a script.\r\n"),
    Lie::Says(b"-MISCONF Redis is configured to save RDB snapshots\r\n"),
    Lie::Says(b"-\r\n"),
    Lie::Says(b":0\r\n"),
    Lie::Says(b":1\r\n"),
    Lie::Says(b":-1\r\n"),
    Lie::Says(b":9223372036854775807\r\n"),
    Lie::Says(b"+OK\r\n"),
    Lie::Says(b"$-1\r\n"),
    Lie::Says(b"$0\r\n\r\n"),
    Lie::Says(b"*-1\r\n"),
    Lie::Says(b"*0\r\n"),
    Lie::Says(b"*3\r\n:1\r\n$1\r\n1\r\n*1\r\n+1\r\n"),
    Lie::Says(b"%1\r\n+format\r\n+1\r\n"),
    Lie::Says(b"_\r\n"),
    Lie::Says(b"$9999999999\r\n"),
    Lie::Says(b"*2147483647\r\n"),
    Lie::Says(b"$-9223372036854775808\r\n"),
    Lie::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
];

/// A relay before a server. It ends when it is dropped, with all its connections.
pub(crate) struct Liar {
    pub(crate) port: u16,
    said: Arc<Said>,
    task: JoinHandle<()>,
}

struct Said {
    lie: watch::Sender<Lie>,
    /// How often something else was said.
    lies: AtomicUsize,
    /// So many answers are true before.
    honest: AtomicUsize,
    /// Answers to other commands.
    answers: Mutex<VecDeque<Vec<u8>>>,
    /// The ports of servers, each with that of the relay before it; the next of our own is where keys are sent.
    ports: Vec<(u16, u16)>,
    next: u16,
}

/// What goes on the wire.
enum Wire {
    Bytes(Vec<u8>),
    /// The last there is, and how it ends.
    Last(Vec<u8>, End),
    Drip(Vec<u8>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    Silent,
}

impl Liar {
    pub(crate) async fn before(server: &Redis) -> Self {
        let mut all = Self::before_all([server]).await;
        all.remove(0)
    }

    /// One before each server of a cluster. Whoever asks where the others are is told where the relays are.
    pub(crate) async fn before_all(servers: impl IntoIterator<Item = &Redis>) -> Vec<Self> {
        let mut listeners = Vec::new();
        for server in servers {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            listeners.push((server.port(), port, listener));
        }
        let ports: Vec<_> = listeners.iter().map(|(to, at, _)| (*to, *at)).collect();
        let all = listeners.into_iter().enumerate();
        let all = all.map(|(n, (to, port, listener))| {
            let said = Arc::new(Said {
                lie: watch::Sender::new(Lie::None),
                lies: AtomicUsize::new(0),
                honest: AtomicUsize::new(0),
                answers: Mutex::default(),
                ports: ports.clone(),
                next: ports[(n + 1) % ports.len()].1,
            });
            let shared = said.clone();
            let task = tokio::spawn(async move {
                let mut connections = tokio::task::JoinSet::new();
                loop {
                    let (near, _) = listener.accept().await.unwrap();
                    // The server may be gone already.
                    if let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await {
                        connections.spawn(relay(near, far, shared.clone()));
                    }
                }
            });
            Self { port, said, task }
        });
        all.collect()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn tell(&self, lie: Lie) {
        self.said.lie.send_replace(lie);
    }

    /// Lies after so many true answers.
    pub(crate) fn tell_after(&self, honest: usize, lie: Lie) {
        self.said.honest.store(honest, Relaxed);
        self.tell(lie);
    }

    pub(crate) fn told(&self) -> usize {
        self.said.lies.load(Relaxed)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(mut near: TcpStream, mut far: TcpStream, said: Arc<Said>) {
    // Each answer goes by itself: otherwise the next one would wait for word of it.
    for way in [&near, &far] {
        way.set_nodelay(true).unwrap();
    }
    let asked = Mutex::default();
    let ((questions, answers), (results, commands)) = (near.split(), far.split());
    let end = tokio::select! {
        _ = ask(questions, commands, &asked) => End::Closed,
        end = answer(results, answers, &asked, &said) => end.unwrap_or(End::Closed),
    };
    match end {
        End::Closed => {}
        End::Reset => near.set_zero_linger().unwrap(),
        // It ends when the other side has had enough.
        End::Silent => _ = tokio::io::copy(&mut near, &mut tokio::io::sink()).await,
    }
}

type Asked = Mutex<VecDeque<Vec<u8>>>;

/// Hands on commands, and remembers which they are.
async fn ask(from: ReadHalf<'_>, mut to: WriteHalf<'_>, asked: &Asked) -> io::Result<()> {
    let mut from = BufReader::new(from);
    loop {
        let command = frame(&mut from).await?;
        let verb = command.split(|b| *b == b'\n').nth(2).unwrap_or_default();
        let verb = verb.trim_ascii().to_ascii_uppercase();
        asked.lock().unwrap().push_back(verb);
        to.write_all(&command).await?;
    }
}

/// Hands on answers, or says something else; returns how that ends.
async fn answer(
    from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    asked: &Asked,
    said: &Said,
) -> io::Result<End> {
    let mut from = BufReader::new(from);
    let mut lie = said.lie.subscribe();
    loop {
        let answer = frame(&mut from).await?;
        let verb = asked.lock().unwrap().pop_front().unwrap_or_default();
        let lies = *lie.borrow_and_update();
        match said.instead(lies, &verb, answer) {
            Wire::Bytes(bytes) => to.write_all(&bytes).await?,
            Wire::Last(bytes, end) => {
                to.write_all(&bytes).await?;
                return Ok(end);
            }
            Wire::Drip(bytes) => {
                let mut left = bytes.as_slice();
                while let Some((byte, rest)) = left.split_first() {
                    to.write_all(&[*byte]).await?;
                    left = rest;
                    let second = tokio::time::sleep(Duration::from_secs(1));
                    // Once it is honest, the rest comes at once.
                    tokio::select! {
                        () = second => {}
                        _ = lie.wait_for(|lie| *lie != Lie::Drip) => break,
                    }
                }
                to.write_all(left).await?;
            }
        }
    }
}

impl Said {
    fn instead(&self, lie: Lie, verb: &[u8], answer: Vec<u8>) -> Wire {
        let answer = self.with_our_ports(verb, answer);
        let other = self.other(&answer);
        let is_honest = |left: usize| left.checked_sub(1);
        let honest = self.honest.fetch_update(Relaxed, Relaxed, is_honest);
        if lie == Lie::None || honest.is_ok() {
            return Wire::Bytes(answer);
        }
        let nth = self.lies.fetch_add(1, Relaxed);
        let middle = &answer[..answer.len() / 2];
        let is_list = answer[0] == b'*' && answer[1].is_ascii_digit() && answer[1] != b'0';
        Wire::Bytes(match lie {
            Lie::None => answer,
            Lie::Reset => return Wire::Last(Vec::new(), End::Reset),
            Lie::Closed => return Wire::Last(Vec::new(), End::Closed),
            Lie::Half => return Wire::Last(middle.to_vec(), End::Closed),
            Lie::HalfAndSilence => return Wire::Last(middle.to_vec(), End::Silent),
            Lie::Silence => return Wire::Last(Vec::new(), End::Silent),
            Lie::Drip => return Wire::Drip(answer),
            Lie::Noise => {
                let noise = (nth as u64..).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32);
                noise.map(|n| n as u8).take(answer.len()).collect()
            }
            Lie::Flipped => flipped(answer, nth),
            Lie::Others => other.unwrap_or(answer),
            Lie::Twice => [&answer[..], &answer].concat(),
            Lie::Missing if nth.is_multiple_of(2) => Vec::new(),
            Lie::Missing => answer,
            Lie::Shorter if is_list => resized(&answer, -1),
            Lie::Longer if is_list => resized(&answer, 1),
            Lie::Shorter | Lie::Longer => answer,
            Lie::Nested => [&b"*1\r\n*1\r\n"[..], &answer].concat(),
            Lie::Says(this) => this.to_vec(),
            // Where there is a cluster at all is not lied about, nor is it who asks.
            Lie::Elsewhere(_)
                if [&b"CLUSTER"[..], b"HELLO", b"CLIENT", b"PING"].contains(&verb) =>
            {
                answer
            }
            Lie::Elsewhere(how) => format!("-{how} 3999 127.0.0.1:{}\r\n", self.next).into(),
        })
    }

    fn with_our_ports(&self, verb: &[u8], answer: Vec<u8>) -> Vec<u8> {
        if verb != b"CLUSTER" || self.ports.len() < 2 {
            return answer;
        }
        // Nothing else in there is text of more than ASCII.
        let mut answer = String::from_utf8(answer).unwrap();
        for (server, ours) in &self.ports {
            answer = answer.replace(&format!(":{server}\r\n"), &format!(":{ours}\r\n"));
        }
        answer.into_bytes()
    }

    /// Remembers an answer, and returns another one.
    fn other(&self, answer: &[u8]) -> Option<Vec<u8>> {
        let mut answers = self.answers.lock().unwrap();
        let mut others = answers.iter().rev();
        let other = others.find(|other| ***other != *answer && other[0] == answer[0]);
        let other = other.cloned();
        answers.push_back(answer.to_owned());
        if answers.len() > 64 {
            answers.pop_front();
        }
        other
    }
}

/// Flips a bit of a text, and not of what says how long it is.
fn flipped(mut answer: Vec<u8>, nth: usize) -> Vec<u8> {
    let mut texts = Vec::new();
    let mut at = 0;
    while let Some(len) = answer[at..].iter().position(|b| *b == b'\n') {
        let head = at;
        at += len + 1;
        let size = std::str::from_utf8(&answer[head + 1..at]).ok();
        let size = size.and_then(|size| size.trim().parse().ok());
        if let (b'$', Some(size @ 1..)) = (answer[head], size) {
            texts.extend(at..at + size);
            at += size + 2;
        }
    }
    if let Some(which) = texts.get((nth * 13) % texts.len().max(1)) {
        answer[*which] ^= 1 << (nth % 8);
    }
    answer
}

/// Makes a list one member longer or shorter.
fn resized(answer: &[u8], by: i64) -> Vec<u8> {
    let end = answer.iter().position(|b| *b == b'\n').unwrap();
    let size = std::str::from_utf8(&answer[1..end]).unwrap().trim();
    let head = format!("*{}\r\n", size.parse::<i64>().unwrap() + by);
    let members = &answer[end + 1..];
    let members = match by {
        1 => [members, b"$1\r\nx\r\n"].concat(),
        // The last one, where it is no list itself.
        _ => {
            let lines: Vec<_> = members.split_inclusive(|b| *b == b'\n').collect();
            let is_text = lines.len() > 1 && lines[lines.len() - 2].starts_with(b"$");
            let kept = lines.len() - if is_text { 2 } else { 1 };
            lines[..kept].concat()
        }
    };
    [head.as_bytes(), &members].concat()
}

/// Reads an answer or a command to its end.
async fn frame(from: &mut BufReader<ReadHalf<'_>>) -> io::Result<Vec<u8>> {
    let (mut whole, mut left) = (Vec::new(), 1_i64);
    while left > 0 {
        left -= 1;
        let begin = whole.len();
        if from.read_until(b'\n', &mut whole).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let size = std::str::from_utf8(&whole[begin + 1..]).ok();
        let size: Option<i64> = size.and_then(|size| size.trim().parse().ok());
        match (whole[begin], size) {
            (b'*' | b'~' | b'>', Some(size)) => left += size.max(0),
            (b'%', Some(size)) => left += 2 * size,
            (b'$', Some(size @ 0..)) => {
                let end = whole.len() + size as usize + 2;
                let begin = whole.len();
                whole.resize(end, 0);
                from.read_exact(&mut whole[begin..]).await?;
            }
            _ => {}
        }
    }
    Ok(whole)
}
