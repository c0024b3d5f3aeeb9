//! Stores with the sample items in them.

use crate::{
    Outcome,
    api::{self, Items},
};
use restow::{Cache, Mode, Repository, exchange::Saved};
use std::{ops::Range, path::Path};

/// Entries of one bulk call.
pub(crate) const BULK: usize = 1_000;

/// The URL of a store in this file.
pub(crate) fn sqlite(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

/// A cache over a store, whatever the environment says of its mode.
pub(crate) async fn cache(url: &str) -> Outcome<Cache> {
    Ok(Cache::builder().url(url).mode(Mode::Live).build().await?)
}

/// A repository of `entries` bare values, as typed calls save them.
pub(crate) async fn values(url: &str, entries: usize) -> Outcome<Repository<Items>> {
    let items = cache(url).await?.create_repository(api::items()?).await?;
    for chunk in pairs(0..entries).chunks(BULK) {
        items.save_many(chunk).await?;
    }
    Ok(items)
}

/// Saves whole answers, as a client would have.
pub(crate) async fn answers(cache: &Cache, which: Range<usize>) -> Outcome {
    for from in which.clone().step_by(BULK) {
        let chunk: Vec<_> = (from..which.end.min(from + BULK))
            .map(|i| Ok((request(i)?, api::response(i))))
            .collect::<Outcome<_>>()?;
        let saved = cache.save_many(&chunk).await?;
        if saved.iter().any(|s| *s != Saved::Stored) {
            return Err("an answer was not stored".into());
        }
    }
    Ok(())
}

/// Keys and bodies.
pub(crate) fn pairs(which: Range<usize>) -> Vec<(String, bytes::Bytes)> {
    which.map(|i| (api::key(i), api::body(i))).collect()
}

/// The request that such an answer is for.
pub(crate) fn request(i: usize) -> Outcome<http::request::Parts> {
    let request = http::Request::get(api::url(i)).body(())?;
    Ok(request.into_parts().0)
}
