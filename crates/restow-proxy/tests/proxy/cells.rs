//! Two hosts, by two schemes, on two ports, asked by two users and by nobody: no answer reaches another cell.

use crate::{framing::raw, kit::Running};
use restow_proxy::{Options, Upstream};
use restow_testkit::{Authority, Call, Origin, Reply};
use std::net::SocketAddr;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

/// Two names of this machine.
const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];
const SCHEMES: [&str; 2] = ["http", "https"];
const USERS: [&str; 3] = ["Bearer alice", "Bearer bob", ""];

/// What answers say of caching, and whether all users of a cell may share them.
const RULES: [(&str, bool); 6] = [
    ("max-age=60", false),
    ("private, max-age=60", false),
    ("no-cache", false),
    ("max-age=60, max-age=60", false),
    ("public, max-age=60", true),
    ("s-maxage=60", true),
];

/// The first byte of a handshake.
const HANDSHAKE: u8 = 0x16;

/// A port on which both schemes are spoken, so that nothing but the scheme tells two URLs apart.
async fn port_of(plain: SocketAddr, secure: SocketAddr) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut first = [0];
                near.peek(&mut first).await.unwrap();
                let is_tls = first == [HANDSHAKE];
                let server = if is_tls { secure } else { plain };
                let mut far = TcpStream::connect(server).await.unwrap();
                // Either side may go at any time.
                _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    port
}

/// APIs that say which cell was asked, and by whom.
struct Apis {
    authority: Authority,
    _servers: [Origin; 2],
    /// The URL of each cell.
    urls: Vec<String>,
}

impl Apis {
    async fn start(rule: &'static str) -> Self {
        let says = move |scheme: &'static str| {
            move |call: &Call| {
                let (host, who) = (call.header("host"), call.header("authorization"));
                Reply::ok(format!("{scheme}://{host} <{who}>"))
                    .header("cache-control", rule)
                    .header("etag", "\"the same for all\"")
            }
        };
        let authority = Authority::make();
        let plain = Origin::start(says("http")).await;
        let secure = Origin::secure(authority.vouch(&HOSTS), &["http/1.1"], says("https")).await;
        let mut urls = Vec::new();
        for _ in 0..2 {
            let port = port_of(plain.address(), secure.address()).await;
            let cells = HOSTS.iter().flat_map(|h| SCHEMES.map(|s| (s, h)));
            urls.extend(cells.map(|(scheme, host)| format!("{scheme}://{host}:{port}")));
        }
        Self {
            authority,
            _servers: [plain, secure],
            urls,
        }
    }

    /// Each below a mount of its own, `/0` and so on.
    fn mounted(&self) -> Vec<Upstream> {
        let one = |(nth, url): (usize, &String)| {
            let upstream = Upstream::new(url).unwrap().mount(&format!("/{nth}"));
            let upstream = upstream.unwrap();
            if url.starts_with("https") {
                upstream.ca(self.authority.file()).unwrap()
            } else {
                upstream
            }
        };
        self.urls.iter().enumerate().map(one).collect()
    }
}

/// Asks by a target as it is; returns the head and the body.
async fn ask(proxy: &Running, target: &str, who: &str) -> (String, String) {
    let shows = match who {
        "" => String::new(),
        who => format!("authorization: {who}\r\n"),
    };
    let request =
        format!("GET {target} HTTP/1.1\r\nhost: a.example\r\n{shows}connection: close\r\n\r\n");
    let answer = raw(proxy, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// What `url` is asked for at `target` is its own, three times, fresh and expired.
async fn keeps_apart(proxy: &Running, targets: &[(String, String)], rule: &str, shared: bool) {
    for round in 0..3 {
        for (target, url) in targets {
            for who in USERS {
                let (head, body) = ask(proxy, target, who).await;
                let case = format!("{rule}, {target} of {url} as {who:?}, {round}: {head}");
                if shared {
                    assert!(body.starts_with(&format!("{url} <")), "{case}: {body}");
                    // What is kept apart is kept.
                    assert!(round != 1 || head.contains("restow; hit"), "{case}");
                } else {
                    assert_eq!(body, format!("{url} <{who}>"), "{case}");
                }
            }
        }
        // Expired or not.
        proxy.advance(45);
    }
}

#[tokio::test]
async fn no_answer_crosses_from_one_scheme_host_port_or_user_to_another() {
    for (rule, shared) in RULES {
        let apis = Apis::start(rule).await;
        let proxy = Running::start(apis.mounted(), Options::default(), "").await;
        // By their mounts, and by the URLs themselves, as clients of a forward proxy ask.
        let mounts = apis.urls.iter().enumerate();
        let mounts = mounts.map(|(nth, url)| (format!("/{nth}/a?b=c"), url.clone()));
        let named = apis
            .urls
            .iter()
            .map(|url| (format!("{url}/a?b=c"), url.clone()));
        let targets: Vec<_> = mounts.chain(named).collect();
        keeps_apart(&proxy, &targets, rule, shared).await;
    }
}

#[tokio::test]
async fn no_answer_crosses_between_hosts_that_clients_name() {
    for (rule, shared) in RULES {
        let apis = Apis::start(rule).await;
        let (plain, secure): (Vec<_>, Vec<_>) =
            apis.urls.iter().partition(|url| url.starts_with("http:"));
        let forward = plain.iter().map(|url| url["http://".len()..].into());
        let options = Options {
            forward: forward.collect(),
            ..Options::default()
        };
        let proxy = Running::start(Vec::new(), options, "").await;
        let targets = plain
            .iter()
            .map(|url| (format!("{url}/a?b=c"), (*url).clone()));
        keeps_apart(&proxy, &targets.collect::<Vec<_>>(), rule, shared).await;
        // Plain HTTP is all that they may name, though the same is held by that.
        for url in secure {
            let (head, _) = ask(&proxy, &format!("{url}/a?b=c"), "").await;
            assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
        }
    }
}
