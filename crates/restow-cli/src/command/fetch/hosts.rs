//! Without a configuration: a repository for each host, whose key is the path and the query.

use crate::{output::note, session::is_everything};
use reqwest::Url;
use restow::{Binary, Cache, DeclaredEndpoint, Result};
use std::collections::HashSet;
use tokio::sync::Mutex;

/// Declares hosts as they come.
#[derive(Debug)]
pub(super) struct Hosts {
    cache: Cache,
    /// The origins that were seen to; one declaration at a time.
    seen: Mutex<HashSet<String>>,
}

impl Hosts {
    pub(super) fn new(cache: Cache) -> Self {
        Self {
            cache,
            seen: Mutex::default(),
        }
    }

    /// Sees to it that a URL has a repository. Where that cannot be, it is fetched without one.
    pub(super) async fn declare(&self, url: &Url) {
        if !self.cache.mode().stores() || self.is_routed(url) {
            return;
        }
        let origin = url.origin().ascii_serialization();
        let mut seen = self.seen.lock().await;
        if seen.contains(&origin) {
            return;
        }
        if let Err(error) = self.create(&origin).await {
            note(format_args!(
                "note: the answers of {origin} are not kept: {error}"
            ));
        }
        seen.insert(origin);
    }

    /// Tells whether a repository takes it: a file may have declared ones too. What a proxy keeps of undeclared requests declares nothing.
    fn is_routed(&self, url: &Url) -> bool {
        let Ok(request) = http::Request::get(url.as_str()).body(()) else {
            return false;
        };
        let repository = self.cache.route(&request);
        repository.is_some_and(|repository| !is_everything(&repository))
    }

    async fn create(&self, origin: &str) -> Result<()> {
        let template = format!("{origin}{{/path*}}");
        let endpoint = DeclaredEndpoint::with_codec(
            &self.free_name(origin),
            http::Method::GET,
            &[&template],
            Binary,
        )?;
        self.cache.create_repository(endpoint).await.map(drop)
    }

    /// The host for https, the whole origin for http; shortened to what a name may be.
    fn free_name(&self, origin: &str) -> String {
        const LONGEST: usize = 48;
        let name = origin.strip_prefix("https://").unwrap_or(origin);
        let short = |suffix: &str| {
            let (kept, _) = name.split_at(
                name.floor_char_boundary(LONGEST - suffix.len())
                    .min(name.len()),
            );
            format!("{kept}{suffix}")
        };
        if name.len() <= LONGEST {
            return name.to_owned();
        }
        let mut names = (1..).map(|n: u32| short(&format!("~{n}")));
        names
            .find(|n| !self.cache.contains_repository(n))
            .unwrap_or_else(|| short(""))
    }
}
