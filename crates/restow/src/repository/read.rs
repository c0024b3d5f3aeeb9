//! Reading: by key, by request, by response.

use super::{
    Repository,
    locate::{Finder, Locate},
    lookup::Lookup,
    view::Whose,
};
use crate::{
    Codec, Endpoint, Millis, RawKey, Result, Selection,
    endpoint::ValueOf,
    entry::{Address, Entry, Found},
    selection::Scope,
    store::Parts,
};
use futures_util::TryStreamExt;
use smallvec::SmallVec;
use std::{
    cmp::Reverse,
    sync::{Arc, atomic::Ordering},
};

impl<E: Endpoint> Repository<E> {
    /// Returns the value of the newest live answer; `None` where there is none, or where it has no key here.
    ///
    /// Only answers with a 2xx status have a value. A stored body that no longer decodes is logged and counts as none.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed), [`Key`](crate::ErrorKind::Key) where the key does not fit the endpoint,
    /// [`Store`](crate::ErrorKind::Store) where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// # use restow::{RouteEndpoint, Text};
    /// # let cache = restow::connect("memory:").await?;
    /// # let pages = cache.create_repository(RouteEndpoint::<String, Text>::get("pages", "https://example.com/pages/{id}")?).await?;
    /// assert_eq!(pages.get("home").await?, None);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "get_response")]
    pub async fn get<L: Locate<E> + ?Sized>(&self, at: &L) -> Result<Option<ValueOf<E>>> {
        let Some(at) = self.locate(at)? else {
            return Ok(None);
        };
        let now = self.ctx.now();
        let found = self.find(&at, Parts::Body, now).await?;
        if found.is_empty() {
            self.explain(&at, now).await;
        }
        Ok(self
            .newest(&found, |e| e.is_fresh(now))
            .map(|(_, value)| value))
    }

    /// Returns the values of many keys in one question to the store: answer `i` is for key `i`, `None` for a miss.
    ///
    /// # Errors
    /// As [`get`](Self::get); one key that does not fit fails the call.
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    #[doc(alias = "get_responses")]
    pub async fn get_many<L: Locate<E>>(&self, at: &[L]) -> Result<Vec<Option<ValueOf<E>>>> {
        let places = self.locate_many(at)?;
        let now = self.ctx.now();
        let found = self.find_many(&places, Parts::Body, now).await?;
        Ok(found
            .iter()
            .map(|f| self.newest(f, |e| e.is_fresh(now)).map(|(_, value)| value))
            .collect())
    }

    /// Tells whether there is a live answer with a 2xx status; its body is not read.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    pub async fn contains<L: Locate<E> + ?Sized>(&self, at: &L) -> Result<bool> {
        let Some(at) = self.locate(at)? else {
            return Ok(false);
        };
        let now = self.ctx.now();
        let found = self.find(&at, Parts::Meta, now).await?;
        Ok(found
            .newest_live(now, |e| e.meta.head.status().is_success())
            .is_some())
    }

    /// Tells what is stored: a live answer, an expired one, a negative one, or nothing.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// use restow::{Cache, Lookup, Millis, RouteEndpoint, TestClock, Text};
    /// use std::time::Duration;
    /// let clock = TestClock::at(Millis(0));
    /// let cache = Cache::builder().url("memory:").clock(clock.clone()).expire_after(Duration::from_secs(60)).build().await?;
    /// let pages = cache.create_repository(RouteEndpoint::<String, Text>::get("pages", "https://example.com/pages/{id}")?).await?;
    /// pages.save("home", &"Welcome".to_string()).await?;
    /// clock.advance(Duration::from_secs(61));
    /// assert!(matches!(pages.lookup("home").await?, Lookup::Stale { value, .. } if value == "Welcome"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn lookup<L: Locate<E> + ?Sized>(&self, at: &L) -> Result<Lookup<ValueOf<E>>> {
        let Some(at) = self.locate(at)? else {
            return Ok(Lookup::Missing);
        };
        let now = self.ctx.now();
        let found = self.find(&at, Parts::Whole, now).await?;
        if let Some((entry, value)) = self.newest(&found, |e| e.is_fresh(now)) {
            return Ok(Lookup::Hit { value, entry });
        }
        if let Some(entry) = found.newest_live(now, |e| !e.meta.head.status().is_success()) {
            return Ok(Lookup::Negative {
                status: entry.meta.head.status(),
                entry: entry.clone(),
            });
        }
        let stale = self.newest(&found, |e| !e.is_fresh(now));
        Ok(
            stale.map_or(Lookup::Missing, |(entry, value)| Lookup::Stale {
                value,
                entry,
            }),
        )
    }

    /// Returns the newest entry as it is stored, whatever its status: a live one where there is one, else an expired one that is kept.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    pub async fn entry<L: Locate<E> + ?Sized>(&self, at: &L) -> Result<Option<Arc<Entry>>> {
        let now = self.ctx.now();
        let found = self.variants(at).await?;
        Ok(found
            .into_iter()
            .max_by_key(|e| (e.is_fresh(now), e.meta.stored_at)))
    }

    /// Returns every entry that is kept under a key, in no order: the variants that `Vary` made, expired ones too.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    pub async fn variants<L: Locate<E> + ?Sized>(&self, at: &L) -> Result<Vec<Arc<Entry>>> {
        let Some(at) = self.locate(at)? else {
            return Ok(Vec::new());
        };
        let found = self.find(&at, Parts::Whole, self.ctx.now()).await?;
        Ok(found.into_iter().collect())
    }

    pub(super) fn locate<L: Locate<E> + ?Sized>(&self, at: &L) -> Result<Option<Address>> {
        self.check_open()?;
        at.locate(&Finder(self))
    }

    pub(super) fn locate_many<L: Locate<E>>(&self, at: &[L]) -> Result<Vec<Option<Address>>> {
        self.check_open()?;
        at.iter().map(|at| at.locate(&Finder(self))).collect()
    }

    pub(crate) async fn find(&self, at: &Address, parts: Parts, now: Millis) -> Result<Found> {
        let found = match self.whose {
            Whose::Unnamed | Whose::Principal(_) => self.mount.table.read(at, parts, now).await,
            Whose::Everyone => self.find_everyones(&at.key, parts, now).await,
        };
        found.map_err(|e| self.named(e))
    }

    pub(crate) async fn find_many(
        &self,
        at: &[Option<Address>],
        parts: Parts,
        now: Millis,
    ) -> Result<Vec<Found>> {
        if self.whose == Whose::Everyone {
            let mut all = Vec::with_capacity(at.len());
            for at in at {
                all.push(match at {
                    Some(at) => self
                        .find_everyones(&at.key, parts, now)
                        .await
                        .map_err(|e| self.named(e))?,
                    None => Found::default(),
                });
            }
            return Ok(all);
        }
        let asked: Vec<Address> = at.iter().flatten().cloned().collect();
        let found = self
            .mount
            .table
            .read_many(&asked, parts, now)
            .await
            .map_err(|e| self.named(e))?;
        let mut found = found.into_iter();
        Ok(at
            .iter()
            .map(|at| at.as_ref().and_then(|_| found.next()).unwrap_or_default())
            .collect())
    }

    async fn find_everyones(&self, key: &RawKey, parts: Parts, now: Millis) -> Result<Found> {
        let which = self.key_selection(key);
        let found: Vec<_> = self
            .mount
            .table
            .scan(&which, parts, now)
            .try_collect()
            .await?;
        Ok(found.into_iter().collect())
    }

    /// Selects the entries of one key in every partition.
    pub(super) fn key_selection(&self, key: &RawKey) -> Selection {
        let fields = &self.mount.endpoint.declaration().fields;
        let mut which = Selection::new(Scope::All).scan();
        for (field, value) in fields.iter().zip(key.fields()) {
            which = which.eq(field.name(), value.to_value());
        }
        which.query = Some(key.query().into());
        which
    }

    /// The newest of the successful entries picked that decodes.
    fn newest(
        &self,
        found: &Found,
        pick: impl Fn(&Entry) -> bool,
    ) -> Option<(Arc<Entry>, ValueOf<E>)> {
        let picked = found
            .iter()
            .filter(|e| e.meta.head.status().is_success() && pick(e));
        let mut picked: SmallVec<[&Arc<Entry>; 4]> = picked.collect();
        picked.sort_by_key(|e| Reverse(e.meta.stored_at));
        picked
            .into_iter()
            .find_map(|entry| match self.endpoint.codec().decode(&entry.body) {
                Ok(value) => Some((entry.clone(), value)),
                Err(error) => {
                    tracing::warn!(
                        target: "restow",
                        repository = self.name(),
                        key = %entry.id.address.key,
                        %error,
                        "a stored body does not decode; it counts as a miss"
                    );
                    None
                }
            })
    }

    /// A miss that has an entry for somebody else says so once, with the ways out.
    async fn explain(&self, at: &Address, now: Millis) {
        let everyone = self.whose == Whose::Everyone;
        if everyone
            || self.mount.warned.load(Ordering::Relaxed)
            || !self.mount.elsewhere(&at.key, &at.partition, now).await
        {
            return;
        }
        if !self.mount.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "restow",
                repository = self.name(),
                partition = %at.partition,
                "a miss has an entry under the same key in another partition; name a principal for the cache or the handle, \
                 and where everyone gets the same answers, let the endpoint share them"
            );
        }
    }
}
