//! Keys as types: a derive, optional fields, newtypes, integers; and selections by field and by column.
//!
//! Run it with `cargo run -p restow --example typed_keys`.

use futures_util::TryStreamExt;
use restow::{Cache, Endpoint, Json, Key, RequestHead, RouteEndpoint};
use serde::{Deserialize, Serialize};
use std::pin::pin;

/// A newtype is a field like the type in it, and cannot be mixed up with another.
#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct ArtistId(String);

/// A page of an artist's albums. The names are those of the template's variables.
#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct AlbumsKey {
    artist: ArtistId,
    /// Without a market is not the same as with an empty one.
    market: Option<String>,
    /// An integer: a request with `offset=x` has no key.
    offset: i64,
}

/// A page, as the API writes it.
#[derive(Debug, Serialize, Deserialize)]
struct Albums {
    names: Vec<String>,
    total: i64,
}

const TEMPLATE: &str = "https://api.example.com/v1/artists/{artist}/albums{?market,offset:int}";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = Cache::builder().url("memory:").build().await?;
    let albums = RouteEndpoint::<AlbumsKey, Json<Albums>>::get("albums", TEMPLATE)?
        // Without an offset it is the first page, and the same key.
        .default("offset", 0)
        // A value out of every body, with an index.
        .column("total", "/total");
    let albums = cache.create_repository(albums).await?;

    // A request becomes a key ...
    let (parts, ()) =
        http::Request::get("https://api.example.com/v1/artists/nina/albums?market=GB")
            .body(())?
            .into_parts();
    let key = albums.endpoint().key(&RequestHead::from(&parts));
    println!("{}\n  -> {key:?}", parts.uri);

    // ... and a key becomes a request.
    let second = AlbumsKey {
        artist: ArtistId("nina".into()),
        market: None,
        offset: 20,
    };
    println!(
        "{second:?}\n  -> {}",
        albums.endpoint().request(&second)?.uri()
    );

    for (artist, offset, names, total) in [
        ("nina", 0, vec!["Little Girl Blue", "Pastel Blues"], 3),
        ("nina", 20, vec!["High Priestess of Soul"], 3),
        ("otis", 0, vec!["Otis Blue"], 1),
    ] {
        let key = AlbumsKey {
            artist: ArtistId(artist.into()),
            market: None,
            offset,
        };
        let page = Albums {
            names: names.into_iter().map(String::from).collect(),
            total,
        };
        albums.save(&key, &page).await?;
    }

    // The first field and every column have an index.
    let ninas = albums.select().eq("artist", "nina");
    println!("pages of nina: {}", ninas.count().await?);
    let mut pages = pin!(ninas.stream());
    while let Some((key, page)) = pages.try_next().await? {
        println!("  offset {:2}: {}", key.offset, page.names.join(", "));
    }
    let short = albums.select().eq("total", 1);
    println!("pages with a total of 1: {}", short.count().await?);

    // What would read every entry says so first.
    if let Err(error) = albums.select().eq("offset", 0).count().await {
        println!("{error}");
    }
    let first = albums.select().eq("offset", 0).scan();
    println!("first pages deleted: {}", first.delete().await?);

    cache.close().await?;
    Ok(())
}
