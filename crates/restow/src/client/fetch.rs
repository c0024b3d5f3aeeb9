//! Typed reads that fetch what is not held.

use super::{
    body::Body,
    land::{Landed, land},
};
use crate::{
    BoxFuture, Codec, Endpoint, Error, ErrorKind, Millis, Mode, RawKey, Repository, RequestHead,
    Result,
    endpoint::ValueOf,
    entry::{Address, Entry},
    exchange::{Answered, Background, Begin, Exchange, Outcome, OutcomeKind, Ticket},
    store::Parts,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::CACHE_CONTROL, request};
use std::{future::IntoFuture, time::Duration};

/// What makes the requests of [`Repository::get_or_fetch`]: a reqwest client (feature `reqwest`), or a program's own.
///
/// ```
/// use bytes::Bytes;
/// use restow::{BoxFuture, Result, client::{Body, Fetch}};
///
/// /// An API that says the path it was asked for.
/// struct Echo;
///
/// impl Fetch for Echo {
///     fn fetch(&self, request: http::Request<Bytes>) -> BoxFuture<'_, Result<http::Response<Body>>> {
///         let path = request.uri().path().to_owned();
///         Box::pin(async move { Ok(http::Response::new(Body::whole(path.into()))) })
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use restow::{Cache, RouteEndpoint, Text};
/// let cache = Cache::builder().url("memory:").build().await?;
/// let pages = cache.create_repository(RouteEndpoint::<String, Text>::get("pages", "https://api.example.com/{page}")?).await?;
/// assert_eq!(pages.get_or_fetch(&"a".to_string(), &Echo).await?.value.as_deref(), Some("/a"));
/// assert_eq!(pages.get(&"a".to_string()).await?.as_deref(), Some("/a"));
/// # Ok::<(), restow::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Fetch: Send + Sync {
    /// Makes a request.
    ///
    /// # Errors
    /// [`ErrorKind::Upstream`] where there is no answer; the message has no URL, for its query may hold a secret.
    fn fetch(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>>>;
}

/// Where an answer came from after redirects: a [`Fetch`] may attach it to its response.
#[derive(Clone, Debug)]
pub struct FinalUrl(pub String);

/// An answer, held or fetched.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fetched<V> {
    /// The value; `None` where the API says that there is none (404, 410, or a status that the endpoint declares as negative).
    pub value: Option<V>,
    /// The status of the answer.
    pub status: StatusCode,
    /// How it came about.
    pub outcome: Outcome,
}

/// One answer of [`Repository::get_or_fetch_many`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Got<V> {
    /// It was held, and fresh.
    Hit(V),
    /// It had expired, and the API failed.
    Stale(V),
    /// It was fetched, or confirmed.
    Fetched(V),
    /// The API says that there is none.
    Negative(StatusCode),
    /// The fetch failed; the others went on.
    Failed(Error),
}

impl<V> Got<V> {
    /// Returns the value, if there is one.
    pub fn into_value(self) -> Option<V> {
        match self {
            Self::Hit(v) | Self::Stale(v) | Self::Fetched(v) => Some(v),
            Self::Negative(_) | Self::Failed(_) => None,
        }
    }
}

impl<E: Endpoint> Repository<E> {
    /// Returns the answer of a key: the one that is held, or one fetched through `client` and stored.
    ///
    /// The endpoint's route makes the request. Await it, or set a [mode](FetchOne::mode), the [greatest age](FetchOne::max_age) or [how stale](FetchOne::stale_ok)
    /// the answer may be first.
    ///
    /// # Errors
    /// [`ErrorKind::Upstream`] where the API fails and nothing stale may be served, [`ErrorKind::Offline`], [`ErrorKind::Key`] where no
    /// request can be made of the key, [`ErrorKind::Codec`] where the answer is not one of the codec, [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Dropped, a fetch that others wait for is handed to one of them; what had arrived whole is stored.
    pub fn get_or_fetch<'a, C: Fetch + ?Sized>(
        &'a self,
        key: &'a E::Key,
        client: &'a C,
    ) -> FetchOne<'a, E, C> {
        FetchOne {
            repository: self,
            key,
            client,
            mode: None,
            limits: ReadLimits::default(),
        }
    }

    /// Returns the answers of many keys, in their order: one look-up, then what is missing or expired is fetched, eight at a time unless
    /// [told otherwise](FetchMany::concurrency). One failure does not lose the others.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; everything else is the answer of its key.
    ///
    /// # Cancel safety
    /// Dropped, what had arrived whole is stored.
    pub fn get_or_fetch_many<'a, C: Fetch + ?Sized>(
        &'a self,
        keys: &'a [E::Key],
        client: &'a C,
    ) -> FetchMany<'a, E, C> {
        FetchMany {
            repository: self,
            keys,
            client,
            concurrency: 8,
            limits: ReadLimits::default(),
        }
    }
}

/// A read that fetches what is not held. Made by [`Repository::get_or_fetch`].
#[must_use = "nothing happens until it is awaited"]
#[derive(Debug)]
pub struct FetchOne<'a, E: Endpoint, C: ?Sized> {
    repository: &'a Repository<E>,
    key: &'a E::Key,
    client: &'a C,
    mode: Option<Mode>,
    limits: ReadLimits,
}

impl<E: Endpoint, C: ?Sized> FetchOne<'_, E, C> {
    /// Sets the mode of this call.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Takes an answer that is no older than this, in whole seconds rounded down, however long it is held to be fresh; an older one is asked
    /// for again (RFC 9111 section 5.2.1.1).
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use restow::{BoxFuture, Result, client::{Body, Fetch}};
    /// # struct Api;
    /// # impl Fetch for Api {
    /// #     fn fetch(&self, request: http::Request<Bytes>) -> BoxFuture<'_, Result<http::Response<Body>>> {
    /// #         Box::pin(async move { Ok(http::Response::new(Body::whole("a page".into()))) })
    /// #     }
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use restow::{Cache, RouteEndpoint, Text, exchange::OutcomeKind};
    /// use std::time::Duration;
    /// let cache = Cache::builder().url("memory:").build().await?;
    /// let pages = cache.create_repository(RouteEndpoint::<String, Text>::get("pages", "https://api.example.com/{page}")?).await?;
    /// let key = "a".to_string();
    /// pages.get_or_fetch(&key, &Api).await?;
    /// let held = pages.get_or_fetch(&key, &Api).max_age(Duration::from_secs(60)).await?;
    /// assert_eq!(held.outcome.kind, OutcomeKind::Hit);
    /// let new = pages.get_or_fetch(&key, &Api).max_age(Duration::ZERO).await?;
    /// assert_ne!(new.outcome.kind, OutcomeKind::Hit);
    /// # Ok::<(), restow::Error>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_age(mut self, most: Duration) -> Self {
        self.limits.max_age = Some(most);
        self
    }

    /// Takes a stale answer too, that expired no longer ago than this, in whole seconds rounded down, unless the answer itself forbids that
    /// (RFC 9111 sections 4.2.4 and 5.2.1.2).
    pub fn stale_ok(mut self, within: Duration) -> Self {
        self.limits.stale_ok = Some(within);
        self
    }
}

/// What a caller takes, beside what the endpoint says.
#[derive(Clone, Copy, Debug, Default)]
struct ReadLimits {
    max_age: Option<Duration>,
    stale_ok: Option<Duration>,
}

impl ReadLimits {
    /// Says so in a request, as any client may.
    fn put(self, headers: &mut HeaderMap) {
        let limits = [("max-age", self.max_age), ("max-stale", self.stale_ok)];
        let said: Vec<_> = limits
            .into_iter()
            .filter_map(|(name, limit)| Some(format!("{name}={}", limit?.as_secs())))
            .collect();
        if let Ok(value) = HeaderValue::from_str(&said.join(", "))
            && !value.is_empty()
        {
            headers.insert(CACHE_CONTROL, value);
        }
    }

    /// Tells whether an answer is young enough.
    fn allows(self, entry: &Entry, now: Millis) -> bool {
        self.max_age.is_none_or(|most| {
            let most = u32::try_from(most.as_secs()).unwrap_or(u32::MAX);
            !entry.meta.head.facts().is_older_than(most, now.0)
        })
    }
}

impl<'a, E: Endpoint, C: Fetch + ?Sized> IntoFuture for FetchOne<'a, E, C> {
    type Output = Result<Fetched<ValueOf<E>>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            self.repository.check_open()?;
            let raw = self.repository.endpoint().canonical(self.key)?;
            one(self.repository, &raw, self.client, self.mode, self.limits).await
        })
    }
}

/// A bulk read that fetches what is not held. Made by [`Repository::get_or_fetch_many`].
#[must_use = "nothing happens until it is awaited"]
#[derive(Debug)]
pub struct FetchMany<'a, E: Endpoint, C: ?Sized> {
    repository: &'a Repository<E>,
    keys: &'a [E::Key],
    client: &'a C,
    concurrency: usize,
    limits: ReadLimits,
}

impl<E: Endpoint, C: ?Sized> FetchMany<'_, E, C> {
    /// Sets how many requests are under way at once; at least one.
    pub fn concurrency(mut self, most: usize) -> Self {
        self.concurrency = most.max(1);
        self
    }

    /// Takes answers that are no older than this: see [`FetchOne::max_age`].
    pub fn max_age(mut self, most: Duration) -> Self {
        self.limits.max_age = Some(most);
        self
    }

    /// Takes stale answers too: see [`FetchOne::stale_ok`].
    pub fn stale_ok(mut self, within: Duration) -> Self {
        self.limits.stale_ok = Some(within);
        self
    }
}

impl<'a, E: Endpoint, C: Fetch + ?Sized> IntoFuture for FetchMany<'a, E, C> {
    type Output = Result<Vec<Got<ValueOf<E>>>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(many(self))
    }
}

async fn many<E: Endpoint, C: Fetch + ?Sized>(
    call: FetchMany<'_, E, C>,
) -> Result<Vec<Got<ValueOf<E>>>> {
    let FetchMany {
        repository,
        keys,
        client,
        concurrency,
        limits,
    } = call;
    repository.check_open()?;
    let raws: Vec<Result<RawKey>> = keys
        .iter()
        .map(|key| repository.endpoint().canonical(key))
        .collect();
    let held = held(repository, &raws, limits).await;
    let answers = raws.into_iter().zip(held).map(|(raw, held)| async move {
        match (held, raw) {
            (Some(got), _) => got,
            (None, Err(error)) => Got::Failed(error),
            (None, Ok(raw)) => match one(repository, &raw, client, None, limits).await {
                Ok(Fetched {
                    value: None,
                    status,
                    ..
                }) => Got::Negative(status),
                Ok(Fetched {
                    value: Some(value),
                    outcome,
                    ..
                }) => match outcome.kind {
                    OutcomeKind::Hit => Got::Hit(value),
                    OutcomeKind::Stale(_) => Got::Stale(value),
                    _ => Got::Fetched(value),
                },
                Err(error) => Got::Failed(error),
            },
        }
    });
    Ok(stream::iter(answers).buffered(concurrency).collect().await)
}

/// What is held and fresh, key by key, in one look-up; nothing where the mode asks the API in any case.
async fn held<E: Endpoint>(
    repository: &Repository<E>,
    raws: &[Result<RawKey>],
    limits: ReadLimits,
) -> Vec<Option<Got<ValueOf<E>>>> {
    let mut held: Vec<_> = raws.iter().map(|_| None).collect();
    if !matches!(repository.context().mode(), Mode::Live | Mode::ReadOnly) {
        return held;
    }
    let now = repository.context().now();
    let partition = repository.partition();
    let known = raws
        .iter()
        .enumerate()
        .filter_map(|(i, raw)| raw.as_ref().ok().map(|key| (i, key)));
    let (places, at): (Vec<usize>, Vec<Address>) = known
        .map(|(i, key)| {
            (
                i,
                Address {
                    key: key.clone(),
                    partition: partition.clone(),
                },
            )
        })
        .unzip();
    // How old an answer is, its head says.
    let parts = match limits.max_age {
        Some(_) => Parts::Whole,
        None => Parts::Body,
    };
    // A store that fails is a miss for all.
    let found = repository
        .mount()
        .table
        .read_many(&at, parts, now)
        .await
        .unwrap_or_default();
    for (place, found) in places.into_iter().zip(found) {
        let good = found.newest_live(now, |e| {
            e.meta.head.status().is_success() && limits.allows(e, now)
        });
        let got = match good {
            Some(entry) => repository
                .endpoint()
                .codec()
                .decode(&entry.body)
                .ok()
                .map(Got::Hit),
            None => found
                .newest_live(now, |e| limits.allows(e, now))
                .map(|e| Got::Negative(e.meta.head.status())),
        };
        if let Some(slot) = held.get_mut(place) {
            *slot = got;
        }
    }
    held
}

async fn one<E: Endpoint, C: Fetch + ?Sized>(
    repository: &Repository<E>,
    raw: &RawKey,
    client: &C,
    mode: Option<Mode>,
    limits: ReadLimits,
) -> Result<Fetched<ValueOf<E>>> {
    let named = |e: Error| e.in_repository(repository.endpoint().declaration().name.shared());
    let (mut parts, ()) = repository
        .mount()
        .endpoint
        .request(raw)
        .map_err(named)?
        .into_parts();
    if let Some(mode) = mode {
        parts.extensions.insert(mode);
    }
    limits.put(&mut parts.headers);
    let exchange = repository.exchange();
    match begin(&exchange, repository, raw, &parts).await {
        Begin::Answer {
            entry, answered, ..
        } => match decode(repository, &entry, &answered) {
            Ok(fetched) => Ok(fetched),
            Err(error) if mode != Some(Mode::Refresh) && exchange.may_ask(&parts.extensions) => {
                tracing::warn!(target: "restow", repository = repository.mount().name(), %error, "a stored answer no longer decodes; it is fetched anew");
                parts.extensions.insert(Mode::Refresh);
                match begin(&exchange, repository, raw, &parts).await {
                    Begin::Fetch(ticket) => drive(repository, *ticket, parts, client).await,
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        },
        Begin::Fetch(ticket) => drive(repository, *ticket, parts, client).await,
        Begin::Refuse(_) => Err(named(Error::new(
            ErrorKind::Offline,
            "the answer is not held, and the mode forbids asking for it",
        ))),
        Begin::Failed(why) => Err(named(Error::new(
            ErrorKind::Upstream,
            format!("the fetch that this call waited for failed: {why}"),
        ))),
        Begin::Bypass(answered, _) => {
            let response = client.fetch(request(&parts)).await.map_err(named)?;
            read(repository, response, answered.outcome).await
        }
    }
}

async fn begin<E: Endpoint>(
    exchange: &Exchange,
    repository: &Repository<E>,
    raw: &RawKey,
    parts: &request::Parts,
) -> Begin {
    // The client is borrowed from the caller: nothing can be refreshed behind it.
    exchange
        .begin_at(
            repository.mount(),
            raw.clone(),
            RequestHead::from(parts),
            Background::Impossible,
        )
        .await
}

async fn drive<E: Endpoint, C: Fetch + ?Sized>(
    repository: &Repository<E>,
    mut ticket: Ticket,
    parts: request::Parts,
    client: &C,
) -> Result<Fetched<ValueOf<E>>> {
    let outcome = ticket.outcome();
    loop {
        let mut request = request(&parts);
        ticket.prepare(request.headers_mut());
        let response = match client.fetch(request).await {
            Ok(response) => response,
            Err(error) => {
                return match ticket.fail(error.to_string().into()) {
                    Some((entry, _, answered)) => decode(repository, &entry, &answered),
                    None => {
                        Err(error.in_repository(repository.endpoint().declaration().name.shared()))
                    }
                };
            }
        };
        let url = response
            .extensions()
            .get::<FinalUrl>()
            .map_or_else(|| parts.uri.to_string(), |url| url.0.clone());
        match land(ticket, &parts.method, response, Some(url)).await {
            Landed::Again(again) => ticket = *again,
            Landed::Response(response) => {
                let outcome = response
                    .extensions()
                    .get::<Answered>()
                    .map_or(outcome, |a| a.outcome);
                return read(repository, *response, outcome).await;
            }
        }
    }
}

async fn read<E: Endpoint>(
    repository: &Repository<E>,
    response: Response<Body>,
    outcome: Outcome,
) -> Result<Fetched<ValueOf<E>>> {
    let (parts, body) = response.into_parts();
    let body = body.bytes().await.map_err(|e| {
        let message = format!("the answer broke off: {e}");
        Error::new(ErrorKind::Upstream, message)
            .in_repository(repository.endpoint().declaration().name.shared())
    })?;
    value(repository, parts.status, &body, outcome)
}

fn decode<E: Endpoint>(
    repository: &Repository<E>,
    entry: &Entry,
    answered: &Answered,
) -> Result<Fetched<ValueOf<E>>> {
    value(
        repository,
        entry.meta.head.status(),
        &entry.body,
        answered.outcome,
    )
}

fn value<E: Endpoint>(
    repository: &Repository<E>,
    status: StatusCode,
    body: &Bytes,
    outcome: Outcome,
) -> Result<Fetched<ValueOf<E>>> {
    let declaration = repository.endpoint().declaration();
    let named = |e: Error| e.in_repository(declaration.name.shared());
    if status.is_success() {
        let value = repository.endpoint().codec().decode(body).map_err(named)?;
        return Ok(Fetched {
            value: Some(value),
            status,
            outcome,
        });
    }
    if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
        || declaration.rules.negative(status).is_some()
    {
        return Ok(Fetched {
            value: None,
            status,
            outcome,
        });
    }
    Err(named(Error::new(
        ErrorKind::Upstream,
        format!("the API answered {status}"),
    )))
}

fn request(parts: &request::Parts) -> Request<Bytes> {
    Request::from_parts(parts.clone(), Bytes::new())
}
