//! The HTTP client beneath the cache.

use crate::{
    exit::{Exit, Failure},
    rate::Pace,
};
use http::Extensions;
use reqwest::{Request, Response, redirect::Policy};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result};
use restow::{client::causes, endpoint::Account};
use std::time::Duration;
use tokio::sync::OnceCell;

const CONNECT: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(60);

/// Returns the settings of every client of the program.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("restow/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .read_timeout(READ)
}

/// Makes a client whose requests keep to a pace, and go out with the headers of the [`Account`] that they carry. It lies beneath the cache:
/// what is held costs no turn, and the headers are seen by nobody but the API.
pub(crate) fn client(
    builder: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static,
    pace: Pace,
) -> std::result::Result<ClientWithMiddleware, Failure> {
    let client = builder().build().map_err(|e| {
        Failure::new(Exit::Upstream, "the HTTP client cannot be made").because(e.without_url())
    })?;
    let beneath = Beneath {
        pace,
        builder: Box::new(builder),
        of_accounts: OnceCell::new(),
        plain: OnceCell::new(),
    };
    Ok(ClientBuilder::new(client).with(beneath).build())
}

/// Marks a request that is made as it is, whose answer is taken as it comes: without other encodings than it accepts itself, and where it
/// leads elsewhere, that is the answer. So a proxy asks for what no endpoint declares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsItIs;

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

struct Beneath {
    pace: Pace,
    builder: Box<dyn Fn() -> reqwest::ClientBuilder + Send + Sync>,
    /// Follows no redirects: an account's headers go to its own API.
    of_accounts: OnceCell<reqwest::Client>,
    /// The same, and decodes nothing.
    plain: OnceCell<reqwest::Client>,
}

impl Beneath {
    /// Returns the client for a request; `None` where the usual one makes it.
    async fn client(&self, extensions: &Extensions) -> reqwest::Result<Option<&reqwest::Client>> {
        // Made when they are needed: the certificates of the system are read for each.
        let stays = || (self.builder)().redirect(Policy::none());
        let plain = || async { stays().no_brotli().no_gzip().build() };
        let of_accounts = || async { stays().build() };
        if extensions.get::<AsItIs>().is_some() {
            self.plain.get_or_try_init(plain).await.map(Some)
        } else if extensions.get::<Account>().is_some() {
            let client = self.of_accounts.get_or_try_init(of_accounts);
            client.await.map(Some)
        } else {
            Ok(None)
        }
    }
}

#[async_trait::async_trait]
impl Middleware for Beneath {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        self.pace.turn().await;
        if let Some(account) = extensions.get::<Account>() {
            account.put_into(request.headers_mut());
        }
        match self.client(extensions).await? {
            Some(client) => Ok(client.execute(request).await?),
            None => next.run(request, extensions).await,
        }
    }
}
