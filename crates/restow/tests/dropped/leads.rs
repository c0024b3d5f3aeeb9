//! One who waits for another's fetch is answered, wherever that other is dropped.

use crate::place::{Api, Company, Place, URLS, url};
use restow::BoxFuture;
use restow_testkit::dropping::{At, Dropped, dropped, in_time};

type Lead = for<'a> fn(&'a Place) -> BoxFuture<'a, ()>;

const LEADS: [(&str, Lead); 3] = [
    ("a typed read", |place| {
        Box::pin(async { _ = place.items.get_or_fetch(&"new".to_owned(), &Api).await })
    }),
    ("a client", |place| {
        Box::pin(async {
            _ = place
                .owning()
                .get(url("new"))
                .send()
                .await
                .unwrap()
                .text()
                .await
        })
    }),
    ("a middleware", |place| {
        Box::pin(async {
            _ = place
                .borrowing()
                .get(url("new"))
                .send()
                .await
                .unwrap()
                .text()
                .await
        })
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_is_answered_wherever_the_one_who_fetches_is_dropped() {
    for at in [URLS[0], URLS[2]] {
        let mut place = Place::open(at, Company::None).await;
        for (name, lead) in LEADS {
            for polls in 1.. {
                place.ready().await;
                let what = format!("{at}, {name} dropped after {polls} polls");
                let leads = dropped(lead(&place), polls, At::Wait);
                let key = "new".to_owned();
                let waits = async {
                    // The one that is to be dropped comes first.
                    tokio::task::yield_now().await;
                    place.items.get_or_fetch(&key, &Api).await
                };
                let (came_to, answered) =
                    in_time(&what, async { tokio::join!(leads, waits) }).await;
                assert_eq!(
                    answered.unwrap().value.as_deref(),
                    Some("fetched"),
                    "{what}"
                );
                if came_to == Dropped::Ended {
                    break;
                }
            }
        }
    }
}
