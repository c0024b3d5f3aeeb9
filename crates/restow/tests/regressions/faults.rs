//! Faults of the reference library that one process shows.

use crate::{
    forms,
    place::{DAY, HOUR, MINUTE, Pages, Place, pages},
};
use bytes::Bytes;
use futures_util::{TryStreamExt, future::join_all};
use restow::{
    Binary, Declaration, ErrorKind, Field, Key, Lookup, RouteEndpoint, Scope, Text,
    endpoint::Rejection,
    exchange::{OutcomeKind, Saved},
};
use restow_testkit::{Origin, Reply};
use std::collections::BTreeSet;

const ORIGIN: &str = "https://api.example.com";

#[tokio::test]
async fn clearing_what_expired_leaves_what_lives() {
    let place = Place::new();
    let cache = place.cache().await;
    let pages = pages(&cache, ORIGIN).await;
    pages.save("old", &"1".into()).await.unwrap();
    place.clock.advance(2 * HOUR);
    pages.save("new", &"2".into()).await.unwrap();

    assert_eq!(pages.clear(Scope::Expired).await.unwrap(), 1);
    assert_eq!(pages.get("new").await.unwrap().as_deref(), Some("2"));
    assert!(matches!(
        pages.lookup("old").await.unwrap(),
        Lookup::Missing
    ));
    assert_eq!(pages.count(Scope::All).await.unwrap(), 1);
}

#[tokio::test]
async fn names_that_mean_something_in_sql_are_names() {
    let names = [
        "my repo",
        "order",
        "tracks-v2",
        "select",
        "日本",
        "a\"b",
        "it's",
        "x]; --",
        "100%",
        "a.b",
        "`t`",
        "?1",
        ":id",
        "$x",
        "NULL",
        "rowid",
        "body",
        "1",
        "_",
        "Robert'); DROP TABLE \"order\";--",
    ];
    let place = Place::new();
    let cache = place.cache().await;
    for name in names {
        // Two more of the same kind as fields: one that is text, one that is a number.
        let fields = [Field::text(name), Field::integer("group by")];
        let declaration = Declaration::new(name, fields).unwrap();
        let endpoint = RouteEndpoint::<(String, i64), Text>::from_declaration(declaration, Text);
        let repository = cache.create_repository(endpoint.unwrap()).await.unwrap();
        let key = |n: i64| (format!("{name} {n}"), n);
        for n in 0..3 {
            repository
                .save(&key(n), &format!("{name} is {n}"))
                .await
                .unwrap();
        }

        let asked = [key(2), key(7), key(0)];
        let found = repository.get_many(&asked).await.unwrap();
        let body = |n: i64| Some(format!("{name} is {n}"));
        assert_eq!(found, [body(2), None, body(0)], "{name}");
        assert!(repository.contains(&key(1)).await.unwrap(), "{name}");
        assert_eq!(
            repository
                .select()
                .eq(name, key(1).0)
                .count()
                .await
                .unwrap(),
            1,
            "{name}"
        );
        let streamed: BTreeSet<_> = repository.stream(Scope::Live).try_collect().await.unwrap();
        assert_eq!(streamed.len(), 3, "{name}");
        assert!(streamed.contains(&(key(1), body(1).unwrap())), "{name}");
        assert!(repository.delete(&key(1)).await.unwrap(), "{name}");
    }
    // None of them has touched another.
    for repository in cache.iter() {
        assert_eq!(
            repository.count(Scope::Live).await.unwrap(),
            2,
            "{}",
            repository.name()
        );
    }
    assert_eq!(cache.len(), names.len());
}

#[tokio::test]
async fn a_hit_is_the_answer_as_it_came_and_has_nothing_of_the_request() {
    let origin = Origin::start(|_| {
        Reply::status(203)
            .header("content-type", "application/vnd.page+json; v=2")
            .header("x-line", "one")
            .header("x-line", "two")
            .header("date", "Fri, 15 Jan 2027 08:00:00 GMT")
            .then(r#"{"a":1}"#)
    })
    .await;
    let place = Place::new();
    let cache = place.cache().await;
    pages(&cache, &origin.url("")).await;
    for (form, client, _) in forms::all(&cache) {
        let url = origin.url(&format!("/pages/{form}"));
        let request = [
            ("authorization", "Bearer canary-4711"),
            ("x-mine", "canary-4712"),
        ];
        let first = client.get_with(&url, &request).await;
        let second = client.get_with(&url, &request).await;

        assert_eq!(second.outcome(), OutcomeKind::Hit, "{form}");
        assert_eq!((second.status, second.body), (203, first.body), "{form}");
        let mut headers = second.headers;
        assert!(headers.remove("age").is_some(), "{form}");
        let mut sent = first.headers;
        sent.remove("age");
        assert_eq!(headers, sent, "{form}");
        assert_eq!(headers["content-type"], "application/vnd.page+json; v=2");
        let lines: Vec<_> = headers.get_all("x-line").iter().collect();
        assert_eq!(lines, ["one", "two"], "{form}");
        assert!(!format!("{headers:?}").contains("canary"), "{form}");
    }
    cache.commit().await.unwrap();
    assert!(place.holds("application/vnd.page+json"));
    assert!(
        !place.holds("canary"),
        "a header of a request is in the file"
    );
}

#[tokio::test]
async fn every_field_has_a_column_of_its_own() {
    #[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
    struct Listing {
        kind: String,
        market: Option<String>,
        page: i64,
    }
    let place = Place::new();
    let cache = place.cache().await;
    let template = format!("{ORIGIN}/{{kind}}/list{{?page:int!,market}}");
    let endpoint = RouteEndpoint::<Listing, Text>::get("listings", &template).unwrap();
    let listings = cache.create_repository(endpoint).await.unwrap();
    let key = |kind: &str, market: Option<&str>, page| Listing {
        kind: kind.into(),
        market: market.map(Into::into),
        page,
    };
    let keys = [
        key("albums", Some("GB"), 1),
        key("albums", None, 1),
        key("GB", Some("albums"), 2),
    ];
    for (n, key) in keys.iter().enumerate() {
        listings.save(key, &n.to_string()).await.unwrap();
    }
    cache.commit().await.unwrap();

    let found = listings.get_many(&keys).await.unwrap();
    assert_eq!(
        found,
        [Some("0".into()), Some("1".into()), Some("2".into())]
    );
    assert_eq!(
        listings
            .select()
            .eq("kind", "albums")
            .count()
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        listings
            .select()
            .eq("market", "albums")
            .scan()
            .count()
            .await
            .unwrap(),
        1
    );
    // The request's order of parameters is not the key's order of fields.
    let request = http::Request::get(format!("{ORIGIN}/albums/list?market=GB&page=1"));
    let found = listings.get(&request.body(()).unwrap()).await.unwrap();
    assert_eq!(found.as_deref(), Some("0"));
    let row: (String, String, i64) = place
        .sql()
        .query_row(
            "SELECT kind, market, page FROM listings WHERE body = CAST('2' AS BLOB) OR body = '2'",
            [],
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
        )
        .unwrap();
    assert_eq!(row, ("GB".into(), "albums".into(), 2));
}

#[tokio::test]
async fn bulk_answers_have_the_order_and_the_number_of_the_questions() {
    let place = Place::new();
    let cache = place.cache().await;
    let pages = pages(&cache, ORIGIN).await;
    let pairs: Vec<_> = (0..100)
        .map(|n| (format!("k{n}"), format!("v{n}")))
        .collect();
    pages.save_many(&pairs).await.unwrap();

    // Backwards, with misses between and one key twice.
    let asked: Vec<String> = (0..150)
        .rev()
        .map(|n| format!("k{n}"))
        .chain(["k5".into()])
        .collect();
    let found = pages.get_many(&asked).await.unwrap();
    assert_eq!(found.len(), asked.len());
    for (key, value) in asked.iter().zip(found) {
        let n: usize = key[1..].parse().unwrap();
        assert_eq!(value, (n < 100).then(|| format!("v{n}")), "{key}");
    }
}

#[tokio::test]
async fn two_posts_never_share() {
    let origin = Origin::start(|call| Reply::ok(call.body.clone())).await;
    let place = Place::new();
    let cache = place.cache().await;
    let endpoint = RouteEndpoint::<(String,), Text>::post("queries", &origin.url("/graphql"));
    cache.create_repository(endpoint.unwrap()).await.unwrap();
    for (form, client, _) in forms::all(&cache) {
        let ask = async |body: &str| {
            let body = format!("{form} {body}");
            let request = http::Request::post(origin.url("/graphql")).body(Bytes::from(body));
            client.send(request.unwrap()).await.unwrap()
        };
        for (body, outcome) in [("a", "miss"), ("b", "miss"), ("a", "hit"), ("b", "hit")] {
            let answer = ask(body).await;
            assert_eq!(answer.text(), format!("{form} {body}"));
            assert_eq!(answer.outcome().as_strs().0, outcome, "{form} {body}");
        }
    }
    assert_eq!(origin.asked(), 6);
}

#[tokio::test]
async fn no_store_is_not_stored() {
    let origin = Origin::start(|call| {
        Reply::ok(call.nth.to_string()).header("cache-control", "No-Store, max-age=60")
    })
    .await;
    let place = Place::new();
    let cache = place.cache().await;
    let pages = pages(&cache, &origin.url("")).await;
    for (form, client, _) in forms::all(&cache) {
        let url = origin.url(&format!("/pages/{form}"));
        assert_eq!(client.get(&url).await.text(), "0", "{form}");
        let second = client.get(&url).await;
        assert_eq!(second.text(), "1", "{form}");
        assert!(
            matches!(
                second.answered.saved(),
                Some(Saved::Rejected(Rejection::Policy(_)))
            ),
            "{form}: {:?}",
            second.answered.saved()
        );
    }
    assert_eq!(pages.everyone().count(Scope::All).await.unwrap(), 0);
}

#[tokio::test]
async fn vary_tells_answers_apart() {
    let origin = Origin::start(|call| {
        Reply::ok(call.header("accept-language").to_owned()).header("vary", "Accept-Language")
    })
    .await;
    let place = Place::new();
    let cache = place.cache().await;
    pages(&cache, &origin.url("")).await;
    for (form, client, _) in forms::all(&cache) {
        let url = origin.url(&format!("/pages/{form}"));
        for (language, outcome) in [("de", "miss"), ("fr", "miss"), ("de", "hit"), ("fr", "hit")] {
            let answer = client
                .get_with(&url, &[("accept-language", language)])
                .await;
            assert_eq!(answer.text(), language, "{form}");
            assert_eq!(answer.outcome().as_strs().0, outcome, "{form} {language}");
        }
    }
}

#[tokio::test]
async fn every_table_of_a_file_is_indexed_by_expiry() {
    let place = Place::new();
    let cache = place.cache().await;
    for name in ["first", "second", "third one"] {
        let template = format!("{ORIGIN}/{}/{{id}}", name.len());
        let endpoint = Pages::get(name, &template).unwrap();
        let repository = cache.create_repository(endpoint).await.unwrap();
        repository.save("a", &"b".into()).await.unwrap();
    }
    cache.commit().await.unwrap();
    let sql = place.sql();
    for name in ["first", "second", "third one"] {
        let plan: String = sql
            .query_row(
                &format!("EXPLAIN QUERY PLAN DELETE FROM \"{name}\" WHERE expires_at < 0"),
                [],
                |row| row.get("detail"),
            )
            .unwrap();
        assert!(
            plan.contains("USING") && plan.contains("expires_at<?"),
            "{name}: {plan}"
        );
    }
}

#[tokio::test]
async fn a_binary_body_reaches_the_caller_and_harms_no_reader() {
    const BODY: &[u8] = b"\x89PNG\r\n\x1a\n\xff\xfe\x00\xc3\x28";
    let origin = Origin::start(|_| Reply::ok(BODY).header("content-type", "image/png")).await;
    let place = Place::new();
    let cache = place.cache().await;
    let pages = pages(&cache, &origin.url("")).await;
    let template = origin.url("/images/{id}");
    let images = RouteEndpoint::<String, Binary>::get("images", &template).unwrap();
    let images = cache.create_repository(images).await.unwrap();
    for (form, client, _) in forms::all(&cache) {
        for target in [format!("/pages/{form}"), format!("/images/{form}")] {
            for _ in 0..2 {
                assert_eq!(
                    client.get(&origin.url(&target)).await.body,
                    BODY,
                    "{target}"
                );
            }
        }
        assert_eq!(
            images.get(form).await.unwrap().as_deref(),
            Some(BODY),
            "{form}"
        );
        // It is no text: to a reader of text there is nothing, and no error.
        assert_eq!(pages.get(form).await.unwrap(), None, "{form}");
    }
}

#[tokio::test]
async fn what_is_past_its_keep_leaves_the_file() {
    let place = Place::new();
    let cache = place.cache().await;
    let endpoint = Pages::get("pages", &format!("{ORIGIN}/pages/{{id}}")).unwrap();
    let pages = cache.create_repository(endpoint.keep(DAY)).await.unwrap();
    pages.save("old", &"1".into()).await.unwrap();
    place.clock.advance(2 * HOUR);
    pages.save("new", &"2".into()).await.unwrap();
    place.clock.advance(DAY - MINUTE);

    assert_eq!(pages.sweep().await.unwrap(), 1);
    cache.commit().await.unwrap();
    let ids: Vec<String> = {
        let sql = place.sql();
        let mut rows = sql.prepare("SELECT id FROM pages").unwrap();
        let ids = rows.query_map([], |row| row.get(0)).unwrap();
        ids.map(Result::unwrap).collect()
    };
    assert_eq!(ids, ["new"]);
}

/// Makes the database itself refuse the key `bad`, in one of SQL's ways to fail.
fn refuse(place: &Place, how: &str) {
    let sql = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON pages WHEN NEW.id = 'bad'
         BEGIN SELECT RAISE({how}, 'refused by the test'); END"
    );
    place.sql().execute_batch(&sql).unwrap();
}

#[tokio::test]
async fn a_bulk_save_with_one_bad_key_stores_nothing() {
    let many = |bad: &str| {
        let mut pairs: Vec<_> = (0..50).map(|n| (format!("k{n}"), "v".to_owned())).collect();
        pairs[25].0 = bad.to_owned();
        pairs
    };
    // One that no store can hold, then one that this store refuses.
    let too_long = "x".repeat(restow::key::MAX_KEY_BYTES + 1);
    for (bad, kind) in [(&*too_long, ErrorKind::Key), ("bad", ErrorKind::Store)] {
        let place = Place::new();
        let cache = place.cache().await;
        let pages = pages(&cache, ORIGIN).await;
        refuse(&place, "ABORT");
        let error = pages.save_many(&many(bad)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(pages.count(Scope::All).await.unwrap(), 0);
        assert_eq!(pages.get("k0").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_save_that_fails_takes_no_other_with_it() {
    // The last ends the whole transaction, and not only the statement.
    for how in ["ABORT", "FAIL", "ROLLBACK"] {
        let place = Place::new();
        let cache = place.cache().await;
        let pages = pages(&cache, ORIGIN).await;
        refuse(&place, how);
        let bad = ["a", "bad"].map(|key| (key.to_owned(), "v".to_owned()));
        // Good and bad ones at the same time, in one transaction or in several.
        let saves = (0..200).map(|n| {
            let (pages, bad) = (&pages, &bad);
            async move {
                if n % 4 == 0 {
                    pages.save_many(bad).await.unwrap_err();
                } else {
                    let key = format!("k{n}");
                    assert_eq!(pages.save(&key, &key).await.unwrap(), Saved::Stored);
                }
            }
        });
        join_all(saves).await;
        assert_eq!(pages.count(Scope::Live).await.unwrap(), 150, "{how}");
        assert_eq!(pages.get("a").await.unwrap(), None, "{how}");
    }
}

#[tokio::test]
async fn what_a_client_saved_the_repository_finds_at_once() {
    let origin = Origin::start(|call| Reply::ok(call.target.clone())).await;
    let place = Place::new();
    let cache = place.cache().await;
    let pages = pages(&cache, &origin.url("")).await;
    for (form, client, _) in forms::all(&cache) {
        for n in 0..20 {
            let key = format!("{form}-{n}");
            let answer = client.get(&origin.url(&format!("/pages/{key}"))).await;
            assert_eq!(answer.answered.saved(), Some(&Saved::Stored), "{key}");
            let value = pages.get(&key).await.unwrap();
            assert_eq!(value.as_deref(), Some(answer.text()), "{key}");
        }
    }
}
