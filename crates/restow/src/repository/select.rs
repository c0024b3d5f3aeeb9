//! Operations on the entries that conditions hold for.

use super::Repository;
use crate::{
    BoxStream, Endpoint, Error, ErrorKind, Field, FieldKind, FieldValue, Millis, RawKey, Result,
    Selection, endpoint::ValueOf, entry::Entry, selection::Scope, store::Parts,
};
use http::StatusCode;
use std::sync::Arc;

/// An operation on the entries of a repository that all conditions hold for; made by [`Repository::select`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> restow::Result<()> {
/// use restow::{Json, RouteEndpoint};
/// use serde_json::{Value, json};
/// let cache = restow::connect("memory:").await?;
/// let tracks = RouteEndpoint::<String, Json<Value>>::get("tracks", "https://api.example.com/tracks/{id}")?.column("artist", "/artist");
/// let tracks = cache.create_repository(tracks).await?;
/// tracks.save("a", &json!({ "artist": "Nina" })).await?;
/// tracks.save("b", &json!({ "artist": "Otis" })).await?;
/// assert_eq!(tracks.select().eq("artist", "Nina").delete().await?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a selection does nothing until it is counted, deleted or streamed"]
pub struct Select<E> {
    repository: Repository<E>,
    which: Selection,
}

impl<E: Endpoint> Repository<E> {
    /// Starts a selection of what the handle sees: all of it, until conditions narrow it.
    pub fn select(&self) -> Select<E> {
        Select {
            repository: self.clone(),
            which: self.selection(Scope::All),
        }
    }
}

impl<E: Endpoint> Select<E> {
    /// Narrows it to live or to expired entries.
    pub fn scope(self, scope: Scope) -> Self {
        self.with(|w| w.scope = scope)
    }

    /// Narrows it to the entries in which a key field or a declared column has this value.
    pub fn eq(mut self, name: &str, value: impl Into<FieldValue>) -> Self {
        self.which = self.which.eq(name, value);
        self
    }

    /// The same with a value as people write it: a number where the field is one, or where it is a column and looks like one; absent where there
    /// is no value.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// # use restow::{RouteEndpoint, Text};
    /// # let cache = restow::connect("memory:").await?;
    /// let pages = RouteEndpoint::<i64, Text>::get("pages", "https://api.example.com/pages/{number}")?;
    /// let pages = cache.create_repository(pages).await?;
    /// pages.save(&7, &"seven".to_string()).await?;
    /// assert_eq!(pages.select().eq_written("number", Some("7"))?.count().await?, 1);
    /// assert!(pages.select().eq_written("number", Some("seven")).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Selection`] where the field is a whole number and the text is none.
    pub fn eq_written(self, name: &str, value: Option<&str>) -> Result<Self> {
        let Some(text) = value else {
            return Ok(self.eq(name, FieldValue::Absent));
        };
        let declaration = self.repository.endpoint().declaration();
        let field = declaration.fields.iter().find(|f| f.name() == name);
        let value = match (field.map(Field::kind), text.parse()) {
            (Some(FieldKind::Integer) | None, Ok(number)) => FieldValue::Integer(number),
            (Some(FieldKind::Integer), Err(_)) => {
                let message = format!(
                    "{name}={text}: {name:?} is a whole number in {:?}",
                    declaration.name.as_str()
                );
                return Err(Error::new(ErrorKind::Selection, message));
            }
            _ => text.into(),
        };
        Ok(self.eq(name, value))
    }

    /// Narrows it to the entries of a canonical key.
    pub fn key(mut self, key: &RawKey) -> Self {
        let fields = self.repository.endpoint().declaration().fields.clone();
        self.which = self.which.key(&fields, key);
        self
    }

    /// Narrows it to the entries that carry a tag.
    pub fn tag(self, tag: &str) -> Self {
        self.with(|w| w.tag = Some(tag.into()))
    }

    /// Narrows it to the entries with this undeclared query, in its canonical form; empty for those without one.
    pub fn query(self, query: &str) -> Self {
        self.with(|w| w.query = Some(query.into()))
    }

    /// Narrows it to a status.
    pub fn status(self, status: StatusCode) -> Self {
        self.with(|w| w.status = Some(status.as_u16()))
    }

    /// Narrows it to what was stored at or after a moment.
    pub fn stored_since(self, at: impl Into<Millis>) -> Self {
        self.with(|w| w.stored_since = Some(at.into()))
    }

    /// Narrows it to what was stored before a moment.
    pub fn stored_before(self, at: impl Into<Millis>) -> Self {
        self.with(|w| w.stored_before = Some(at.into()))
    }

    /// Narrows it to entries whose body changed at or after a moment.
    pub fn changed_since(self, at: impl Into<Millis>) -> Self {
        self.with(|w| w.changed_since = Some(at.into()))
    }

    /// Narrows it to entries whose body changed before a moment.
    pub fn changed_before(self, at: impl Into<Millis>) -> Self {
        self.with(|w| w.changed_before = Some(at.into()))
    }

    /// Lets the operation read every entry where no index helps.
    pub fn scan(self) -> Self {
        self.with(|w| w.scan = true)
    }

    /// Returns the selection as data.
    pub fn selection(&self) -> &Selection {
        &self.which
    }

    /// Counts the entries selected.
    ///
    /// # Errors
    /// [`ErrorKind::Selection`](crate::ErrorKind::Selection) where a name is not there, or only a scan would find the entries;
    /// [`Closed`](crate::ErrorKind::Closed), [`Store`](crate::ErrorKind::Store).
    ///
    /// # Cancel safety
    /// Dropped, nothing happens.
    pub async fn count(&self) -> Result<u64> {
        self.check()?;
        self.repository.count_selected(&self.which).await
    }

    /// Deletes the entries selected, and returns how many.
    ///
    /// # Errors
    /// As [`count`](Self::count), and [`ReadOnly`](crate::ErrorKind::ReadOnly) where the mode writes nothing.
    ///
    /// # Cancel safety
    /// Dropped, some of them may be deleted.
    pub async fn delete(&self) -> Result<u64> {
        self.check()?;
        self.repository.clear_selected(&self.which).await
    }

    /// Streams the keys and values selected, as [`Repository::stream`] does.
    ///
    /// # Errors
    /// As [`Repository::stream`]; a selection that cannot be answered is the only item.
    pub fn stream(&self) -> BoxStream<'static, Result<(E::Key, ValueOf<E>)>> {
        self.repository.stream_selected(self.which.clone())
    }

    /// Streams the entries selected, without their bodies.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub fn entries(&self) -> BoxStream<'static, Result<Arc<Entry>>> {
        self.repository.scan(self.which.clone(), Parts::Meta)
    }

    /// Streams the entries selected, with their bodies.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub fn whole_entries(&self) -> BoxStream<'static, Result<Arc<Entry>>> {
        self.repository.scan(self.which.clone(), Parts::Whole)
    }

    fn check(&self) -> Result<()> {
        self.which.check(self.repository.mount.table.spec())
    }

    fn with(mut self, change: impl FnOnce(&mut Selection)) -> Self {
        change(&mut self.which);
        self
    }
}
