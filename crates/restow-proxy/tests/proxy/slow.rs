//! R18: APIs that take too long, and clients that do.

use crate::{
    framing::raw,
    kit::{Running, before, connections, connections_left},
    streams::Herd,
};
use futures_util::future::join_all;
use restow_proxy::{Options, Upstream};
use restow_testkit::{Gate, Origin, Reply, allow_files, dropping::in_time, http_client};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

/// Short, for tests that wait until it is over.
const SHORT: Duration = Duration::from_millis(200);

async fn with(origin: &Origin, options: Options) -> Running {
    Running::start(vec![Upstream::new(&origin.url("")).unwrap()], options, "").await
}

#[tokio::test]
async fn an_api_that_takes_no_connection_is_a_504() {
    // Its queue holds one or two, and nobody takes them out: who comes later is not heard.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        queue.push(stream.unwrap());
    }
    let options = Options {
        connect_timeout: SHORT,
        ..Options::default()
    };
    let upstreams = vec![Upstream::new(&format!("http://{address}")).unwrap()];
    let proxy = Running::start(upstreams, options, "").await;
    for ask in ["GET", "POST"] {
        let answer = proxy.ask(ask, "/", &[]).await;
        assert_eq!(answer.status.as_u16(), 504, "{}", answer.body);
        assert!(answer.body.contains("took too long"), "{}", answer.body);
        assert!(answer.body.contains("connect"), "{}", answer.body);
    }
}

#[tokio::test]
async fn who_waits_for_an_api_that_says_nothing_is_told_so_once() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("late").behind(&held)).await;
    let options = Options {
        upstream_timeout: SHORT,
        ..Options::default()
    };
    let proxy = with(&origin, options).await;
    let all = join_all((0..10).map(|_| proxy.get("/"))).await;
    for answer in &all {
        assert_eq!(answer.status.as_u16(), 504);
        assert_eq!(answer.body, all[0].body);
        assert_eq!(
            answer.body.matches("took too long").count(),
            1,
            "{}",
            answer.body
        );
    }
    assert_eq!(origin.asked(), 1);
}

/// Its head is on its way already, so that one who reads it sees it break off; one who waits for it is told why.
#[tokio::test]
async fn a_body_that_stands_still_is_cut_and_a_504_for_who_waits() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        let reply = Reply::ok("be").header("cache-control", "max-age=60");
        reply.then_gate(&held).then("gin")
    })
    .await;
    let options = Options {
        idle_timeout: 5 * SHORT,
        ..Options::default()
    };
    let proxy = with(&origin, options).await;
    let first = http_client().build().unwrap().get(proxy.url("/"));
    let first = first.send().await.unwrap();
    assert_eq!(first.status().as_u16(), 200);
    let (first, second) = tokio::join!(first.bytes(), proxy.get("/"));
    assert!(first.is_err(), "it looks whole");
    assert_eq!(second.status.as_u16(), 504, "{}", second.body);
    assert!(
        second.body.contains("nothing more of the body came"),
        "{}",
        second.body
    );
    assert_eq!(origin.asked(), 1);
    gate.open();
    assert_eq!(
        proxy.get("/").await.body,
        "begin",
        "nothing of it was stored"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_request_s_body_is_the_client_s_fault() {
    let origin = Origin::start(|_| Reply::ok("origin")).await;
    let options = Options {
        idle_timeout: SHORT,
        max_request_body: 1_000,
        ..Options::default()
    };
    let proxy = with(&origin, options).await;
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let long = format!("7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2_000));
    for (body, status, says) in [
        ("5\r\nhello\r\n", "408", "took too long"),
        ("5\r\nhelloXX\r\n", "400", "cannot be read"),
        (&*long, "413", "longer"),
    ] {
        let request = format!("{chunked}{body}");
        let answer = in_time(status, raw(&proxy, &request)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.contains(says), "{answer}");
    }
    assert_eq!(origin.asked(), 0);
}

/// Connects with as little room for what it does not read as the system allows.
async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1 << 12).unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn a_client_that_reads_nothing_loses_its_place() {
    let origin = Origin::start(|_| Reply::ok("x").then_for_ever(vec![b'x'; 1 << 16])).await;
    let options = Options {
        idle_timeout: SHORT,
        ..Options::default()
    };
    let proxy = with(&origin, options).await;
    let mut stream = connect(proxy.address).await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    in_time("an answer", stream.readable()).await.unwrap();
    connections_left(&proxy.proxy, 0).await;
}

/// How long the answer is that slow readers do not read: more than the system holds for them.
const LARGE: usize = 1 << 20;

#[tokio::test]
async fn two_thousand_slow_clients_are_in_nobodys_way() {
    const SLOW: usize = 2_000;
    const OTHERS: usize = 500;
    allow_files(5 * SLOW as u64);
    let origin = Origin::start(|call| match &*call.target {
        "/large" => Reply::ok(vec![b'x'; LARGE]).header("cache-control", "max-age=60"),
        _ => Reply::ok("a").header("cache-control", "no-store"),
    })
    .await;
    let proxy = before(&origin).await;
    let asks = [
        "GET /head HTT",
        "POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nx",
        "GET /large HTTP/1.1\r\nhost: a\r\n\r\n",
    ];
    let address = proxy.address;
    let slow = (0..SLOW).map(|nth| async move {
        let mut stream = connect(address).await;
        let ask = asks.get(nth % 3).unwrap();
        stream.write_all(ask.as_bytes()).await.unwrap();
        stream
    });
    let slow = join_all(slow).await;
    in_time("all are accepted", async {
        while connections(&proxy.proxy).await < SLOW {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let mut herd = Herd::of(OTHERS, &proxy).await;
    for answer in join_all(herd.ask("/other", |_| Vec::new())).await {
        assert_eq!(answer.unwrap().body, "a");
    }
    // The slow ones are there still, and get what they asked for as soon as they go on.
    assert!(connections(&proxy.proxy).await >= SLOW);
    for (nth, mut stream) in slow.into_iter().enumerate().step_by(101) {
        let rest = match nth % 3 {
            0 => "P/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            1 => "123456789GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            _ => "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        };
        stream.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        in_time("the answer of a slow client", read).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK") && answer.ends_with(b"a"));
        assert_eq!(answer.len() > LARGE, nth % 3 == 2);
    }
}
