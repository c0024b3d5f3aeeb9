//! The HTTP client beneath the cache.

use crate::{
    exit::{Exit, Failure},
    rate::Pace,
};
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result};
use restow::client::causes;
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(60);

/// Returns the settings of every client of the program.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("restow/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .read_timeout(READ)
}

/// Makes a client whose requests keep to a pace. It lies beneath the cache: what is held costs no turn.
pub(crate) fn client(
    builder: reqwest::ClientBuilder,
    pace: Pace,
) -> std::result::Result<ClientWithMiddleware, Failure> {
    let client = builder.build().map_err(|e| {
        Failure::new(Exit::Upstream, "the HTTP client cannot be made").because(e.without_url())
    })?;
    Ok(ClientBuilder::new(client).with(Paced(pace)).build())
}

/// Says why a request failed: all its causes, without its URL.
pub(crate) fn reason(error: Error) -> String {
    match error {
        Error::Reqwest(error) => {
            let error = error.without_url();
            causes(&error)
        }
        Error::Middleware(error) => error
            .chain()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": "),
    }
}

#[derive(Debug)]
struct Paced(Pace);

#[async_trait::async_trait]
impl Middleware for Paced {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        self.0.turn().await;
        next.run(request, extensions).await
    }
}
