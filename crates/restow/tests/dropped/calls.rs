//! The calls, by name.

use crate::place::{
    Api, BULK, Place, T0, answer, at, endpoint, request, request_of, slowly, spec, url, url_of,
    writes,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use restow::{
    BoxFuture, Cache, Config, Mode, Repository, RouteEndpoint, Scope, Selection, Text,
    client::Body,
    endpoint::RequestHead,
    exchange::{Background, Begin, Landing},
    store::{Budget, Parts as Which, Renewal, SqliteOptions, SqliteStore, connect, sqlite::Depth},
};
use std::time::Duration;
use tower::{Layer, Service};

type Items = RouteEndpoint<String, Text>;

/// A call, to be made anew each time.
pub struct Call {
    pub name: &'static str,
    pub make: for<'a> fn(&'a Place) -> BoxFuture<'a, ()>,
}

macro_rules! calls {
    ($($name:literal => |$place:ident| $body:expr;)*) => {
        &[$(Call {
            name: $name,
            make: |$place: &Place| Box::pin(async move {
                let _ = $body;
            }),
        }),*]
    };
}

fn keys() -> [String; 3] {
    ["held", "old", "none"].map(String::from)
}

fn bulk() -> Vec<(String, String)> {
    BULK.map(|key| (key.to_owned(), "saved".to_owned())).into()
}

fn response(place: &Place, key: &str) -> (http::request::Parts, http::Response<Bytes>) {
    let request = place.request(key);
    let response = answer(&request).map(|text| Bytes::from_static(text.as_bytes()));
    (request, response)
}

fn many_responses(place: &Place) -> Vec<(http::request::Parts, http::Response<Bytes>)> {
    BULK.map(|key| response(place, key)).into()
}

/// Calls of `Repository`, `Cache`, their builders and selections.
pub const CACHE: &[Call] = calls! {
    "Repository::open" => |p| Repository::open(p.cache.store(), endpoint("alone")).await.unwrap();
    "Repository::get" => |p| p.items.get("held").await.unwrap();
    "Repository::get, of nothing" => |p| p.items.get("none").await.unwrap();
    "Repository::get, by a request" => |p| p.items.get(&p.request("held")).await.unwrap();
    "Repository::get_many" => |p| p.items.get_many(&keys()).await.unwrap();
    "Repository::get_many, of more than a few" => |p| p.items.get_many(&vec!["held".to_owned(); 100]).await.unwrap();
    "Repository::contains" => |p| p.items.contains("held").await.unwrap();
    "Repository::lookup" => |p| p.items.lookup("old").await.unwrap();
    "Repository::entry" => |p| p.items.entry("old").await.unwrap();
    "Repository::variants" => |p| p.items.variants("old").await.unwrap();
    "Repository::save" => |p| p.items.save("held", &"saved".to_owned()).await.unwrap();
    "Repository::save, of what was not there" => |p| p.items.save("new", &"saved".to_owned()).await.unwrap();
    "Repository::save_many" => |p| p.items.save_many(&bulk()).await.unwrap();
    "Repository::save_response" => |p| {
        let (request, response) = response(p, "new");
        p.items.save_response(&request, &response).await.unwrap()
    };
    "Repository::delete" => |p| p.items.delete("held").await.unwrap();
    "Repository::delete_many" => |p| p.items.delete_many(&keys()).await.unwrap();
    "Repository::count" => |p| p.items.count(Scope::All).await.unwrap();
    "Repository::clear" => |p| p.items.clear(Scope::All).await.unwrap();
    "Repository::partitions" => |p| p.items.partitions().await.unwrap();
    "Repository::sweep" => |p| p.items.sweep().await.unwrap();
    "Repository::stats" => |p| p.items.stats().await.unwrap();
    "Repository::stream" => |p| p.items.stream(Scope::All).collect::<Vec<_>>().await;
    "Repository::entries" => |p| p.items.entries(Scope::All).collect::<Vec<_>>().await;
    "Repository::commit" => |p| p.items.commit().await.unwrap();
    "Repository::close" => |p| p.items.clone().close().await.unwrap();
    "a principal's clear" => |p| p.cache.principal("me").unwrap().repository("items").unwrap().clear(Scope::All).await.unwrap();
    "everyone's get" => |p| p.items.everyone().get("held").await.unwrap();
    "everyone's get_many" => |p| p.items.everyone().get_many(&keys()).await.unwrap();
    "everyone's delete_many" => |p| p.items.everyone().delete_many(&keys()).await.unwrap();
    "Select::count" => |p| p.items.select().eq("id", "held").count().await.unwrap();
    "Select::delete" => |p| p.items.select().eq("id", "held").delete().await.unwrap();
    "Select::stream" => |p| p.items.select().eq("id", "held").stream().collect::<Vec<_>>().await;
    "Select::entries" => |p| p.items.select().eq("id", "held").entries().collect::<Vec<_>>().await;
    "Select::whole_entries" => |p| p.items.select().whole_entries().collect::<Vec<_>>().await;
    "Repository::get_or_fetch, of what is held" => |p| p.items.get_or_fetch(&"held".into(), &Api).await.unwrap();
    "Repository::get_or_fetch, of what is confirmed" => |p| p.items.get_or_fetch(&"old".into(), &Api).await.unwrap();
    "Repository::get_or_fetch, of what is fetched" => |p| p.items.get_or_fetch(&"new".into(), &Api).await.unwrap();
    "Repository::get_or_fetch_many" => |p| {
        let keys = ["held", "old", "new", "newer"].map(String::from);
        p.items.get_or_fetch_many(&keys, &Api).concurrency(2).await.unwrap()
    };
    "Cache::get" => |p| p.cache.get(&p.request("held")).await.unwrap();
    "Cache::get_many" => |p| p.cache.get_many(&["held", "old"].map(|k| p.request(k))).await.unwrap();
    "Cache::save" => |p| {
        let (request, response) = response(p, "held");
        p.cache.save(&request, &response).await.unwrap()
    };
    "Cache::save_many" => |p| p.cache.save_many(&many_responses(p)).await.unwrap();
    "Cache::delete" => |p| p.cache.delete(&p.request("held")).await.unwrap();
    "Cache::delete_many" => |p| p.cache.delete_many(&["held", "old"].map(|k| p.request(k))).await.unwrap();
    "Cache::open_or_get" => |p| p.cache.open_or_get(endpoint("items")).await.unwrap();
    "Cache::create_repository" => |p| {
        p.cache.remove("spare");
        p.cache.create_repository(endpoint("spare")).await.unwrap()
    };
    "Cache::create_repository, whose table is made" => |p| {
        p.cache.drop_repository("spare").await.unwrap();
        p.cache.create_repository(endpoint("spare")).await.unwrap()
    };
    "Cache::drop_repository" => |p| p.cache.drop_repository("spare").await.unwrap();
    "Cache::drop_repository, of what is in use" => |p| p.cache.drop_repository("items").await.unwrap();
    "Cache::open_stored" => |p| {
        p.cache.remove("spare");
        // It holds a table without a declaration as well.
        p.cache.open_stored().await
    };
    "Cache::open_stored_unrouted" => |p| {
        p.cache.remove("spare");
        // As before: not all that it holds can be opened.
        p.cache.open_stored_unrouted().await
    };
    "Cache::open_stored_as" => |p| {
        p.cache.remove("spare");
        let opened = p.cache.open_stored_as("spare", |declared| Items::from_declaration(declared, Text).ok());
        assert!(opened.await.unwrap().is_some())
    };
    "Cache::open_or_bypass, of what fits" => |p| {
        p.cache.remove("spare");
        assert!(p.cache.open_or_bypass(endpoint("spare")).await.unwrap().is_some())
    };
    "Cache::open_or_bypass, of what does not fit" => |p| {
        p.cache.remove("spare");
        let renamed = Items::get("spare", "https://api.example.com/spare/{name}").unwrap();
        assert!(p.cache.open_or_bypass(renamed).await.unwrap().is_none())
    };
    "Cache::commit" => |p| p.cache.commit().await.unwrap();
    "CacheBuilder::build" => |_p| Cache::builder().url("sqlite::temp:").build().await.unwrap();
    "connect" => |_p| restow::connect("sqlite::memory:").await.unwrap();
    "Config::open" => |_p| {
        let text = "cache = \"sqlite::temp:\"\n[[endpoint]]\nname = \"a\"\nroute = \"https://h/{id}\"";
        Config::parse(text, "restow.toml").unwrap().open().await.unwrap()
    };
    "Cache::close" => |p| p.cache.close().await.unwrap();
};

/// Requests through an exchange and every client.
pub const CLIENTS: &[Call] = calls! {
    "Exchange::begin, answered" => |p| {
        let parts = p.request("held");
        p.cache.exchange().begin(RequestHead::from(&parts), Background::Possible).await
    };
    "Exchange::begin, with a ticket" => |p| p.ticket("new", Mode::Live).await;
    "Exchange::begin, as one who waits" => |p| {
        let ticket = p.ticket("new", Mode::Live).await;
        let parts = p.request("new");
        let exchange = p.cache.exchange();
        let waits = exchange.begin(RequestHead::from(&parts), Background::Possible);
        let leads = async {
            slowly().await;
            drop(ticket);
        };
        tokio::join!(waits, leads)
    };
    "Ticket::head, confirmed" => |p| {
        let ticket = p.ticket("old", Mode::Live).await;
        let mut parts = p.request("old");
        ticket.prepare(&mut parts.headers);
        let head = answer(&parts).into_parts().0;
        ticket.head(head.status, head.headers, None).await
    };
    "Collector::finish" => |p| {
        let ticket = p.ticket("new", Mode::Live).await;
        let head = answer(&p.request("new")).into_parts().0;
        match ticket.head(head.status, head.headers, None).await {
            Landing::Collect(mut collector, _) => {
                assert!(collector.push(b"fetched"));
                collector.finish().await
            }
            other => panic!("{other:?}"),
        }
    };
    "Collector::finish_with" => |p| {
        let ticket = p.ticket("new", Mode::Live).await;
        let head = answer(&p.request("new")).into_parts().0;
        match ticket.head(head.status, head.headers, None).await {
            Landing::Collect(collector, _) => collector.finish_with("fetched".into()).await,
            other => panic!("{other:?}"),
        }
    };
    "Invalidation::answered" => |p| {
        let mut parts = p.request("held");
        parts.method = Method::DELETE;
        let begun = p.cache.exchange().begin(RequestHead::from(&parts), Background::Possible).await;
        match begun {
            Begin::Bypass(_, Some(invalidation)) => invalidation.answered(StatusCode::OK, &http::HeaderMap::new()).await,
            other => panic!("{other:?}"),
        }
    };
    "a client's request for what is held" => |p| p.owning().get(url("held")).send().await.unwrap().text().await.unwrap();
    "a client's request for what is confirmed" => |p| p.owning().get(url("old")).send().await.unwrap().text().await.unwrap();
    "a client's request for what is fetched" => |p| p.owning().get(url("new")).send().await.unwrap().text().await.unwrap();
    "a client's request for the head of what has expired" => |p| p.owning().head(url("old")).send().await.unwrap();
    "a middleware's request for a part of what has expired" => |p| {
        p.borrowing().get(url("old")).header("range", "bytes=0-1").send().await.unwrap().text().await.unwrap()
    };
    "a client's request with an unsafe method" => |p| p.owning().delete(url("held")).send().await.unwrap();
    "a middleware's request for what is held" => |p| p.borrowing().get(url("held")).send().await.unwrap().text().await.unwrap();
    "a middleware's request for what is confirmed" => |p| p.borrowing().get(url("old")).send().await.unwrap().text().await.unwrap();
    "a middleware's request for what is fetched" => |p| p.borrowing().get(url("new")).send().await.unwrap().text().await.unwrap();
    "a client's request for what is stale, with a refresh behind it" => |p| p.owning().get(url_of("stale", "old")).send().await.unwrap().text().await.unwrap();
    "tower's request for what is stale, with a refresh behind it" => |p| by_tower(p, request_of("stale", "old")).await;
    "tower's request for a body in pieces" => |p| {
        let mut body = in_pieces(p).await;
        while let Some(frame) = body.frame().await {
            frame.unwrap();
        }
    };
    "tower's request for a body in pieces, of which one is read" => |p| {
        let mut body = in_pieces(p).await;
        body.frame().await.unwrap().unwrap()
    };
    "tower's request for what is held" => |p| by_tower(p, request("held")).await;
    "tower's request for what is confirmed" => |p| by_tower(p, request("old")).await;
    "tower's request for what is fetched" => |p| by_tower(p, request("new")).await;
};

pub async fn by_tower(place: &Place, request: Request<()>) -> Bytes {
    let api = tower::service_fn(|request: Request<()>| async move {
        slowly().await;
        let answer = answer(&request.into_parts().0);
        Ok::<_, std::io::Error>(answer.map(|text| Body::whole(text.into())))
    });
    let mut service = place.cache.layer().layer(api);
    let response = service.call(request).await.unwrap();
    response.into_body().bytes().await.unwrap()
}

/// The body of an answer that comes in pieces, each of which takes its time.
async fn in_pieces(place: &Place) -> Body {
    let api = tower::service_fn(|request: Request<()>| async move {
        let answer = answer(&request.into_parts().0);
        Ok::<_, std::io::Error>(answer.map(|text| {
            let pieces = stream::iter(text.split_inclusive('t')).then(|piece| async move {
                slowly().await;
                Ok::<_, std::io::Error>(Frame::data(Bytes::from(piece)))
            });
            Body::passing(StreamBody::new(pieces))
        }))
    });
    let mut service = place.cache.layer().layer(api);
    service.call(request("new")).await.unwrap().into_body()
}

/// Calls of the contract.
pub const STORE: &[Call] = calls! {
    "store::connect" => |_p| connect("sqlite::temp:?memory=1MiB").await.unwrap();
    "SqliteStore::open" => |_p| SqliteStore::open(SqliteOptions::temporary()).await.unwrap();
    "SqliteStore::check" => |_p| SqliteStore::check(SqliteOptions::memory(), Depth::Whole).await;
    "Store::open" => |p| p.cache.store().open(&spec()).await.unwrap();
    "Store::tables" => |p| p.cache.store().tables().await.unwrap();
    "Store::remove" => |p| p.cache.store().remove(&spec().name).await.unwrap();
    "Store::secret" => |p| p.cache.store().secret().await.unwrap();
    "Store::trim" => |p| {
        let most = Budget { entries: Some(1), bytes: None };
        p.cache.store().trim(most, 100).await.unwrap()
    };
    "Store::commit" => |p| p.cache.store().commit().await.unwrap();
    "Table::read" => |p| p.table.read(&at("held"), Which::Whole, p.now()).await.unwrap();
    "Table::read, of a meta" => |p| p.table.read(&at("held"), Which::Meta, p.now().plus(Duration::from_secs(2))).await.unwrap();
    "Table::read_many" => |p| p.table.read_many(&BULK.map(at), Which::Whole, p.now()).await.unwrap();
    "Table::read_many, of more than a few" => |p| p.table.read_many(&vec![at("held"); 100], Which::Body, p.now()).await.unwrap();
    "Table::write" => |p| p.table.write(&writes(&BULK), p.now()).await.unwrap();
    "Table::renew" => |p| {
        let found = p.table.read(&at("held"), Which::Whole, p.now()).await.unwrap();
        let entry = found.iter().next().unwrap();
        let renewal = Renewal { id: entry.id.clone(), read: entry.generation, meta: entry.meta.clone() };
        p.table.renew(&[renewal], p.now()).await.unwrap()
    };
    "Table::delete" => |p| p.table.delete(&[at("held")], p.now()).await.unwrap();
    "Table::count" => |p| p.table.count(&Selection::default(), p.now()).await.unwrap();
    "Table::clear" => |p| p.table.clear(&Selection::default(), 10, p.now()).await.unwrap();
    "Table::partitions" => |p| p.table.partitions(p.now()).await.unwrap();
    "Table::sweep" => |p| p.table.sweep(10, p.now()).await.unwrap();
    "Table::scan" => |p| p.table.scan(&Selection::default(), Which::Whole, T0).collect::<Vec<_>>().await;
    "Table::pending_columns" => |p| p.table.pending_columns().await.unwrap();
    "Table::columns_filled" => |p| p.table.columns_filled(&["none".into()]).await.unwrap();
    "Table::stats" => |p| p.table.stats(p.now()).await.unwrap();
    "Store::close" => |p| {
        // Through the cache, which then knows.
        p.cache.close().await.unwrap()
    };
};
