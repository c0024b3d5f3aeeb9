//! R17: how much memory the proxy takes, whatever an API sends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "where a test cannot run a program, it has to fail"
)]

use crate::{running::Proxy, support::Place};
use async_compression::tokio::bufread::GzipEncoder;
use restow_testkit::{Gate, Origin, Reply, dropping::in_time};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How much a client reads of an endless answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    Head,
    Everything,
}

/// What the kernel says of a process, in bytes.
fn status(proxy: &Proxy, what: &str) -> usize {
    let path = format!("/proc/{}/status", proxy.child.id());
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(what)).unwrap();
    let number = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    number.parse::<usize>().unwrap() << 10
}

/// Endless answers, so many at once, all of which come to the limit of what is stored at the same time.
async fn endless(at_once: usize, limit: usize, chunk: usize, reads: Reads) {
    let (below, beyond) = (Gate::closed(), Gate::closed());
    let gates = (below.clone(), beyond.clone());
    let api = Origin::start(move |call| {
        if call.target == "/small" || call.nth > 0 {
            return Reply::ok("small").header("cache-control", "no-store");
        }
        let mut reply = Reply::ok(Vec::new()).header("cache-control", "max-age=60");
        let piece = bytes::Bytes::from(vec![b'x'; chunk]);
        for _ in 0..(limit - (1 << 10)) / chunk {
            reply = reply.then(piece.clone());
        }
        let reply = reply.then_gate(&gates.0).then(vec![b'x'; 2 << 10]);
        reply
            .then_gate(&gates.1)
            .then_for_ever(vec![b'x'; 16 << 10])
    })
    .await;
    let place = Place::new();
    place.write(
        "restow.toml",
        &format!("[proxy]\nmax_body = \"{limit} B\"\n"),
    );
    let proxy = Proxy::start(&place, &["--cache", "memory:", "--upstream", &api.url("")]);
    let client = restow_testkit::http_client().build().unwrap();
    for _ in 0..at_once {
        client
            .get(format!("{}/small", proxy.url))
            .send()
            .await
            .unwrap();
    }
    let base = status(&proxy, "VmRSS");

    let address = proxy.url.strip_prefix("http://").unwrap().to_owned();
    let mut clients = tokio::task::JoinSet::new();
    for nth in 0..at_once {
        let (address, mut read) = (address.clone(), vec![0; 64 << 10]);
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET /{nth} HTTP/1.1\r\nhost: a\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut left = match reads {
                Reads::Head => 16,
                Reads::Everything => 2 * limit,
            };
            while left > 0 {
                let most = left.min(read.len());
                let len = stream.read(read.get_mut(..most).unwrap()).await.unwrap();
                assert!(len > 0, "it was cut");
                left -= len;
            }
            stream
        });
    }
    below.reached(at_once).await;
    // What is still on its way to the proxy arrives: all are held at once.
    in_time("what was sent arrives", async {
        while status(&proxy, "VmRSS") < base + at_once * limit / 10 * 9 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    below.open();
    beyond.reached(at_once).await;
    beyond.open();
    let mut streams = Vec::new();
    while let Some(stream) = clients.join_next().await {
        streams.push(stream.unwrap());
    }
    // Who asks for the same waits until the first answer is seen to be too long for the store.
    for nth in 0..at_once {
        let waits = client.get(format!("{}/{nth}", proxy.url)).send();
        assert_eq!(waits.await.unwrap().text().await.unwrap(), "small");
    }
    let most = status(&proxy, "VmHWM");
    let (took, allowed) = (most - base, at_once * limit / 10 * 11);
    let mib = |bytes: usize| bytes >> 20;
    println!(
        "{at_once} of {} MiB in chunks of {chunk}, {reads:?}: base {} MiB, +{} MiB of {}",
        mib(limit),
        mib(base),
        mib(took),
        mib(allowed)
    );
    assert!(
        took <= allowed,
        "{at_once} of {} MiB in chunks of {chunk}, {reads:?}: it took {} MiB, and {} are allowed",
        mib(limit),
        mib(took),
        mib(allowed)
    );
    drop(streams);
}

const LIMIT: usize = 8 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_answers_take_the_limit_each_where_clients_read_them() {
    endless(64, LIMIT, 16 << 10, Reads::Everything).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_answers_take_the_limit_each_where_clients_stand_still() {
    endless(64, LIMIT, 16 << 10, Reads::Head).await;
}

/// The smaller its pieces, the more a thing costs that holds them one by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_answers_in_crumbs_take_no_more() {
    endless(24, LIMIT, 256, Reads::Head).await;
}

/// Ten megabytes that say ten gigabytes, whatever is done with them: decoded for the store, for a client that accepts nothing else, for links.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_says_very_much_takes_little_more_than_the_longest_body() {
    const MEMBER: usize = 16 << 20;
    const MORE: usize = 32 << 20;
    let (spaces, mut member) = (vec![b' '; MEMBER], Vec::new());
    let mut encoder = GzipEncoder::new(&spaces[..]);
    encoder.read_to_end(&mut member).await.unwrap();
    let bomb = bytes::Bytes::from(member.repeat((10 << 30) / MEMBER));
    let sent = bomb.clone();
    let api = Origin::start(move |call| match &*call.target {
        "/small" => Reply::ok("small").header("cache-control", "no-store"),
        path => {
            let reply = match path.starts_with("/items/") {
                true => Reply::ok(sent.clone()),
                false => Reply::status(404).then(sent.clone()),
            };
            let reply = reply.header("content-type", "application/json");
            reply.header("content-encoding", "gzip")
        }
    })
    .await;
    let place = Place::new();
    let (url, linked) = (api.url(""), api.url("/linked"));
    place.write(
        "restow.toml",
        &format!(
            "cache = \"memory:\"\n\
             [[endpoint]]\nname = \"items\"\nroute = \"GET {url}/items/{{id}}\"\n\
             [[upstream]]\nurl = \"{url}\"\n\
             [[upstream]]\nmount = \"/linked\"\nurl = \"{linked}\"\nrewrite_pointers = [\"/next\"]\n"
        ),
    );
    let proxy = Proxy::start(&place, &[]);
    let client = restow_testkit::http_client().no_gzip().build().unwrap();
    let small = client.get(format!("{}/small", proxy.url)).send();
    assert_eq!(small.await.unwrap().text().await.unwrap(), "small");
    let base = status(&proxy, "VmRSS");
    for path in ["/items/1", "/other", "/linked/1"] {
        for accepts in ["", "gzip"] {
            let request = client.get(format!("{}{path}", proxy.url));
            let request = request.header("accept-encoding", accepts);
            let mut answer = request.send().await.unwrap();
            let encoded = answer.headers().contains_key("content-encoding");
            let mut length = 0;
            let whole = loop {
                match answer.chunk().await {
                    Ok(Some(piece)) => length += piece.len(),
                    end => break end.is_ok(),
                }
            };
            let said = format!("{path} for {accepts:?}: {length} bytes, encoded: {encoded}");
            match encoded {
                true => assert!(whole && length == bomb.len(), "{said}"),
                false => assert!(!whole && length <= MEMBER && accepts.is_empty(), "{said}"),
            }
            let took = status(&proxy, "VmHWM") - base;
            println!("{said}, +{} MiB", took >> 20);
            assert!(took < MORE, "{said}: it took {} MiB", took >> 20);
        }
    }
    assert_eq!(api.asked(), 7, "something was stored");
}
