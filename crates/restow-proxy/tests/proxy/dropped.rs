//! R12: the proxy's own futures dropped at every await, and clients that go at any moment.

use crate::kit::{Running, before, connections_left};
use restow::{Cache, Millis, TestClock};
use restow_proxy::{Admin, EVERYTHING, Options, Proxy, Upstream};
use restow_testkit::{
    Gate, Origin, Reply,
    dropping::{At, Dropped, dropped, in_time},
    http_client,
};
use std::future::pending;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

fn upstreams(origin: &Origin) -> Vec<Upstream> {
    vec![Upstream::new(&origin.url("")).unwrap()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_was_never_made_is_in_nobodys_way() {
    let origin = Origin::start(|_| Reply::ok("a").header("cache-control", "max-age=60")).await;
    let mut waits = 0;
    for url in ["memory:", "sqlite::memory:", "sqlite::temp:?memory=1MiB"] {
        let clock = TestClock::at(Millis(crate::kit::T0));
        let builder = Cache::builder().url(url).clock(clock.clone());
        let cache = builder.shared(true).build().await.unwrap();
        for polls in 0.. {
            let mut ended = false;
            for at in [At::Wait, At::Wake] {
                let what = format!("{url}, dropped after {polls} polls, {at:?}");
                // So that its table has to be made.
                cache.drop_repository(EVERYTHING).await.unwrap();
                let made = async {
                    let made = Proxy::new(cache.clone(), upstreams(&origin), Options::default());
                    _ = made.await.unwrap();
                };
                let came_to = in_time(&what, dropped(made, polls, at)).await;
                waits += usize::from(came_to == Dropped::Waiting);
                ended = came_to == Dropped::Ended;
                let (clock, options) = (clock.clone(), Options::default());
                let next = Running::over(cache.clone(), clock, upstreams(&origin), options).await;
                let path = format!("/{polls}/{at:?}");
                assert!(!next.get(&path).await.is_hit(), "{what}");
                assert!(next.get(&path).await.is_hit(), "{what}");
            }
            if ended {
                break;
            }
        }
    }
    assert!(waits > 0, "nothing waited: nothing was tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_goes_on_as_it_was_wherever_its_reload_is_dropped() {
    let says = |name: &'static str| Origin::start(move |_| Reply::ok(name));
    let (old, new) = (says("old").await, says("new").await);
    let mut waits = 0;
    for url in ["memory:", "sqlite::memory:", "sqlite::temp:?memory=1MiB"] {
        let build = |b: restow::CacheBuilder| b.url(url);
        let proxy = Running::with(upstreams(&old), Options::default(), "", build).await;
        for polls in 0.. {
            let mut ended = false;
            for at in [At::Wait, At::Wake] {
                let what = format!("{url}, dropped after {polls} polls, {at:?}");
                let again = proxy.reload(upstreams(&old), Options::default(), "");
                in_time(&what, again).await.unwrap();
                // So that its table has to be made.
                let before = proxy.proxy.cache();
                before.drop_repository(EVERYTHING).await.unwrap();
                let builder = Cache::builder().shared(true);
                let cache = builder.build_over(&before).unwrap();
                let goes_on = proxy
                    .proxy
                    .reload(cache, upstreams(&new), Options::default());
                let reloads = async { Box::pin(goes_on).await.unwrap() };
                let came_to = in_time(&what, dropped(reloads, polls, at)).await;
                waits += usize::from(came_to == Dropped::Waiting);
                ended = came_to == Dropped::Ended;
                let now = if ended { "new" } else { "old" };
                assert_eq!(in_time(&what, proxy.get("/")).await.body, now, "{what}");
            }
            if ended {
                break;
            }
        }
    }
    assert!(waits > 0, "nothing waited: nothing was tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_no_longer_served_answers_what_is_under_way_and_no_more() {
    for polls in 0..6 {
        for at in [At::Wait, At::Wake] {
            let what = format!("dropped after {polls} polls, {at:?}");
            let gate = Gate::closed();
            let held = gate.clone();
            let origin = Origin::start(move |call| match &*call.target {
                "/next" => Reply::ok("a"),
                _ => Reply::ok("a").behind(&held),
            })
            .await;
            let cache = Cache::builder().url("memory:").shared(true);
            let cache = cache.build().await.unwrap();
            let proxy = Proxy::new(cache, upstreams(&origin), Options::default());
            let proxy = proxy.await.unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let client = http_client().build().unwrap();
            let ask = |path: &str| client.get(format!("http://{address}{path}")).send();
            let held = ["/1", "/2", "/3"];
            let asked = held.map(|path| {
                let asked = ask(path);
                tokio::spawn(async move { asked.await.is_ok_and(|answer| answer.status() == 200) })
            });
            let served = async {
                _ = proxy.serve(listener, pending()).await;
            };
            // There is always one more, so that it is polled again.
            let others = async {
                loop {
                    _ = ask("/next").await;
                }
            };
            let served = in_time(&what, dropped(served, polls, at));
            tokio::select! {
                _ = served => {}
                () = others => {}
            }
            assert!(TcpStream::connect(address).await.is_err(), "{what}");
            gate.open();
            let mut answered = 0;
            for one in asked {
                answered += usize::from(in_time(&what, one).await.unwrap());
            }
            let reached = held.iter().flat_map(|path| origin.calls_to(path));
            assert_eq!(answered, reached.count(), "{what}");
            connections_left(&proxy, 0).await;
        }
    }
}

#[tokio::test]
async fn operators_are_not_served_once_it_is_dropped() {
    let origin = Origin::start(|_| Reply::ok("a")).await;
    let proxy = before(&origin).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let admin = tokio::spawn(Admin::new(&proxy.proxy, None).serve(listener, pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    admin.abort();
    assert!(admin.await.unwrap_err().is_cancelled());
    assert!(TcpStream::connect(address).await.is_err());
    // The connection ends as soon as it is told, whatever is asked on it.
    for _ in 0..1_000 {
        let mut answer = [0; 256];
        let written = stream.write_all(request).await;
        if written.is_err() || !matches!(stream.read(&mut answer).await, Ok(1..)) {
            return;
        }
    }
    panic!("operators are served on");
}

/// Asks by hand, so that the client's end is gone when this is dropped.
async fn ask(proxy: &Running, path: &str) -> String {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    // In two halves, so that there is one more place to go at.
    let (head, rest) = request.split_at(20);
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::task::yield_now().await;
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_go_at_any_moment() {
    let origin = Origin::start(|_| {
        let reply = Reply::ok("be").then("g").then("in");
        reply.header("cache-control", "max-age=60")
    })
    .await;
    for url in ["memory:", "sqlite::temp:"] {
        let build = |b: restow::CacheBuilder| b.url(url);
        let proxy = Running::with(upstreams(&origin), Options::default(), "", build).await;
        for polls in 0.. {
            let path = format!("/{polls}");
            let what = format!("{url}, a client that goes after {polls} polls");
            let goes = async { drop(ask(&proxy, &path).await) };
            let came_to = in_time(&what, dropped(goes, polls, At::Wait)).await;
            let next = in_time(&what, proxy.get(&path)).await;
            assert_eq!(
                (next.status.as_u16(), &*next.body),
                (200, "begin"),
                "{what}"
            );
            assert!(proxy.get(&path).await.is_hit(), "{what}");
            if came_to == Dropped::Ended {
                break;
            }
        }
        connections_left(&proxy.proxy, 0).await;
    }
}

#[tokio::test]
async fn a_client_that_goes_leaves_its_fetch_to_those_who_wait_and_to_the_store() {
    for (stage, others) in [("head", 20), ("body", 20), ("head", 0), ("body", 0)] {
        let what = format!("it goes within the {stage}, and {others} wait");
        let gate = Gate::closed();
        let held = gate.clone();
        let origin = Origin::start(move |call| {
            let reply = Reply::ok("be").header("cache-control", "max-age=60");
            match &*call.target {
                "/head" => reply.then("gin").behind(&held),
                "/body" => reply.then_gate(&held).then("gin"),
                _ => Reply::ok(""),
            }
        })
        .await;
        let proxy = before(&origin).await;
        let path = format!("/{stage}");
        let mut leader = TcpStream::connect(proxy.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        leader.write_all(request.as_bytes()).await.unwrap();
        gate.reached(1).await;
        if stage == "body" {
            let mut seen = Vec::new();
            while !seen.ends_with(b"be\r\n") {
                assert!(leader.read_buf(&mut seen).await.unwrap() > 0, "{what}");
            }
        }
        let waiting = futures_util::future::join_all((0..others).map(|_| proxy.get(&path)));
        let (answers, ()) = tokio::join!(waiting, async {
            // On one thread the others have had their turn when this is answered.
            proxy.get("/probe").await;
            drop(leader);
            connections_left(&proxy.proxy, others).await;
            gate.open();
        });
        assert!(
            answers.iter().all(|a| a.body == "begin"),
            "{what}: {answers:?}"
        );
        // It is under way still, or stored: nobody asks again.
        assert_eq!(proxy.get(&path).await.body, "begin", "{what}");
        assert_eq!(origin.calls_to(&path).len(), 1, "{what}");
    }
}

/// RFC 9111 section 4.4.
#[tokio::test]
async fn what_a_client_changes_is_invalid_though_it_goes_before_the_answer() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |call| match call.method.as_str() {
        "DELETE" => Reply::status(204).behind(&held),
        _ => Reply::ok("a").header("cache-control", "max-age=3600"),
    })
    .await;
    let proxy = before(&origin).await;
    proxy.get("/a").await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    let request = b"DELETE /a HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(request).await.unwrap();
    gate.reached(1).await;
    drop(client);
    // The other one is that which asks here.
    connections_left(&proxy.proxy, 1).await;
    assert!(proxy.get("/a").await.is_hit());
    gate.open();
    in_time("the end of what is deleted", async {
        while proxy.get("/a").await.is_hit() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
