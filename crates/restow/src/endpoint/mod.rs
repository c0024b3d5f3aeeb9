//! Endpoints: what a program knows of one kind of request.

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
pub use request::RequestHead;
pub use route_endpoint::{DeclaredEndpoint, RouteEndpoint};
pub use rules::Rules;
pub use typed::{Endpoint, ValueOf};
