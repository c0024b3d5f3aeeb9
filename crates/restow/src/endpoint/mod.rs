//! Endpoints: what a program knows of one kind of request.
//!
//! - [`RouteEndpoint`]: what most programs use: URI templates, a key type, a codec and rules, built in one expression.
//! - [`Endpoint`]: the trait beneath, to be implemented where no template fits.
//! - [`DeclaredEndpoint`]: an endpoint of a file, whose keys and bodies fix no type; [`Cache::typed`](crate::Cache::typed) gives it types.
//! - [`AnyEndpoint`]: any of these without its types, as the exchange sees it.
//! - [`Declaration`]: all of it that is data; a table remembers it, so that a store can be read without the program. [`Rules`] are its part
//!   that says how long, what, and for whom.
//! - [`Credentials`]: what of a request names its user. [`Account`]: what whoever passes it on adds.

mod any;
mod credentials;
mod declaration;
pub(crate) mod file;
pub(crate) mod form;
mod inspect;
mod request;
mod route_endpoint;
mod rules;
mod typed;

pub use any::AnyEndpoint;
pub(crate) use credentials::Cookies;
pub use credentials::Credentials;
pub use declaration::Declaration;
pub use inspect::{Inspection, Rejection};
pub use request::{Account, RequestHead};
pub use route_endpoint::{DeclaredEndpoint, RouteEndpoint};
pub use rules::{Coalesce, Coding, Freshness, Rules};
pub use typed::{Endpoint, ValueOf};
