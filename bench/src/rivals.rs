//! http-cache, through the same client, with each of its managers.

use crate::{Outcome, origin::Origin};
use http_cache_quickcache::QuickManager;
use http_cache_reqwest::{
    CACacheManager, Cache, CacheManager, CacheMode, HttpCache, HttpCacheOptions, MokaCache,
    MokaManager, RedbManager,
};
use reqwest_middleware::ClientWithMiddleware;
use std::path::Path;

/// How the names of all of them begin.
pub(crate) const HTTP_CACHE: &str = "http-cache";

/// A client whose answers a rival keeps.
#[derive(Debug)]
pub(crate) struct Rival {
    pub(crate) name: String,
    pub(crate) client: ClientWithMiddleware,
    pub(crate) origin: Origin,
    /// Takes so much longer than the others that a round has to be shorter.
    pub(crate) slow: bool,
}

/// Every manager, with room for all entries and its defaults otherwise.
pub(crate) fn all(dir: &Path, entries: usize) -> Outcome<Vec<Rival>> {
    // A bounded cache drops some before it is full.
    let room = entries * 4;
    Ok(vec![
        rival("moka", MokaManager::new(MokaCache::new(room as u64))),
        rival("redb", RedbManager::new(dir.join("http-cache.redb"))?),
        rival(
            "quick-cache",
            QuickManager::new(quick_cache::sync::Cache::new(room)),
        ),
        Rival {
            slow: true,
            ..rival(
                "cacache",
                CACacheManager::new(dir.join("http-cache.cacache"), false),
            )
        },
    ])
}

fn rival(name: &str, manager: impl CacheManager) -> Rival {
    let origin = Origin::default();
    let cache = Cache(HttpCache {
        mode: CacheMode::Default,
        manager,
        options: HttpCacheOptions::default(),
    });
    Rival {
        name: format!("{HTTP_CACHE} + {name}"),
        client: origin.behind(cache),
        origin,
        slow: false,
    }
}
