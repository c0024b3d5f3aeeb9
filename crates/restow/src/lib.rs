//! restow keeps the answers of REST APIs. A program declares each kind of request once, as an **endpoint**; every answer that
//! it has paid for then lives in a typed **repository**, under a key made of the request's own fields, until it expires.
//!
//! An answer that was fetched over HTTP can be read as a value, and a value that was saved answers a request:
//!
//! ```
//! # #[derive(Debug)]
//! # struct Api;
//! # impl restow::Fetch for Api {
//! #     fn fetch(&self, request: http::Request<bytes::Bytes>) -> restow::BoxFuture<'_, restow::Result<http::Response<restow::client::Body>>> {
//! #         let id = request.uri().path().rsplit('/').next().unwrap_or_default();
//! #         let body = format!(r#"{{ "id": "{id}", "name": "Track {id}" }}"#);
//! #         Box::pin(async move { Ok(http::Response::new(restow::client::Body::whole(body.into()))) })
//! #     }
//! # }
//! # let api = Api; // A reqwest client, or anything that implements `restow::Fetch`.
//! use restow::{Cache, Json, RouteEndpoint, Scope, exchange::OutcomeKind};
//!
//! #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
//! struct Track { id: String, name: String }
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! let cache = Cache::builder().url("memory:").principal("me").build().await?;   // or "sqlite://music.db"
//! let tracks = cache.create_repository(
//!     RouteEndpoint::<String, Json<Track>>::get("tracks", "https://api.example.com/v1/tracks/{id}")?
//!         .column("name", "/name")                                  // an indexed value out of each body
//!         .require("/id")                                           // a body without it is not stored
//!         .expire_after("2 weeks".parse::<restow::Expiry>()?),
//! ).await?;
//!
//! let key = "6fWo".to_string();
//! let fetched = tracks.get_or_fetch(&key, &api).await?;             // makes the request, stores the answer
//! assert!(matches!(fetched.outcome.kind, OutcomeKind::Miss(_)));
//! assert_eq!(tracks.get_or_fetch(&key, &api).await?.outcome.kind, OutcomeKind::Hit);
//! assert_eq!(tracks.get("6fWo").await?.unwrap().name, "Track 6fWo");
//! assert_eq!(tracks.get_many(&["6fWo".to_string(), "none".to_string()]).await?[1], None);
//! assert_eq!(tracks.select().eq("name", "Track 6fWo").count().await?, 1);
//! assert_eq!(tracks.count(Scope::Live).await?, 1);
//! cache.close().await
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `reqwest`, a client in front of the same repositories:
//!
#![cfg_attr(feature = "reqwest", doc = "```no_run")]
#![cfg_attr(not(feature = "reqwest"), doc = "```ignore")]
//! # async fn example(cache: restow::Cache) -> Result<(), Box<dyn std::error::Error>> {
//! let client = cache.client(reqwest::Client::new());
//! let response = client.get("https://api.example.com/v1/tracks/6fWo").send().await?;
//! println!("{}", response.extensions().get::<restow::exchange::Answered>().unwrap().outcome);
//! let body = response.text().await?;                                // read to its end, it is stored
//! # Ok(()) }
//! ```
//!
//! # Contents
//!
//! - [Endpoints and routes](#endpoints-and-routes): what a request is, and which repository it belongs to
//! - [Keys](#keys): the fields that identify an answer
//! - [Repositories](#repositories): reading, saving, deleting, selecting, streaming
//! - [Clients](#clients): reqwest, tower, your own
//! - [Who sees what](#who-sees-what): principals, credentials, sharing
//! - [Lifetimes](#lifetimes): fresh, expired, kept, gone
//! - [Modes and outcomes](#modes-and-outcomes): what may be asked, and why an answer is what it is
//! - [Testing](#testing): a program's own tests, without a network
//! - [Stores and URLs](#stores-and-urls): where entries live
//! - [Features](#features) of this crate
//!
//! Entries are copied between stores, exported and imported by [`moving`]. The modules: [`endpoint`], [`route`], [`key`], [`codec`] declare; [`repository`], [`entry`], [`client`], [`exchange`] work;
//! [`store`] is the contract of a backend, and [`config`] reads all of it from a file. `examples/` has programs that run without internet.
//!
//! # Endpoints and routes
//!
//! An [`Endpoint`] is what the program knows of one kind of request: a name, one method, routes, the fields of its keys, a [`Codec`],
//! rules. [`RouteEndpoint`] makes one of a URI template. A template is read both ways: a request gives its key, and
//! [`get_or_fetch`](Repository::get_or_fetch) turns a key back into its request.
//!
//! | template | matches |
//! |---|---|
//! | `https://api.example.com/tracks/{id}` | one segment of the path, never an empty one |
//! | `.../tracks/{id}{?market}` | a parameter that may be left out: an `Option` in the key |
//! | `.../search{?q!,page:int}` | a parameter that must be there, and one that is an integer |
//! | `.../files{/path*}` | the rest of the path |
//!
//! `{page:int}` and `{q!}` are extensions of RFC 6570, whose `:` is the length of a prefix; [`route`] has the whole language. Of two
//! routes that match, the more specific one wins, segment by segment, so that `/users/me` stands beside `/users/{id}`; two that are
//! equally specific are an error when the second is opened. [`alias`](RouteEndpoint::alias) adds another URL with the same keys.
//!
//! Parameters that no template names belong to the key too, in a canonical form; [`undeclared`](RouteEndpoint::undeclared) and
//! [`ignore`](RouteEndpoint::ignore) change that. [`default`](RouteEndpoint::default) makes an absent parameter and its default one key.
//! A request that no route matches passes through, and its outcome says so.
//!
//! What is stored: answers with status 200, 203, or another 2xx with a body, whole and decodable by the codec.
//! [`require`](RouteEndpoint::require), [`reject`](RouteEndpoint::reject), [`keep_if`](RouteEndpoint::keep_if) and
//! [`max_body`](RouteEndpoint::max_body) narrow it, [`negative`](RouteEndpoint::negative) adds statuses such as 404. What is not stored
//! still reaches its caller, and [`Saved`](exchange::Saved) says which rule it was. `Vary` and `no-store` are honoured.
//!
//! The codecs are [`Text`], [`Binary`] and [`Json`]; one of your own is one `impl`. Where no template fits, implement [`Endpoint`].
//!
//! # Keys
//!
//! A [`Key`] is a type with named fields: text, integers, or an `Option` of either. `String`, integers and tuples are keys; a struct derives it:
//!
//! ```
//! #[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
//! struct ArtistId(String);                     // a newtype is a field like the type in it
//!
//! #[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
//! struct AlbumsKey { artist: ArtistId, market: Option<String>, offset: i64 }
//!
//! use restow::{Endpoint, Json, RouteEndpoint};
//! let albums = RouteEndpoint::<AlbumsKey, Json<serde_json::Value>>::get(
//!     "albums",
//!     "https://api.example.com/artists/{artist}/albums{?market,offset:int}",
//! )?.default("offset", 0);
//! let key = AlbumsKey { artist: ArtistId("nina".into()), market: None, offset: 20 };
//! assert_eq!(albums.request(&key)?.uri(), "https://api.example.com/artists/nina/albums?offset=20");
//! # Ok::<(), restow::Error>(())
//! ```
//!
//! The names are those of the template's variables; a type with other names or kinds is refused when the endpoint is made.
//!
//! # Repositories
//!
//! A [`Repository`] holds the entries of one endpoint; in SQLite it is a table. [`Cache::create_repository`] opens it,
//! [`Cache::repository_as`] and [`Cache::typed`] find it again. Every call takes a key, a request, or a response that came through our
//! client ([`Locate`]).
//!
//! | one | many | answer |
//! |---|---|---|
//! | [`get`](Repository::get) | [`get_many`](Repository::get_many) | the value, or `None`; many in the order asked |
//! | [`get_or_fetch`](Repository::get_or_fetch) | [`get_or_fetch_many`](Repository::get_or_fetch_many) | the value, held or fetched |
//! | [`save`](Repository::save) | [`save_many`](Repository::save_many) | what became of it; many are stored all or none |
//! | [`delete`](Repository::delete) | [`delete_many`](Repository::delete_many) | whether, or how many, there were |
//! | [`contains`](Repository::contains), [`lookup`](Repository::lookup), [`entry`](Repository::entry) | [`entries`](Repository::entries), [`stream`](Repository::stream) | what is stored, in more detail |
//! | | [`count`](Repository::count), [`clear`](Repository::clear), [`select`](Repository::select) | by [`Scope`], field, column, status, time |
//!
//! A [`Cache`] is many repositories over one store. It has the same calls by request, finds the repository itself
//! ([`Cache::route`]), and opens what a file holds without its declarations ([`Cache::open_stored`]).
//!
//! # Clients
//!
//! - **reqwest** (feature `reqwest`): [`cache.client(inner)`](Cache#method.client) owns the client beneath it: a fetch goes on when its
//!   caller goes, and a stale answer is refreshed behind. [`cache.middleware()`](Cache#method.middleware) goes into a stack of
//!   `reqwest-middleware` that the program builds.
//! - **tower** (feature `tower`): [`cache.layer()`](Cache#method.layer) over any service of HTTP requests.
//! - **Your own**: implement [`Fetch`] for typed reads, or drive an [`Exchange`](exchange::Exchange).
//!
//! Requests for one answer that come at once make one fetch. An expired answer that has a validator is asked for with a condition,
//! and a 304 renews it without a body. A store that is down is a miss, never an error to the caller of a client.
//!
//! # Who sees what
//!
//! Every entry belongs to a **partition**, and is read in that partition only:
//!
//! 1. a **principal**, where the program names one: [`CacheBuilder::principal`] for the whole cache, [`Cache::principal`] and
//!    [`Repository::principal`] for a handle, [`Principal`] as an extension of one request;
//! 2. else the **credential** that the request shows, as a digest with a key of this cache;
//! 3. else the **public**.
//!
//! Typed calls without a principal read and write the public partition. [`Cache::everyone`] and [`Repository::everyone`] see all
//! partitions, to count, stream and clear them. [`share`](RouteEndpoint::share) puts everyone of one endpoint in the public partition:
//! only for what is the same for everybody.
//!
//! What counts as a credential, unless [`Credentials`] says otherwise: the headers `authorization`, `x-api-key`, `api-key`,
//! `x-auth-token`, `private-token`, `x-goog-api-key` and `ocp-apim-subscription-key`; the whole cookie; the parameters
//! `access_token`, `api_key`, `apikey`, `token` and `sig`. Their values are in no key, table, log or error.
//!
//! **A token that rotates needs a principal.** Each new token is another credential, and finds nothing of what the old one stored. Such
//! a miss says `Miss(OtherPartition)`, and a typed one warns once in the log.
//!
//! **Credentials below the cache cannot be seen**: default headers of a reqwest client, its cookie store, a middleware beneath. Name a
//! principal, or make the client with `restow::client::reqwest::build`, which tells the cache its default headers. An answer marked
//! `Cache-Control: private` to a request that showed no credential is not stored unless a principal is named or the endpoint shares.
//!
//! # Lifetimes
//!
//! ```text
//!  stored          expires_at                                    expires_at + keep
//!    |--- live --------|--- expired, but kept ---------------------------|  gone
//!                      |- stale_while_revalidate -|
//!                      |- stale_if_error ------------|
//! ```
//!
//! | rule | default | meaning |
//! |---|---|---|
//! | [`expire_after`](RouteEndpoint::expire_after) | 7 days | how long an answer is live; an [`Expiry`] is a duration, a calendar span, or never |
//! | [`keep`](RouteEndpoint::keep) | 30 days | how long an expired one is kept, to be validated or to stand in; then it is never read or counted |
//! | [`stale_if_error`](RouteEndpoint::stale_if_error) | 7 days | how long after its expiry it stands in for an API that fails: then at once, and the API is asked again after 1, 2, 4 .. 30 s, by one request |
//! | [`stale_while_revalidate`](RouteEndpoint::stale_while_revalidate) | none | how long after its expiry it is served at once and refreshed behind |
//!
//! All of it goes by the cache's [`Clock`], in UTC. Where it goes forward, answers expire that much sooner. Where it was set back, an answer that was stored
//! or confirmed more than 5 seconds after the present has an age that nobody knows: no call takes it for fresh until it is stored or confirmed again.
//!
//! Each can be set on the [builder](CacheBuilder) for all, and on an endpoint, whose word wins. [`Repository::get`] reads live answers
//! only; [`Repository::lookup`] tells live, stale and negative ones apart. A 403, a 429 or a 5xx never takes the place of a good answer.
//!
//! # Modes and outcomes
//!
//! A [`Mode`] says what may be asked and stored: of a cache ([`CacheBuilder::mode`], [`Cache::set_mode`]), of one request (as an
//! extension), or from outside by the variable `RESTOW_MODE`.
//!
//! | mode | serves | asks | stores |
//! |---|---|---|---|
//! | `live` | what is fresh | for the rest | yes |
//! | `revalidate` | what a 304 confirms | always, with a condition | yes |
//! | `refresh` | nothing | always | yes |
//! | `read-only` | what is fresh | for the rest | no |
//! | `offline` | whatever is kept | never: [`ErrorKind::Offline`], or a 504 | only what the program itself saves |
//! | `bypass` | nothing | always | no |
//!
//! Offline, a client asks for nothing at all: requests of no endpoint and those with other methods are answered 504 too. What an unsafe request
//! changes is invalid in every mode.
//!
//! Every response of a client carries an [`Answered`](exchange::Answered), whose [`Outcome`](exchange::Outcome) says why it is what it
//! is: `hit`, `stale`, `validated`, `coalesced`, `miss`, `bypass` or `refused`, with a detail and the rule that decided.
//!
//! Errors are one type, [`Error`], with an [`ErrorKind`] to match on; the message names the repository and the way out.
//!
//! # Testing
//!
//! A test of your own needs no network and no file: values are saved where the API would have answered, and time is a [`TestClock`].
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> restow::Result<()> {
//! use restow::{Cache, Millis, Mode, RouteEndpoint, TestClock, Text};
//! use std::time::Duration;
//!
//! let clock = TestClock::at(Millis(0));
//! let cache = Cache::builder().url("memory:").clock(clock.clone()).mode(Mode::Offline).build().await?;
//! let pages = cache.create_repository(RouteEndpoint::<String, Text>::get("pages", "https://example.com/{page}")?).await?;
//! pages.save("home", &"Welcome".to_string()).await?;
//! assert!(pages.contains("home").await?);
//! clock.advance(Duration::from_secs(8 * 86_400));
//! assert!(!pages.contains("home").await?);
//! # Ok(())
//! # }
//! ```
//!
//! # Stores and URLs
//!
//! | URL | store |
//! |---|---|
//! | `sqlite://relative.db`, `sqlite:///absolute.db`, a bare path | a SQLite file, made with its folder where there is none; `?mode=ro` only reads it |
//! | `sqlite::temp:`, `sqlite::memory:` | SQLite of this cache alone, gone with it |
//! | `memory:` | memory of this process, 256 MiB unless told: `memory:?max_bytes=1GiB` |
//! | `sqlite://music.db?memory=64MiB` | memory before any store but `memory:`: [`TieredStore`](store::TieredStore) |
//!
//! One file can be used by many processes at once. [`Cache::commit`] waits until accepted saves are durable, [`Cache::close`]
//! commits and closes. What is past its `keep` is removed in the background, and so is what a budget of the cache
//! ([`CacheBuilder::max_bytes`]) or of an endpoint does not allow.
//!
//! A table whose fields are not those of the endpoint is refused with both lists; [`OnSchemaChange`](store::OnSchemaChange) says
//! what else may happen. A store of your own implements [`Store`](store::Store) and [`Table`](store::Table), and the feature `conformance` tests it.
//!
//! # Features
//!
//! | feature | | adds |
//! |---|---|---|
//! | `sqlite` | default | the SQLite store, with SQLite and zstd built in; leave it out where another crate links its own SQLite |
//! | `reqwest` | | [`Cache::client`](Cache#method.client), [`Cache::middleware`](Cache#method.middleware), and `Fetch` for reqwest's clients |
//! | `tower` | | [`Cache::layer`](Cache#method.layer) |
//! | `conformance` | | the promises of a store as a suite, for those who write one |
//!
//! A feature only adds. Tokio is the runtime; there is no `unsafe` code in this crate.

mod answer;
mod cache;
pub mod client;
mod clock;
mod coalesce;
pub mod codec;
pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod context;
pub mod endpoint;
pub mod entry;
mod error;
pub mod exchange;
mod expiry;
pub mod key;
mod mode;
pub mod moving;
mod registry;
mod removals;
pub mod repository;
pub mod route;
mod selection;
pub mod store;
mod upkeep;

pub use answer::{Answer, BoxFuture, BoxStream};
pub use cache::{Cache, CacheBuilder, connect};
pub use client::{Fetch, Fetched, Got};
pub use clock::{Clock, Millis, SystemClock, TestClock};
pub use codec::{Binary, Codec, Json, Text};
pub use config::{Config, Secret};
pub use endpoint::{
    AnyEndpoint, Credentials, Declaration, DeclaredEndpoint, Endpoint, RequestHead, RouteEndpoint,
};
pub use error::{Error, ErrorKind, Result};
pub use expiry::Expiry;
pub use key::{Field, FieldKind, FieldRef, FieldValue, Key, RawKey};
pub use mode::{Mode, Principal};
pub use repository::{AnyRepository, Locate, Lookup, Message, Repository, Select};
pub use restow_derive::Key;
pub use selection::{Condition, Scope, Selection};

/// The program in the README compiles.
#[cfg(all(doctest, feature = "reqwest"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
