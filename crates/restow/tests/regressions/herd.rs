//! Many requests for one answer at the same time.

use crate::{
    forms::{self, Answer, Client, Fetches},
    place::{Place, pages},
};
use bytes::Bytes;
use restow_testkit::{Gate, Origin, Reply};
use tokio::task::JoinHandle;

const HERD: usize = 64;

/// An API that stands at a gate before it answers for `/pages/{form}`.
async fn gated(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |call| match &*call.target {
        "/pages/other" => Reply::ok("other"),
        _ => Reply::ok(call.target.clone()).behind(&gate),
    })
    .await
}

fn start(client: &Client, url: &str, many: usize) -> Vec<JoinHandle<Result<Answer, String>>> {
    let one = || {
        let (client, url) = (client.clone(), url.to_owned());
        tokio::spawn(async move { client.ask(&url, &[]).await })
    };
    std::iter::repeat_with(one).take(many).collect()
}

/// Waits until everything that was started before has had its turn: on one thread a request that comes
/// last and goes to the network and back is behind them all.
async fn others_had_their_turn(client: &Client, origin: &Origin) {
    client.get(&origin.url("/pages/other")).await;
}

async fn all_get(herd: Vec<JoinHandle<Result<Answer, String>>>, body: &str, form: &str) {
    for one in herd {
        assert_eq!(one.await.unwrap().unwrap().text(), body, "{form}");
    }
}

#[tokio::test]
async fn concurrent_misses_make_one_request() {
    let place = Place::new();
    let cache = place.cache().await;
    for (form, client, _) in forms::all(&cache) {
        let gate = Gate::closed();
        let origin = gated(&gate).await;
        let repository = pages(&cache, &origin.url("")).await;
        let target = format!("/pages/{form}");
        let herd = start(&client, &origin.url(&target), HERD);
        gate.reached(1).await;
        others_had_their_turn(&client, &origin).await;
        gate.open();

        all_get(herd, &target, form).await;
        assert_eq!(origin.calls_to(&target).len(), 1, "{form}");
        assert_eq!(repository.get(form).await.unwrap(), Some(target), "{form}");
        cache.remove("pages");
    }
}

#[tokio::test]
async fn a_leader_that_is_dropped_leaves_its_fetch_to_the_others() {
    let place = Place::new();
    let cache = place.cache().await;
    for (form, client, fetches) in forms::all(&cache) {
        let gate = Gate::closed();
        let origin = gated(&gate).await;
        pages(&cache, &origin.url("")).await;
        let target = format!("/pages/{form}");
        let leader = start(&client, &origin.url(&target), 1).remove(0);
        gate.reached(1).await;
        let herd = start(&client, &origin.url(&target), HERD - 1);
        others_had_their_turn(&client, &origin).await;
        leader.abort();
        assert!(leader.await.unwrap_err().is_cancelled());
        // Where a fetch lives in its caller its connection is cut, and one of the others asks again.
        let asked = match fetches {
            Fetches::Detached => 1,
            Fetches::InTheirCaller => 2,
        };
        gate.reached(asked).await;
        others_had_their_turn(&client, &origin).await;
        gate.open();

        all_get(herd, &target, form).await;
        assert_eq!(origin.calls_to(&target).len(), asked, "{form}");
        cache.remove("pages");
    }
}

#[tokio::test]
async fn a_leader_that_is_dropped_within_the_body_stops_nobody() {
    let place = Place::new();
    let cache = place.cache().await;
    for (form, client, _) in forms::all(&cache) {
        let (gate, target) = (Gate::closed(), format!("/pages/{form}"));
        let (stands_at, slow) = (gate.clone(), target.clone());
        let origin = Origin::start(move |call| {
            let reply = Reply::ok("be");
            let slow = call.target == slow;
            if slow {
                reply.then_gate(&stands_at).then("gin")
            } else {
                reply
            }
        })
        .await;
        pages(&cache, &origin.url("")).await;
        let request = http::Request::get(origin.url(&target));
        let leader = client.open(request.body(Bytes::new()).unwrap()).await;
        let herd = start(&client, &origin.url(&target), HERD - 1);
        others_had_their_turn(&client, &origin).await;
        drop(leader.unwrap());
        gate.open();

        all_get(herd, "begin", form).await;
        assert_eq!(origin.calls_to(&target).len(), 1, "{form}");
        cache.remove("pages");
    }
}

#[tokio::test]
async fn answers_that_may_not_be_stored_wait_for_nobody() {
    let place = Place::new();
    let cache = place.cache().await;
    for (form, client, _) in forms::all(&cache) {
        let gate = Gate::closed();
        let stands_at = gate.clone();
        let origin = Origin::start(move |call| match call.nth {
            0 => Reply::ok("first").header("cache-control", "no-store"),
            _ => Reply::ok("later")
                .header("cache-control", "no-store")
                .behind(&stands_at),
        })
        .await;
        pages(&cache, &origin.url("")).await;
        let target = format!("/pages/{form}");
        assert_eq!(
            client.get(&origin.url(&target)).await.text(),
            "first",
            "{form}"
        );
        let herd = start(&client, &origin.url(&target), HERD);
        // All of them stand at the gate together: none waits for another's answer.
        gate.reached(HERD).await;
        gate.open();
        all_get(herd, "later", form).await;
        cache.remove("pages");
    }
}
