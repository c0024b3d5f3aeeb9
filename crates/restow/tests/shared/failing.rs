//! A store on a network that dies, stands still and comes back costs its callers nothing but hits.

use restow::{
    Cache, RouteEndpoint, Text,
    exchange::{Answered, Missed, OutcomeKind},
};
use restow_testkit::{Origin, Reply, http_client};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::watch, time::timeout};

const TASKS: usize = 16;
/// How long a store that is back may take to be used again, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(20);

/// What was seen last, of those two that tell how the store does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Hit,
    Down,
}

/// Asks for the same pages again and again while `fail` takes the store away and `mend` gives it back; no request may fail or get another page.
async fn survive(url: &str, mut faults: Vec<(&str, impl FnMut(), impl FnMut())>) {
    let origin = Origin::start(|call| Reply::ok(call.target.clone())).await;
    let cache = Cache::builder().url(url).build().await.unwrap();
    let pages = RouteEndpoint::<String, Text>::get("pages", &origin.url("/pages/{id}")).unwrap();
    cache.create_repository(pages).await.unwrap();
    let (seen, mut watched) = watch::channel(Seen::Nothing);
    let (stop, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let client = cache.client(http_client().build().unwrap());
        let (seen, stop, asked) = (seen.clone(), stop.clone(), asked.clone());
        let base = origin.url("/pages/");
        tasks.push(tokio::spawn(async move {
            for nth in 0.. {
                if stop.load(Relaxed) {
                    break;
                }
                let id = (task * 7 + nth) % 50;
                let answer = client.get(format!("{base}{id}")).send().await.unwrap();
                let outcome = answer.extensions().get::<Answered>().unwrap().outcome.kind;
                assert_eq!(answer.text().await.unwrap(), format!("/pages/{id}"));
                match outcome {
                    OutcomeKind::Hit => seen.send_replace(Seen::Hit),
                    OutcomeKind::Miss(Missed::StoreDown) => seen.send_replace(Seen::Down),
                    _ => Seen::Nothing,
                };
                asked.fetch_add(1, Relaxed);
            }
        }));
    }
    let mut until = async |what: Seen, why: &str| {
        let heard = timeout(SOON, watched.wait_for(|seen| *seen == what)).await;
        heard
            .unwrap_or_else(|_| panic!("{why}: {what:?} was never seen"))
            .unwrap();
    };
    until(Seen::Hit, "at first").await;
    for round in 0..5 {
        for (name, fail, mend) in &mut faults {
            fail();
            until(Seen::Down, &format!("{name}, round {round}")).await;
            mend();
            until(Seen::Hit, &format!("after {name}, round {round}")).await;
        }
    }
    stop.store(true, Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    assert!(asked.load(Relaxed) > TASKS);
}

type Act = Box<dyn FnMut()>;

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_may_die_and_stand_still() {
    use restow_testkit::redis::Redis;
    use std::{cell::RefCell, rc::Rc};
    let server = Redis::start();
    let url = server.url();
    let server = Rc::new(RefCell::new(server));
    let act = |what: fn(&mut Redis)| -> Act {
        let server = server.clone();
        Box::new(move || what(&mut server.borrow_mut()))
    };
    let faults = vec![
        ("a kill", act(|s| s.kill()), act(|s| s.restart())),
        ("a stop", act(|s| s.pause()), act(|s| s.resume())),
    ];
    survive(&url, faults).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_may_die_and_stand_still() {
    use restow_testkit::Postgres;
    use std::rc::Rc;
    let server = Rc::new(Postgres::start());
    let act = |what: fn(&Postgres)| -> Act {
        let server = server.clone();
        Box::new(move || what(&server))
    };
    let faults = vec![
        ("a kill", act(Postgres::kill), act(Postgres::restart)),
        ("a stop", act(Postgres::freeze), act(Postgres::thaw)),
    ];
    survive(&server.fresh(), faults).await;
}
