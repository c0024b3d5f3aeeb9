//! Entries of a store as lines of JSON.

use super::{
    Portion,
    ndjson::{self, Header},
    specs,
};
use crate::{
    BoxStream, Millis, Result,
    store::{Parts, Store},
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::sync::Arc;

/// How entries are exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Puts the cache's secret into the file, so that a store without tables can take over entries of credentials and those with `Vary`. Who has it
    /// can find out by trial whose entries are in the cache: it belongs in no file that others may read.
    pub with_secret: bool,
}

/// Writes entries as the lines of a file, in the format of [`ndjson`]: each item is one line with its end.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> restow::Result<()> {
/// use futures_util::TryStreamExt;
/// use restow::{Clock, RouteEndpoint, SystemClock, Text, moving::{ExportOptions, Portion, export}};
/// let cache = restow::connect("memory:").await?;
/// let pages = RouteEndpoint::<String, Text>::get("pages", "https://example.com/{page}")?;
/// cache.create_repository(pages).await?.save("home", &"Welcome".to_string()).await?;
///
/// let store = cache.store().clone();
/// let everything = Portion::everything(&*store).await?;
/// let lines: Vec<_> = export(store, everything, ExportOptions::default(), SystemClock.now()).try_collect().await?;
/// assert_eq!(lines.len(), 3);
/// assert!(std::str::from_utf8(&lines[1]).unwrap().contains(r#""key":{"page":"home"}"#));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`NoSuchRepository`](crate::ErrorKind::NoSuchRepository) where there is no such table, [`Selection`](crate::ErrorKind::Selection) where a selection does not fit it,
/// [`Store`](crate::ErrorKind::Store) and its kin where the store fails.
///
/// # Cancel safety
/// Dropped, nothing happens.
pub fn export(
    store: Arc<dyn Store>,
    portions: Vec<Portion>,
    options: ExportOptions,
    now: Millis,
) -> BoxStream<'static, Result<Bytes>> {
    Box::pin(async_stream::try_stream! {
        let tables = specs(&*store, &portions).await?;
        let secret = store.secret().await?;
        let header = Header {
            made_at: now.to_string(),
            secret_id: Header::secret_id(&secret),
            secret: options.with_secret.then_some(secret),
            tables: tables.clone(),
        };
        yield Bytes::from(header.line()?);
        let mut count = 0;
        for (spec, portion) in tables.iter().zip(&portions) {
            let table = store.open(spec).await?;
            let mut entries = table.scan(&portion.which, Parts::Whole, now);
            while let Some(entry) = entries.next().await {
                yield Bytes::from(ndjson::entry_line(spec, &*entry?)?);
                count += 1;
            }
        }
        yield Bytes::from(ndjson::end_line(count)?);
    })
}
