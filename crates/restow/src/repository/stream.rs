//! Streams of what is stored.

use super::Repository;
use crate::{
    Codec, Endpoint, Key, Result, Selection, endpoint::ValueOf, entry::Entry, selection::Scope,
    store::Parts,
};
use async_stream::try_stream;
use futures_core::Stream;
use futures_util::StreamExt;
use std::sync::Arc;

impl<E: Endpoint> Repository<E> {
    /// Streams the keys and values in `scope` that the handle sees, in no order, each read when it is asked for.
    ///
    /// Answers without a 2xx status are left out. A key has several values where `Vary` made variants of it, or where the handle is everyone's.
    ///
    /// # Errors
    /// An item is an error where a key or a body does not decode ([`Key`](crate::ErrorKind::Key), [`Codec`](crate::ErrorKind::Codec)); the
    /// stream goes on. It ends after [`Closed`](crate::ErrorKind::Closed) or [`Store`](crate::ErrorKind::Store).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// use futures_util::{StreamExt, TryStreamExt};
    /// # use restow::{RouteEndpoint, Scope, Text};
    /// # let cache = restow::connect("memory:").await?;
    /// # let pages = cache.create_repository(RouteEndpoint::<String, Text>::get("pages", "https://example.com/pages/{id}")?).await?;
    /// # pages.save("home", &"Welcome".to_string()).await?;
    /// let mut stream = pages.stream(Scope::Live).boxed();
    /// while let Some((key, page)) = stream.try_next().await? {
    ///     println!("{key}: {page}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "__aiter__")]
    pub fn stream(
        &self,
        scope: Scope,
    ) -> impl Stream<Item = Result<(E::Key, ValueOf<E>)>> + Send + use<E> {
        self.stream_selected(self.selection(scope))
    }

    /// Streams the entries in `scope` that the handle sees, without their bodies: address, status, headers, times, label, columns.
    ///
    /// # Errors
    /// The stream ends after [`Closed`](crate::ErrorKind::Closed) or [`Store`](crate::ErrorKind::Store).
    pub fn entries(&self, scope: Scope) -> impl Stream<Item = Result<Arc<Entry>>> + Send + use<E> {
        self.scan(self.selection(scope), Parts::Meta)
    }

    pub(super) fn stream_selected(
        &self,
        which: Selection,
    ) -> impl Stream<Item = Result<(E::Key, ValueOf<E>)>> + Send + use<E> {
        let this = self.clone();
        self.scan(which, Parts::Body).filter_map(move |entry| {
            let item = match entry {
                Ok(entry) if !entry.meta.head.status().is_success() => None,
                Ok(entry) => Some(this.pair(&entry)),
                Err(error) => Some(Err(error)),
            };
            std::future::ready(item)
        })
    }

    pub(super) fn scan(
        &self,
        which: Selection,
        parts: Parts,
    ) -> impl Stream<Item = Result<Arc<Entry>>> + Send + use<E> {
        let this = self.clone();
        try_stream! {
            this.check_open()?;
            let mut entries = this.mount.table.scan(&which, parts, this.ctx.now());
            while let Some(entry) = entries.next().await {
                yield entry.map_err(|e| this.named(e))?;
            }
        }
    }

    fn pair(&self, entry: &Entry) -> Result<(E::Key, ValueOf<E>)> {
        let named = |e| self.named(e);
        let key = E::Key::from_raw(&entry.id.address.key).map_err(named)?;
        let value = self.endpoint.codec().decode(&entry.body).map_err(named)?;
        Ok((key, value))
    }
}
