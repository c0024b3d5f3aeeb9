//! The endpoint that most programs use: URI templates, a key type, a codec, and rules.

use super::{
    credentials::Credentials,
    declaration::Declaration,
    request::RequestHead,
    rules::{Coalesce, Freshness, Rules},
    typed::{Endpoint, ValueOf},
};
use crate::{
    Codec, Error, ErrorKind, Expiry, Field, FieldKind, FieldRef, FieldValue, Key, RawKey, Result,
    codec::Binary,
    key::Shape,
    route::{Matched, Place, Route, Template, Undeclared},
    store::{Budget, Column, Compression, OnSchemaChange},
};
use http::{Method, StatusCode};
use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// An endpoint of a file: its key and its codec fix nothing.
pub type DeclaredEndpoint = RouteEndpoint<RawKey, Binary>;

type LabelFn<V> = Arc<dyn Fn(&V) -> Option<String> + Send + Sync>;
type KeepFn<V> = Arc<dyn Fn(&V) -> bool + Send + Sync>;

/// An endpoint made of URI templates (RFC 6570), a key type and a codec.
///
/// ```
/// use restow::{RouteEndpoint, codec::Json};
/// use std::time::Duration;
///
/// let tracks = RouteEndpoint::<String, Json<serde_json::Value>>::get("tracks", "https://api.example.com/v1/tracks/{id}")?
///     .column("artist", "/artists/0/id")
///     .require("/id")
///     .expire_after(Duration::from_secs(14 * 86_400));
/// # Ok::<(), restow::Error>(())
/// ```
pub struct RouteEndpoint<K, C: Codec> {
    declaration: Declaration,
    codec: C,
    label: Option<LabelFn<C::Value>>,
    keep_if: Option<KeepFn<C::Value>>,
    routes: OnceLock<Vec<Route>>,
    key: PhantomData<fn() -> K>,
}

impl<K: Key, C: Codec + Default> RouteEndpoint<K, C> {
    /// Declares an endpoint of `GET` requests to a URI template.
    ///
    /// # Errors
    /// [`ErrorKind::Name`], [`ErrorKind::Route`], or [`ErrorKind::SchemaMismatch`] where the key type has other fields than the template.
    pub fn get(name: &str, template: &str) -> Result<Self> {
        Self::with_codec(name, Method::GET, &[template], C::default())
    }

    /// Declares an endpoint of `POST` requests; the last field of its key is the digest of the body, `body_digest`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn post(name: &str, template: &str) -> Result<Self> {
        Self::with_codec(name, Method::POST, &[template], C::default())
    }
}

impl<K: Key, C: Codec> RouteEndpoint<K, C> {
    /// Declares an endpoint of URI templates, the first of them canonical, with a codec made by the caller.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn with_codec(name: &str, method: Method, templates: &[&str], codec: C) -> Result<Self> {
        let mut declaration = Declaration::new(name, [])?;
        declaration.method = method;
        declaration.codec = codec.name().into();
        declaration.templates = templates
            .iter()
            .map(|t| t.parse::<Template>())
            .collect::<Result<_>>()
            .map_err(|e| declaration.named(e))?;
        declaration.fields = fields::<K>(&declaration)?;
        Self::from_declaration(declaration, codec)
    }

    /// Makes an endpoint of a whole declaration.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`ErrorKind::Config`] for wrong rules.
    pub fn from_declaration(declaration: Declaration, codec: C) -> Result<Self> {
        K::check(&declaration.fields).map_err(|e| declaration.named(e))?;
        declaration.routes(&[])?;
        Ok(Self {
            declaration,
            codec,
            label: None,
            keep_if: None,
            routes: OnceLock::new(),
            key: PhantomData,
        })
    }

    /// Adds an alias: another template that gives the same keys.
    ///
    /// # Errors
    /// [`ErrorKind::Route`] where the template is wrong or has other variables.
    pub fn alias(mut self, template: &str) -> Result<Self> {
        self.declaration
            .templates
            .push(template.parse().map_err(|e| self.declaration.named(e))?);
        self.declaration.routes(&[])?;
        self.routes = OnceLock::new();
        Ok(self)
    }

    /// Names an answer by its value.
    #[must_use]
    pub fn label(
        mut self,
        label: impl Fn(&C::Value) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.label = Some(Arc::new(label));
        self
    }

    /// Names an answer by a JSON pointer; the first that is there gives the name.
    #[must_use]
    pub fn label_at(mut self, pointer: &str) -> Self {
        self.declaration.label.push(pointer.into());
        self
    }

    /// Stores an answer only where `keep` says yes to its value.
    #[must_use]
    pub fn keep_if(mut self, keep: impl Fn(&C::Value) -> bool + Send + Sync + 'static) -> Self {
        self.keep_if = Some(Arc::new(keep));
        self
    }

    /// Declares an indexed column: a value taken out of each JSON body.
    #[must_use]
    pub fn column(mut self, name: &str, pointer: &str) -> Self {
        self.declaration.columns.push(Column {
            name: name.into(),
            pointer: pointer.into(),
        });
        self
    }

    /// Gives an absent field a value: both are one key then.
    #[must_use]
    pub fn default(mut self, field: &str, value: impl Into<FieldValue>) -> Self {
        self.declaration
            .query
            .defaults
            .push((field.into(), value.into()));
        self.routes = OnceLock::new();
        self
    }

    /// Says what undeclared query parameters mean; by default they belong to the key.
    #[must_use]
    pub fn undeclared(mut self, undeclared: Undeclared) -> Self {
        self.declaration.query.undeclared = undeclared;
        self.routes = OnceLock::new();
        self
    }

    /// Ignores the query parameters whose names match a pattern such as `utm_*`.
    #[must_use]
    pub fn ignore(mut self, pattern: &str) -> Self {
        self.declaration.query.ignore.push(pattern.into());
        self.routes = OnceLock::new();
        self
    }

    /// Sets how long an answer is fresh.
    #[must_use]
    pub fn expire_after(self, expiry: impl Into<Expiry>) -> Self {
        self.rules(|r| r.expire_after = Some(expiry.into()))
    }

    /// Lets each answer say how long it is fresh (RFC 9111): `Cache-Control`, `Expires`, else a guess by `Last-Modified`.
    ///
    /// [`expire_after`](Self::expire_after) of this endpoint is then for the answers that say nothing.
    ///
    /// ```
    /// use restow::{RouteEndpoint, Text};
    /// use std::time::Duration;
    /// let pages = RouteEndpoint::<String, Text>::get("pages", "https://example.com/{page}")?
    ///     .http()
    ///     .expire_after(Duration::from_secs(60));
    /// # Ok::<(), restow::Error>(())
    /// ```
    #[must_use]
    pub fn http(self) -> Self {
        self.rules(|r| r.freshness = Freshness::Http)
    }

    /// Sets how long an expired answer is retained.
    #[must_use]
    pub fn keep(self, keep: Duration) -> Self {
        self.rules(|r| r.keep = Some(keep))
    }

    /// Sets how long after its expiry an answer may stand in for a failing API.
    #[must_use]
    pub fn stale_if_error(self, window: Duration) -> Self {
        self.rules(|r| r.stale_if_error = Some(window))
    }

    /// Sets how long after its expiry an answer is served at once and refreshed behind.
    #[must_use]
    pub fn stale_while_revalidate(self, window: Duration) -> Self {
        self.rules(|r| r.stale_while_revalidate = Some(window))
    }

    /// Stores answers of this status too, fresh for `expiry`.
    #[must_use]
    pub fn negative(self, status: StatusCode, expiry: impl Into<Expiry>) -> Self {
        self.rules(|r| r.negative.push((status, expiry.into())))
    }

    /// Stores only bodies that have a value at this JSON pointer.
    #[must_use]
    pub fn require(self, pointer: &str) -> Self {
        self.rules(|r| r.require.push(pointer.into()))
    }

    /// Stores no body that has a value at this JSON pointer.
    #[must_use]
    pub fn reject(self, pointer: &str) -> Self {
        self.rules(|r| r.reject.push(pointer.into()))
    }

    /// Sets the longest body that is stored, in bytes.
    #[must_use]
    pub fn max_body(self, bytes: u64) -> Self {
        self.rules(|r| r.max_body = bytes)
    }

    /// Sets what names the user of a request.
    #[must_use]
    pub fn credentials(self, credentials: Credentials) -> Self {
        self.rules(|r| r.credentials = Some(credentials))
    }

    /// Lets all users share one answer.
    #[must_use]
    pub fn share(self) -> Self {
        self.rules(|r| r.share = true)
    }

    /// Sets what happens where the stored table has other fields or columns.
    #[must_use]
    pub fn on_schema_change(self, then: OnSchemaChange) -> Self {
        self.rules(|r| r.on_schema_change = then)
    }

    /// Sets the most that the repository may hold.
    #[must_use]
    pub fn budget(self, budget: Budget) -> Self {
        self.rules(|r| r.budget = budget)
    }

    /// Sets how the store keeps header lines and bodies; it may change at any time.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        self.rules(|r| r.compression = compression)
    }

    /// Sets who waits for whose fetch: the requests of this process, or those of all processes that share the store.
    #[must_use]
    pub fn coalesce(self, coalesce: Coalesce) -> Self {
        self.rules(|r| r.coalesce = coalesce)
    }

    /// Changes the rules.
    #[must_use]
    pub fn rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(&mut self.declaration.rules);
        self.routes = OnceLock::new();
        self
    }

    fn routes(&self) -> &[Route] {
        self.routes.get_or_init(|| {
            let default = Credentials::default();
            let credentials = self
                .declaration
                .rules
                .credentials
                .as_ref()
                .unwrap_or(&default);
            // Wrong rules are reported where the repository is opened; until then no request matches.
            self.declaration
                .routes(credentials.parameters())
                .unwrap_or_default()
        })
    }
}

impl<K: Key, C: Codec> Endpoint for RouteEndpoint<K, C> {
    type Key = K;
    type Codec = C;

    fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    fn codec(&self) -> &C {
        &self.codec
    }

    fn key(&self, request: &RequestHead<'_>) -> Option<K> {
        K::from_raw(&Endpoint::raw_key(self, request)?).ok()
    }

    fn raw_key(&self, request: &RequestHead<'_>) -> Option<RawKey> {
        if !self.declaration.answers(request.method) {
            return None;
        }
        let key = self
            .routes()
            .iter()
            .find_map(|r| match r.key(&request.target) {
                Matched::Key(key) => Some(key),
                _ => None,
            })?;
        self.declaration.complete(key, request)
    }

    fn canonical(&self, key: &K) -> Result<RawKey> {
        let raw = key.to_raw()?;
        match self.routes().first() {
            Some(route) if !self.declaration.has_body_field() => {
                route.canonical(raw).map_err(|e| self.declaration.named(e))
            }
            _ => Ok(raw),
        }
    }

    fn request(&self, key: &K) -> Result<http::Request<()>> {
        self.raw_request(&key.to_raw()?)
    }

    fn raw_request(&self, key: &RawKey) -> Result<http::Request<()>> {
        let wrong = |what: String| self.declaration.named(Error::new(ErrorKind::Key, what));
        if self.declaration.has_body_field() {
            return Err(wrong("a POST request cannot be made from its key: the key has only the digest of its body".to_owned()));
        }
        let route = self
            .routes()
            .first()
            .ok_or_else(|| wrong("there is no route to make a request from a key".to_owned()))?;
        let url = route.expand(key).map_err(|e| self.declaration.named(e))?;
        http::Request::builder()
            .method(self.declaration.method.clone())
            .uri(&url)
            .body(())
            .map_err(|e| wrong(format!("the key ({key}) makes no URL")).with_source(e))
    }

    fn label(&self, value: &ValueOf<Self>) -> Option<String> {
        self.label.as_ref().and_then(|label| label(value))
    }

    fn keep_if(&self, value: &ValueOf<Self>) -> bool {
        self.keep_if.as_ref().is_none_or(|keep| keep(value))
    }
}

impl<K, C: Codec> fmt::Debug for RouteEndpoint<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteEndpoint")
            .field("declaration", &self.declaration)
            .finish_non_exhaustive()
    }
}

impl Declaration {
    /// Tells whether a request of this method is one of this endpoint's.
    pub fn answers(&self, method: &Method) -> bool {
        *method == self.method || (self.method == Method::GET && *method == Method::HEAD)
    }

    /// Adds what a route does not know to its key: the digest of the body of a `POST`. `None` where the body is not at hand.
    pub(crate) fn complete(&self, key: RawKey, request: &RequestHead<'_>) -> Option<RawKey> {
        if !self.has_body_field() {
            // A body on a request that should have none may mean anything: no key.
            return (request.body.is_none_or(<[u8]>::is_empty) && !request.streams).then_some(key);
        }
        if request.streams {
            return None;
        }
        let digest = blake3::hash(request.body.unwrap_or_default()).to_hex();
        RawKey::new(key.fields().chain([FieldRef::Text(&digest)]), key.query()).ok()
    }
}

/// The fields of an endpoint: those of the key type where it names them, else the variables of the first template in their order.
fn fields<K: Key>(declaration: &Declaration) -> Result<Arc<[Field]>> {
    let Some(template) = declaration.templates.first() else {
        return Ok(Arc::new([]));
    };
    let mut fields: Vec<Field> = template
        .variables()
        .map(|v| {
            let field = Field::new(v.name().to_owned(), v.kind());
            if v.place() == Place::Query && !v.is_required() {
                field.optional()
            } else {
                field
            }
        })
        .collect();
    if declaration.method == Method::POST {
        fields.push(Field::new(Declaration::BODY_FIELD, FieldKind::Text));
    }
    match K::shape() {
        // The key type knows the kinds better than a template that names none.
        Shape::Slots(slots) if slots.len() == fields.len() => {
            fields = fields
                .into_iter()
                .zip(slots)
                .map(|(f, s)| retyped(&f, s.kind, s.optional))
                .collect();
        }
        Shape::Named(named)
            if named.len() == fields.len()
                && named
                    .iter()
                    .all(|n| fields.iter().any(|f| f.name() == n.name())) =>
        {
            let of = |n: &Field| {
                fields
                    .iter()
                    .find(|f| f.name() == n.name())
                    .map(|f| retyped(f, n.kind(), n.is_optional()))
            };
            fields = named.iter().filter_map(of).collect();
        }
        _ => {}
    }
    Ok(fields.into())
}

/// A field of the template with the key type's kind. A key type without `Option` asks for the parameter.
fn retyped(field: &Field, kind: FieldKind, optional: bool) -> Field {
    let typed = Field::new(field.name().to_owned(), kind);
    if field.is_optional() && optional {
        typed.optional()
    } else {
        typed
    }
}
