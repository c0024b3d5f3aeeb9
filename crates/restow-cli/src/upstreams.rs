//! The APIs of the configuration's proxy: with what headers their requests are made.

use crate::exit::Failure;
use http::{HeaderMap, Uri};
use restow::{Config, Result, endpoint::Account};
use restow_proxy::Upstream;
use std::cmp::Reverse;

/// The tables `[[upstream]]`, the more specific first.
#[derive(Debug, Default)]
pub(crate) struct Upstreams(Vec<Known>);

#[derive(Debug)]
struct Known {
    upstream: Upstream,
    /// Its headers; an error where a secret is not there, which is said when it is needed.
    account: Result<Account>,
}

impl Upstreams {
    /// Reads those of a configuration.
    pub(crate) fn of(config: Option<&Config>) -> Result<Self> {
        let settings = config.and_then(Config::proxy);
        let mut all = settings
            .iter()
            .flat_map(|proxy| &proxy.upstreams)
            .map(|settings| {
                Ok(Known {
                    upstream: Upstream::new(&settings.url)?,
                    account: Upstream::from_settings(settings).map(|u| u.account().clone()),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        all.sort_by_key(|known| Reverse(known.upstream.path().len()));
        Ok(Self(all))
    }

    /// Returns the accounts by which an answer from this URL may have come, the likeliest first; one without headers is `None`.
    ///
    /// Whoever shows one of an account's headers itself means another account.
    ///
    /// # Errors
    /// Where a secret is not there.
    pub(crate) fn accounts(
        &self,
        url: &Uri,
        shown: &HeaderMap,
    ) -> Result<Vec<Option<Account>>, Failure> {
        let known = self.0.iter().filter(|known| known.upstream.covers(url));
        let mut accounts = Vec::new();
        for known in known {
            let account = known.account.as_ref().map_err(Failure::of)?;
            if !account.headers().iter().any(|(n, _)| shown.contains_key(n)) {
                accounts.push(Some(account.clone()).filter(|a| !a.is_empty()));
            }
        }
        Ok(accounts)
    }

    /// Returns the account by which a request for this URL is made: that of the most specific upstream.
    ///
    /// # Errors
    /// As [`accounts`](Self::accounts).
    pub(crate) fn account(&self, url: &Uri, shown: &HeaderMap) -> Result<Option<Account>, Failure> {
        Ok(self.accounts(url, shown)?.into_iter().next().flatten())
    }
}
