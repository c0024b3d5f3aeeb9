//! A caching HTTP proxy in front of REST APIs: a program in any language gets endpoints, repositories and safe caching by changing a base URL.
//!
//! - [`Upstream`]: an API behind the proxy: where it is, below which path or host it appears, and what headers its requests get.
//! - [`Options`]: limits and timeouts, and who is whom.
//! - [`Admin`]: the listener for operators: numbers, health, purging, the mode.
//! - [`Proxy`]: the proxy itself, over a [`Cache`](restow::Cache) that was built with [`shared(true)`](restow::CacheBuilder::shared).
//!
//! Requests of the cache's endpoints follow the rules of their endpoints. All others follow RFC 9111 for shared caches, and their answers
//! live in one repository, [`EVERYTHING`], whose key is the URL. Its endpoint is [`Everything`].
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use restow_proxy::{Options, Proxy, Upstream};
//! let cache = restow::Cache::builder().url("sqlite://api.db?memory=64MiB").shared(true).build().await?;
//! let proxy = Proxy::new(cache, vec![Upstream::new("https://api.example.com")?], Options::default()).await?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! proxy.serve(listener, std::future::pending()).await;
//! # Ok(())
//! # }
//! ```

mod access_log;
mod activity;
mod admin;
mod bodies;
mod coding;
mod counted;
mod decode;
mod everything;
mod fetch;
mod fields;
mod fit;
mod idle;
mod interim;
mod links;
mod log_thread;
mod metrics;
mod options;
mod plain;
mod pointers;
mod purge;
mod recode;
mod refusal;
mod serve;
mod server;
mod settings;
mod state;
mod status;
mod tls;
mod upstream;
mod whole;

pub use access_log::AccessLog;
pub use admin::Admin;
pub use everything::{EVERYTHING, Everything};
pub use options::{Options, PrincipalHeader, Tls};
pub use server::Proxy;
pub use upstream::Upstream;
