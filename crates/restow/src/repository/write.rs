//! Writing and removing: by key, by request, by response.

use super::{Offer, Repository, keeps_out, locate::Locate, view::Whose};
use crate::{
    Codec, Endpoint, Error, ErrorKind, Millis, Result, Selection,
    endpoint::{Declaration, Rejection, ValueOf},
    entry::{Address, Entry, EntryId, Head, Variant},
    exchange::Saved,
    selection::Scope,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE, request::Parts};

/// The most entries that are cleared in one question to the store.
const CHUNK: u64 = 1_000;

impl<E: Endpoint> Repository<E> {
    /// Stores a value as a 200 with the codec's content type, for as long as the endpoint says.
    ///
    /// Says what became of it: a value that the endpoint's rules refuse is `Rejected`, and so is any in the mode `read-only`;
    /// a request without a key here is `NoKey`.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], [`ErrorKind::Key`] where the key does not fit the endpoint, [`ErrorKind::Codec`] where the value has no form,
    /// [`ErrorKind::Unsupported`] from a handle of everyone's, [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, it is stored as a whole or not at all.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// use restow::{Json, RouteEndpoint, exchange::Saved};
    /// # let cache = restow::connect("memory:").await?;
    /// let items = RouteEndpoint::<i64, Json<serde_json::Value>>::get("items", "https://example.com/items/{id:int}")?.require("/id");
    /// let items = cache.create_repository(items).await?;
    /// assert_eq!(items.save(&7, &serde_json::json!({ "id": 7 })).await?, Saved::Stored);
    /// assert!(matches!(items.save(&8, &serde_json::json!({})).await?, Saved::Rejected(_)));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "save_response")]
    pub async fn save<L: Locate<E> + ?Sized>(&self, at: &L, value: &ValueOf<E>) -> Result<Saved> {
        let Some(at) = self.locate(at)? else {
            return Ok(Saved::NoKey);
        };
        self.check_somebodys()?;
        let now = self.ctx.now();
        match self.entry_of(at, value, &self.head(now), now)? {
            Ok(entry) => self
                .store_all(vec![entry], now)
                .await
                .map(|()| Saved::Stored),
            Err(rule) => Ok(Saved::Rejected(rule)),
        }
    }

    /// Stores many values at once: where anything fails, none of them is stored. Answer `i` says what became of pair `i`.
    ///
    /// What a rule refuses, or has no key here, is left out and says so; the others are stored together.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    ///
    /// # Cancel safety
    /// Dropped, all are stored or none.
    #[doc(alias = "save_responses")]
    pub async fn save_many<L: Locate<E>>(&self, pairs: &[(L, ValueOf<E>)]) -> Result<Vec<Saved>> {
        self.check_somebodys()?;
        let now = self.ctx.now();
        let head = self.head(now);
        let mut entries = Vec::with_capacity(pairs.len());
        let mut saved = Vec::with_capacity(pairs.len());
        for (at, value) in pairs {
            saved.push(match self.locate(at)? {
                None => Saved::NoKey,
                Some(at) => match self.entry_of(at, value, &head, now)? {
                    Ok(entry) => {
                        entries.push(entry);
                        Saved::Stored
                    }
                    Err(rule) => Saved::Rejected(rule),
                },
            });
        }
        self.store_all(entries, now).await?;
        Ok(saved)
    }

    /// Stores the answer to a request, where the endpoint's rules and those of HTTP let it: status, headers and body.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], or [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, it is stored as a whole or not at all.
    pub async fn save_response(
        &self,
        request: &Parts,
        response: &http::Response<Bytes>,
    ) -> Result<Saved> {
        self.check_open()?;
        let Some(key) = self.mount.raw_key(&request.into()) else {
            return Ok(Saved::NoKey);
        };
        let offer = Offer {
            ctx: &self.ctx,
            mount: &self.mount,
            whose: &self.whose,
            now: self.ctx.now(),
        };
        match offer.entry(request, key, response).await? {
            Ok(entry) => offer.store(vec![entry]).await.map(|()| Saved::Stored),
            Err(rule) => Ok(Saved::Rejected(rule)),
        }
    }

    /// Deletes what is stored under a key, every variant and expired ones too, and tells whether there was something.
    ///
    /// A handle of everyone's deletes it in all partitions.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], [`ErrorKind::Key`] where the key does not fit the endpoint, [`ErrorKind::ReadOnly`] where the mode
    /// writes nothing, [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, it is deleted or not.
    #[doc(alias = "delete_response")]
    pub async fn delete<L: Locate<E> + ?Sized>(&self, at: &L) -> Result<bool> {
        match self.locate(at)? {
            Some(at) => Ok(self.delete_all(&[at]).await? > 0),
            None => Ok(false),
        }
    }

    /// Deletes what is stored under many keys, and returns under how many there was something.
    ///
    /// # Errors
    /// As [`delete`](Self::delete); one key that does not fit fails the call, and nothing is deleted.
    ///
    /// # Cancel safety
    /// Dropped, some of them may be deleted.
    #[doc(alias = "delete_responses")]
    pub async fn delete_many<L: Locate<E>>(&self, at: &[L]) -> Result<u64> {
        let at: Vec<Address> = self.locate_many(at)?.into_iter().flatten().collect();
        self.delete_all(&at).await
    }

    /// Counts the entries in `scope` that the handle sees.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], or [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    pub async fn count(&self, scope: Scope) -> Result<u64> {
        self.count_selected(&self.selection(scope)).await
    }

    /// Removes the entries in `scope` that the handle sees, and returns how many.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], [`ErrorKind::ReadOnly`] where the mode writes nothing, [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, some of them may be removed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// # use restow::{RouteEndpoint, Scope, Text};
    /// # let cache = restow::connect("memory:").await?;
    /// # let pages = cache.create_repository(RouteEndpoint::<String, Text>::get("pages", "https://example.com/pages/{id}")?).await?;
    /// # pages.save("home", &"Welcome".to_string()).await?;
    /// assert_eq!(pages.clear(Scope::Expired).await?, 0);
    /// assert_eq!(pages.clear(Scope::All).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn clear(&self, scope: Scope) -> Result<u64> {
        self.clear_selected(&self.selection(scope)).await
    }

    pub(super) fn selection(&self, scope: Scope) -> Selection {
        self.whose.selection(scope, self.mount.rules().share)
    }

    pub(super) async fn count_selected(&self, which: &Selection) -> Result<u64> {
        self.check_open()?;
        self.mount
            .table
            .count(which, self.ctx.now())
            .await
            .map_err(|e| self.named(e))
    }

    /// Clears in chunks, so that no other call waits long for the store.
    pub(super) async fn clear_selected(&self, which: &Selection) -> Result<u64> {
        self.check_writable()?;
        self.ctx.removes(&self.mount, which);
        let now = self.ctx.now();
        let mut all = 0;
        loop {
            let gone = self
                .mount
                .table
                .clear(which, CHUNK, now)
                .await
                .map_err(|e| self.named(e))?;
            all += gone;
            if gone == 0 {
                return Ok(all);
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn delete_all(&self, at: &[Address]) -> Result<u64> {
        self.check_writable()?;
        if self.whose == Whose::Everyone {
            let mut deleted = 0;
            for at in at {
                deleted += u64::from(self.clear_selected(&self.key_selection(&at.key)).await? > 0);
            }
            return Ok(deleted);
        }
        self.will_delete(at);
        self.mount
            .table
            .delete(at, self.ctx.now())
            .await
            .map_err(|e| self.named(e))
    }

    /// Says so: each by itself, or of many that everything may be among them.
    fn will_delete(&self, at: &[Address]) {
        if at.len() > 64 {
            return self.ctx.removes(&self.mount, &Selection::new(Scope::All));
        }
        for at in at {
            let which = self.key_selection(&at.key).within(at.partition.clone());
            self.ctx.removes(&self.mount, &which);
        }
    }

    /// The head of a value that is saved: a 200 with the codec's content type.
    fn head(&self, now: Millis) -> Head {
        let mut headers = HeaderMap::new();
        let content_type = content_type(self.endpoint.codec(), self.mount.endpoint.declaration());
        if let Ok(content_type) = HeaderValue::from_str(content_type) {
            headers.insert(CONTENT_TYPE, content_type);
        }
        Head::new(StatusCode::OK, &headers, None, now, now)
    }

    /// Makes the entry of a value that was stored elsewhere, or says which rule refuses it.
    #[cfg(feature = "sqlite")]
    pub(crate) fn entry_at(
        &self,
        at: Address,
        value: &ValueOf<E>,
        stored_at: Millis,
        expires_at: Millis,
    ) -> Result<Result<Entry, Rejection>> {
        let made = self.entry_of(at, value, &self.head(stored_at), stored_at)?;
        Ok(made.map(|mut entry| {
            entry.meta.expires_at = expires_at;
            entry
        }))
    }

    /// Makes the entry of a value, or says which rule refuses it.
    fn entry_of(
        &self,
        at: Address,
        value: &ValueOf<E>,
        head: &Head,
        now: Millis,
    ) -> Result<Result<Entry, Rejection>> {
        if keeps_out(self.ctx.mode()) {
            return Ok(Err(Rejection::Mode));
        }
        let body = self
            .endpoint
            .codec()
            .encode(value)
            .map_err(|e| self.named(e))?;
        if body.len() as u64 > self.mount.rules().max_body {
            return Ok(Err(Rejection::TooLarge));
        }
        let found = self.mount.endpoint.inspect(&body);
        if let Some(rule) = found.rejected {
            return Ok(Err(rule));
        }
        // Without a route it came from nowhere.
        let url = self
            .mount
            .endpoint
            .request(&at.key)
            .ok()
            .map(|r| r.uri().to_string());
        let id = EntryId {
            address: at,
            variant: Variant::NONE,
        };
        let expires_at = self.mount.expire_after.after(now);
        let mut entry = Entry::new(id, head.at(url), body, now, expires_at);
        entry.meta.label = found.label;
        if let Some(columns) = found.columns {
            entry.meta.columns = columns;
        }
        Ok(Ok(entry))
    }

    async fn store_all(&self, entries: Vec<Entry>, now: Millis) -> Result<()> {
        Offer {
            ctx: &self.ctx,
            mount: &self.mount,
            whose: &self.whose,
            now,
        }
        .store(entries)
        .await
    }

    fn check_somebodys(&self) -> Result<()> {
        self.check_open()?;
        if self.whose == Whose::Everyone {
            let message = "a handle of everyone's does not know for whom to save; use principal(), or the handle it was made of";
            return Err(self.named(Error::new(ErrorKind::Unsupported, message)));
        }
        Ok(())
    }
}

/// The media type of a payload: the declared codec's where the handle only passes bytes.
fn content_type<'a>(codec: &'a impl Codec, declaration: &Declaration) -> &'a str {
    match &*declaration.codec {
        declared if declared == codec.name() => codec.content_type(),
        "json" => "application/json",
        "text" => "text/plain; charset=utf-8",
        _ => codec.content_type(),
    }
}
