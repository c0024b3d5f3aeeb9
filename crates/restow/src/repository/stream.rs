//! Streams of what is stored.

use super::Repository;
use crate::{
    BoxStream, Codec, Endpoint, Key, Result, Selection, endpoint::ValueOf, entry::Entry,
    key::Shape, selection::Scope, store::Parts,
};
use async_stream::try_stream;
use futures_util::StreamExt;
use std::sync::Arc;

impl<E: Endpoint> Repository<E> {
    /// Streams the keys and values in `scope` that the handle sees, in no order, each read when it is asked for.
    ///
    /// Answers without a 2xx status are left out, and so are those to requests with undeclared query parameters, which no typed key
    /// addresses. A key has several values where `Vary` made variants of it, or where the handle is everyone's.
    ///
    /// # Errors
    /// An item is an error where a key or a body does not decode ([`Key`](crate::ErrorKind::Key), [`Codec`](crate::ErrorKind::Codec)); the
    /// stream goes on. It ends after [`Closed`](crate::ErrorKind::Closed) or [`Store`](crate::ErrorKind::Store).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// use futures_util::TryStreamExt;
    /// # use restow::{RouteEndpoint, Scope, Text};
    /// # let cache = restow::connect("memory:").await?;
    /// # let pages = cache.create_repository(RouteEndpoint::<String, Text>::get("pages", "https://example.com/pages/{id}")?).await?;
    /// # pages.save("home", &"Welcome".to_string()).await?;
    /// let mut stream = pages.stream(Scope::Live);
    /// while let Some((key, page)) = stream.try_next().await? {
    ///     println!("{key}: {page}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "__aiter__")]
    pub fn stream(&self, scope: Scope) -> BoxStream<'static, Result<(E::Key, ValueOf<E>)>> {
        self.stream_selected(self.selection(scope))
    }

    /// Streams the entries in `scope` that the handle sees, without their bodies: address, status, headers, times, label, columns.
    ///
    /// # Errors
    /// The stream ends after [`Closed`](crate::ErrorKind::Closed) or [`Store`](crate::ErrorKind::Store).
    pub fn entries(&self, scope: Scope) -> BoxStream<'static, Result<Arc<Entry>>> {
        self.scan(self.selection(scope), Parts::Meta)
    }

    pub(super) fn stream_selected(
        &self,
        which: Selection,
    ) -> BoxStream<'static, Result<(E::Key, ValueOf<E>)>> {
        let this = self.clone();
        let pairs = self.scan(which, Parts::Body).filter_map(move |entry| {
            let item = match entry {
                Ok(entry) if !this.has_pair(&entry) => None,
                Ok(entry) => Some(this.pair(&entry)),
                Err(error) => Some(Err(error)),
            };
            std::future::ready(item)
        });
        pairs.boxed()
    }

    pub(super) fn scan(
        &self,
        which: Selection,
        parts: Parts,
    ) -> BoxStream<'static, Result<Arc<Entry>>> {
        let this = self.clone();
        let entries = try_stream! {
            this.check_open()?;
            which.check(this.mount.table.spec())?;
            let mut entries = this.mount.table.scan(&which, parts, this.ctx.now());
            while let Some(entry) = entries.next().await {
                yield entry.map_err(|e| this.named(e))?;
            }
        };
        entries.boxed()
    }

    fn has_pair(&self, entry: &Entry) -> bool {
        // Two requests that only an undeclared parameter tells apart would be one typed key.
        let addressed = entry.id.address.key.query().is_empty() || E::Key::shape() == Shape::Any;
        addressed && entry.meta.head.status().is_success()
    }

    fn pair(&self, entry: &Entry) -> Result<(E::Key, ValueOf<E>)> {
        let named = |e| self.named(e);
        let key = E::Key::from_raw(&entry.id.address.key).map_err(named)?;
        let value = self.endpoint.codec().decode(&entry.body).map_err(named)?;
        Ok((key, value))
    }
}
