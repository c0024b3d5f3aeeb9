//! Requests that change what an API has, dropped before they are answered: the API may have carried them out (RFC 9111 section 4.4).

use crate::{
    calls::by_tower,
    place::{Company, Place, URLS, request, url},
};
use http::{Method, Request};
use restow::{BoxFuture, client::Body};
use restow_testkit::dropping::{At, Dropped, dropped, in_time};
use tower::{Layer, Service};

type Change = for<'a> fn(&'a Place) -> BoxFuture<'a, ()>;

const CHANGES: [(&str, Change); 2] = [
    ("a client's", |place| {
        Box::pin(async { drop(place.owning().delete(url("held")).send().await.unwrap()) })
    }),
    ("tower's", |place| {
        Box::pin(async { drop(by_tower(place, delete()).await) })
    }),
];

fn delete() -> Request<()> {
    let mut request = request("held");
    *request.method_mut() = Method::DELETE;
    request
}

// On one thread nothing of it is done before it waits.
#[tokio::test]
async fn what_a_dropped_request_changes_is_invalid_all_the_same() {
    for at in URLS {
        let mut place = Place::open(at, Company::None).await;
        for (whose, change) in CHANGES {
            let what = format!("{at}, {whose} request, dropped once it waits");
            place.ready().await;
            let came_to = in_time(&what, dropped(change(&place), 1, At::Wait)).await;
            assert_eq!(came_to, Dropped::Waiting, "{what}");
            let held = "held".to_owned();
            in_time(&what, async {
                while place.items.get(&held).await.unwrap().is_some() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    }
}

#[tokio::test]
async fn what_a_request_may_have_changed_that_got_no_answer_is_invalid() {
    let mut place = Place::open(URLS[0], Company::None).await;
    place.ready().await;
    let broken = tower::service_fn(|_: Request<()>| async {
        Err::<http::Response<Body>, _>(std::io::Error::other("it broke off"))
    });
    let mut service = place.cache.layer().layer(broken);
    service.call(delete()).await.unwrap_err();
    assert_eq!(place.items.get("held").await.unwrap(), None);
}
