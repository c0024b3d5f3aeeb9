//! What becomes of an answer that is under way while what it would take the place of is removed.

use crate::support::{At, Pages, every_store, get, pages};
use http::{HeaderMap, StatusCode};
use restow::{
    Repository, RequestHead, Scope,
    exchange::{Background, Begin, Collector, Landing, Saved},
};

/// The head of an answer has come, and its body has not.
async fn under_way(at: &At, path: &str) -> Box<Collector> {
    let request = get(path);
    let (exchange, head) = (at.cache.exchange(), RequestHead::from(&request));
    let begin = exchange.begin(head, Background::Possible);
    let Begin::Fetch(ticket) = begin.await else {
        panic!("it is stored already");
    };
    match ticket.head(StatusCode::OK, HeaderMap::new(), None).await {
        Landing::Collect(collector, _) => collector,
        other => panic!("{other:?}"),
    }
}

async fn remove(pages: &Repository<Pages>, what: &str) {
    let everyone = pages.everyone();
    _ = match what {
        "clear all" => pages.clear(Scope::All).await.unwrap(),
        "clear live" => pages.clear(Scope::Live).await.unwrap(),
        "clear expired" => pages.clear(Scope::Expired).await.unwrap(),
        "delete it" => u64::from(pages.delete("home").await.unwrap()),
        "delete it for everyone" => u64::from(everyone.delete("home").await.unwrap()),
        "delete another" => u64::from(pages.delete("away").await.unwrap()),
        "delete many" => {
            let many: Vec<_> = (0..100).map(|n| n.to_string()).collect();
            pages.delete_many(&many).await.unwrap()
        }
        "clear alice's" => pages
            .principal("alice")
            .unwrap()
            .clear(Scope::All)
            .await
            .unwrap(),
        "select it" => pages.select().eq("id", "home").delete().await.unwrap(),
        "select another" => pages.select().eq("id", "away").delete().await.unwrap(),
        "select 404" => pages
            .select()
            .scan()
            .status(StatusCode::NOT_FOUND)
            .delete()
            .await
            .unwrap(),
        other => panic!("{other}"),
    };
}

#[tokio::test]
async fn an_answer_that_was_asked_for_before_a_removal_is_not_stored_after_it() {
    for at in every_store().await {
        let pages = at.cache.create_repository(pages()).await.unwrap();
        for (what, is_stored) in [
            ("clear all", false),
            ("clear live", false),
            ("clear expired", true),
            ("delete it", false),
            ("delete it for everyone", false),
            ("delete another", true),
            ("delete many", false),
            ("clear alice's", true),
            ("select it", false),
            ("select another", true),
            ("select 404", true),
        ] {
            let collector = under_way(&at, "/pages/home").await;
            remove(&pages, what).await;
            let saved = collector.finish_with("old".into()).await;
            let expected = if is_stored {
                Saved::Stored
            } else {
                Saved::Superseded
            };
            assert_eq!(saved, expected, "{} {what}", at.url);
            assert_eq!(
                pages.contains("home").await.unwrap(),
                is_stored,
                "{} {what}",
                at.url
            );
            // What is asked for from then on is stored.
            pages.delete("home").await.unwrap();
            let saved = under_way(&at, "/pages/home")
                .await
                .finish_with("new".into())
                .await;
            assert_eq!(saved, Saved::Stored, "{} {what}", at.url);
            pages.delete("home").await.unwrap();
        }
    }
}
