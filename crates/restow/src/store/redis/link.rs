//! The way to the servers: one connection that everybody shares, made again when it is lost; or one for each server of a cluster.

use super::{
    clients::{client, sentinel, server},
    cluster::Cluster,
    error,
    gather::{self, Gets},
    keys::Names,
    options::{RedisOptions, Topology},
    schema,
};
use crate::{
    Error, ErrorKind, Result,
    store::{gather::Gather, watch::FormatWatch},
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, join_all, try_join_all},
};
use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisResult, Value,
    aio::{MultiplexedConnection, PubSub},
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
    sentinel::SentinelClient,
};
use rustls::crypto::CryptoProvider;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// So long a failed attempt to connect is the answer for those who come after it.
const PAUSE: Duration = Duration::from_millis(50);
/// So many commands are sent as one: the first answers are read while the server still works on the last. What begins at a multiple of
/// [`TOGETHER`] is not parted from the next two.
const CHUNK: usize = 42 * TOGETHER;
/// So many commands stay together, one after the other on one connection.
pub(super) const TOGETHER: usize = 3;

/// What becomes of a command whose connection is lost before it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// It is sent once more: twice is the same as once.
    Again,
    /// It may have happened, so that is for the caller to decide.
    Fails,
}

/// The way to the servers.
pub(super) struct Link {
    options: RedisOptions,
    place: String,
    watch: Arc<FormatWatch>,
    way: Way,
}

enum Way {
    One(Arc<One>, Arc<Gather<Gets>>),
    Cluster(Arc<Cluster>),
}

impl Way {
    fn one(one: One) -> Self {
        let one = Arc::new(one);
        Self::One(one.clone(), Gather::new(Gets(one)))
    }
}

/// One server, or whichever of them is the master.
pub(super) struct One {
    source: Source,
    config: AsyncConnectionConfig,
    first: Arc<First>,
    /// How many questions were answered, over whatever connection.
    heard: AtomicU64,
    state: Mutex<State>,
}

/// What a new connection begins with: somebody may have changed the format while there was none.
struct First {
    watch: Arc<FormatWatch>,
    ask: Cmd,
    place: String,
}

#[derive(Clone)]
enum Source {
    Server(Arc<Client>),
    Sentinel(Arc<tokio::sync::Mutex<SentinelClient>>),
}

type Attempt = Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>;

#[derive(Default)]
struct State {
    /// Tells one connection from the next.
    number: u64,
    ready: Option<MultiplexedConnection>,
    /// When it was made.
    made: Option<Instant>,
    attempt: Option<Attempt>,
    failed: Option<(Instant, redis::RedisError)>,
    closed: bool,
}

impl Link {
    /// Connects.
    pub(super) async fn open(options: RedisOptions) -> Result<Self> {
        let place = options.to_string();
        if options.tls && CryptoProvider::get_default().is_none() {
            // The driver takes the process's, and panics where there is none. Whoever chose one at the same moment is right, too.
            _ = rustls::crypto::ring::default_provider().install_default();
        }
        if let Some(path) = &options.ca
            && let Err(e) = std::fs::File::open(path)
        {
            let message = format!("ca={}: the file cannot be read", path.display());
            return Err(Error::new(ErrorKind::Config, message).with_source(e));
        }
        let watch = Arc::<FormatWatch>::default();
        let one = |source| Way::one(One::new(source, &options, &watch));
        let way = match &options.topology {
            Topology::Cluster => Way::Cluster(Cluster::open(&options).await?),
            Topology::Standalone => one(Source::Server(Arc::new(server(&options)?))),
            Topology::Sentinel(master) => {
                let client = sentinel(&options, master)?;
                one(Source::Sentinel(Arc::new(tokio::sync::Mutex::new(client))))
            }
        };
        let link = Self {
            options,
            place,
            watch,
            way,
        };
        if let Way::One(one, _) = &link.way {
            let connected = one.connection().await;
            connected.map_err(|e| error::at(&link.place, e))?;
        }
        Ok(link)
    }

    pub(super) fn options(&self) -> &RedisOptions {
        &self.options
    }

    /// Returns where that is, without a password.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Knows whether the format is ours.
    pub(super) fn watch(&self) -> &Arc<FormatWatch> {
        &self.watch
    }

    /// Tells whether entries are spread over several servers.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.way, Way::Cluster(_))
    }

    /// Makes the error that callers see.
    pub(super) fn failed(&self, source: redis::RedisError) -> Error {
        match &self.way {
            Way::One(one, _) if one.lock().closed => error::closed(),
            // Why its new connection was not taken.
            Way::One(..) if let Err(error) = self.watch.check() => error,
            Way::One(..) | Way::Cluster(_) => error::at(&self.place, source),
        }
    }

    /// Lets go of the connection.
    pub(super) fn close(&self) {
        if let Way::One(one, _) = &self.way {
            *one.lock() = State {
                closed: true,
                ..State::default()
            };
        }
    }

    /// Has the next question asked over a new connection: an answer was none to what was asked, and those to come belong to others too.
    pub(super) fn doubt(&self) {
        match &self.way {
            Way::One(one, _) => one.doubt(),
            Way::Cluster(cluster) => cluster.doubt(),
        }
    }

    /// Makes the error of such an answer.
    pub(super) fn strange(&self, what: &str) -> Error {
        self.doubt();
        error::strange(&self.place, what)
    }

    /// Sends a command.
    pub(super) async fn ask(&self, cmd: &Cmd, lost: Lost) -> Result<Value> {
        self.try_ask(cmd, lost).await.map_err(|e| self.failed(e))
    }

    /// The same with the driver's error.
    pub(super) async fn try_ask(&self, cmd: &Cmd, lost: Lost) -> RedisResult<Value> {
        let one = match &self.way {
            Way::Cluster(cluster) => return cluster.ask(cmd).await.and_then(error::checked),
            Way::One(one, _) => one,
        };
        one.ask(cmd, lost).await
    }

    /// Reads the value of a key, together with what others ask for at this moment.
    pub(super) async fn get(&self, key: Vec<u8>) -> Result<Value> {
        let answer = match &self.way {
            Way::One(one, gather) => match gather.ask(key.clone()).await {
                Ok(answer) => answer,
                // The runtime that had it is gone.
                Err(_) => one.ask(&gather::get(&key), Lost::Again).await,
            },
            Way::Cluster(_) => self.try_ask(&gather::get(&key), Lost::Again).await,
        };
        answer.map_err(|e| self.failed(e))
    }

    /// Sends commands that may be repeated, each beside the bucket it belongs to; the answers have the order of the commands.
    pub(super) async fn ask_all(&self, cmds: Vec<(u32, Cmd)>) -> Result<Vec<Value>> {
        self.try_ask_all(cmds).await.map_err(|e| self.failed(e))
    }

    async fn try_ask_all(&self, cmds: Vec<(u32, Cmd)>) -> RedisResult<Vec<Value>> {
        match &self.way {
            Way::One(one, _) => {
                let mut pipes = Vec::with_capacity(cmds.len().div_ceil(CHUNK));
                let mut cmds = cmds.into_iter().map(|(_, cmd)| cmd).peekable();
                while cmds.peek().is_some() {
                    pipes.push(pipeline(cmds.by_ref().take(CHUNK)));
                }
                let answers = try_join_all(pipes.iter().map(|pipe| one.pipe(pipe))).await?;
                Ok(answers.into_iter().flatten().collect())
            }
            Way::Cluster(cluster) => {
                let (number, mut slots) =
                    (cmds.len(), BTreeMap::<u32, (Vec<usize>, Vec<Cmd>)>::new());
                for (i, (bucket, cmd)) in cmds.into_iter().enumerate() {
                    let (places, cmds) = slots.entry(bucket).or_default();
                    places.push(i);
                    cmds.push(cmd);
                }
                let asked = slots.into_values().map(|(places, cmds)| async move {
                    let answers = cluster.pipe(&pipeline(cmds.into_iter())).await?;
                    Ok::<_, redis::RedisError>((places, answers))
                });
                let mut all = vec![Value::Nil; number];
                for answered in join_all(asked).await {
                    let (places, answers) = answered?;
                    for (place, answer) in places.into_iter().zip(answers) {
                        if let Some(slot) = all.get_mut(place) {
                            *slot = error::checked(answer)?;
                        }
                    }
                }
                Ok(all)
            }
        }
    }

    /// Walks over the keys that begin with this, on the server that has the slot of its hash tag.
    pub(super) async fn scan(&self, before: &str, cursor: &str) -> Result<Value> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor)
            .arg("MATCH")
            .arg(format!("{before}*"))
            .arg("COUNT")
            .arg(1_000);
        let cluster = match &self.way {
            Way::One(..) => return self.ask(&scan, Lost::Again).await,
            Way::Cluster(cluster) => cluster,
        };
        let mut which = redis::cmd("CLUSTER");
        which.arg("KEYSLOT").arg(before);
        let slot = self.ask(&which, Lost::Again).await?;
        let slot: u16 =
            redis::from_redis_value(slot).map_err(|_| self.strange("CLUSTER KEYSLOT"))?;
        let route = Route::new(slot, SlotAddr::Master);
        let route = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(route));
        let answer = cluster.route(scan, route).await;
        answer.and_then(error::checked).map_err(|e| self.failed(e))
    }

    /// Opens a connection of its own, to hear what others publish.
    pub(super) async fn listen(&self) -> RedisResult<PubSub> {
        let client = match &self.way {
            Way::One(one, _) => one.source.clone().client().await?,
            Way::Cluster(_) => {
                // A cluster gives a message to all its servers; any of those that are named will do.
                let mut failed = None;
                for node in 0..self.options.hosts.len() {
                    let client = client(&self.options, node)?;
                    match client.get_async_pubsub().await {
                        Ok(listening) => return Ok(listening),
                        Err(e) => failed = Some(e),
                    }
                }
                return Err(failed.unwrap_or_else(|| {
                    (redis::ErrorKind::InvalidClientConfig, "no server is named").into()
                }));
            }
        };
        client.get_async_pubsub().await
    }
}

impl Source {
    async fn client(self) -> RedisResult<Arc<Client>> {
        match self {
            Self::Server(client) => Ok(client),
            Self::Sentinel(sentinel) => {
                let master = sentinel.lock().await.async_get_client().await?;
                Ok(Arc::new(master))
            }
        }
    }
}

impl One {
    fn new(source: Source, options: &RedisOptions, watch: &Arc<FormatWatch>) -> Self {
        Self {
            source,
            config: AsyncConnectionConfig::new()
                .set_connection_timeout(Some(options.timeout.min(Duration::from_secs(2))))
                .set_response_timeout(Some(options.timeout))
                // More than all tasks that ask at once, so that none of them waits for a place.
                .set_pipeline_buffer_size(1_024),
            heard: AtomicU64::new(0),
            first: Arc::new(First {
                watch: watch.clone(),
                ask: schema::ask_format(&Names::new(&options.prefix)),
                place: options.to_string(),
            }),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let (number, attempt) = {
            let mut state = self.lock();
            if let Some(ready) = &state.ready {
                return Ok((state.number, ready.clone()));
            }
            if state.closed {
                return Err((redis::ErrorKind::Client, "the store is closed").into());
            }
            if let Some((at, error)) = &state.failed
                && at.elapsed() < PAUSE
            {
                return Err(error.clone());
            }
            let attempt = match &state.attempt {
                Some(attempt) => attempt.clone(),
                None => {
                    let attempt = self.attempt();
                    state.attempt = Some(attempt.clone());
                    attempt
                }
            };
            (state.number, attempt)
        };
        let made = attempt.await;
        let mut state = self.lock();
        if state.number == number && !state.closed {
            state.attempt = None;
            match &made {
                Ok(connection) => {
                    state.ready = Some(connection.clone());
                    state.made = Some(Instant::now());
                    state.number += 1;
                    state.failed = None;
                    return Ok((number + 1, connection.clone()));
                }
                Err(error) => state.failed = Some((Instant::now(), error.clone())),
            }
        }
        // Whoever shares a connection that is lost by now finds that out by itself.
        made.map(|connection| (number + 1, connection))
    }

    fn attempt(&self) -> Attempt {
        let (source, config) = (self.source.clone(), self.config.clone());
        let first = self.first.clone();
        async move {
            let client = source.client().await?;
            let mut connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            first.look(&mut connection).await?;
            Ok(connection)
        }
        .boxed()
        .shared()
    }

    /// Forgets a connection, unless there is another one already.
    fn lose(&self, number: u64) {
        let mut state = self.lock();
        if state.number == number {
            state.ready = None;
            state.number += 1;
        }
    }

    /// Forgets the connection that there is: what came over it was no answer to what was asked, so the next is none either. One that was made
    /// just now is another one than that.
    fn doubt(&self) {
        let mut state = self.lock();
        let old = |made: Instant| made.elapsed() >= PAUSE;
        if state.ready.is_some() && state.made.is_some_and(old) {
            state.ready = None;
            state.number += 1;
        }
    }

    /// Notes what came of a question over a connection; tells whether the connection was of no use any more.
    fn ended<T>(&self, question: &Question, answer: &RedisResult<T>) -> bool {
        let Err(error) = answer else {
            self.heard.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        if error.is_timeout() {
            // Where nobody was answered meanwhile, it may be the connection that brings nothing any more, and not the server that is slow.
            if self.heard.load(Ordering::Relaxed) == question.heard_before {
                self.lose(question.number);
            }
            return false;
        }
        self.heard.fetch_add(1, Ordering::Relaxed);
        let is_lost = error::is_lost(error);
        if is_lost {
            self.lose(question.number);
        }
        is_lost
    }

    async fn question(&self) -> RedisResult<(Question, MultiplexedConnection)> {
        let (number, connection) = self.connection().await?;
        let question = Question {
            number,
            heard_before: self.heard.load(Ordering::Relaxed),
        };
        Ok((question, connection))
    }

    /// Sends a command.
    pub(super) async fn ask(&self, cmd: &Cmd, lost: Lost) -> RedisResult<Value> {
        let mut again = lost == Lost::Again;
        loop {
            let (question, mut connection) = self.question().await?;
            let answer = connection.send_packed_command(cmd).await;
            let answer = answer.and_then(error::checked);
            if !self.ended(&question, &answer) || !std::mem::take(&mut again) {
                return answer;
            }
        }
    }

    async fn pipe(&self, pipe: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut again = true;
        loop {
            let (question, mut connection) = self.question().await?;
            let answers = connection.send_packed_commands(pipe, 0, pipe.len()).await;
            if !self.ended(&question, &answers) || !std::mem::take(&mut again) {
                return answers?.into_iter().map(error::checked).collect();
            }
        }
    }
}

/// A question on its way.
struct Question {
    /// Over which connection.
    number: u64,
    /// How many were answered before.
    heard_before: u64,
}

impl First {
    /// Fails where the format was another one since the store was opened.
    async fn look(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        if !self.watch.has_begun() {
            return Ok(());
        }
        let held = self.ask.query_async(connection).await;
        let held: RedisResult<Option<String>> = held;
        // A server that does not answer this answers nothing else either, and whoever asks is told.
        let Ok(Some(format)) = held else {
            return Ok(());
        };
        let seen = schema::check_format(&self.place, &format);
        self.watch
            .saw(seen)
            .map_err(|_| (redis::ErrorKind::Client, "its format is another one").into())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.place)
    }
}

fn pipeline(cmds: impl Iterator<Item = Cmd>) -> Pipeline {
    let mut pipe = Pipeline::with_capacity(CHUNK);
    for cmd in cmds {
        pipe.add_command(cmd);
    }
    pipe
}
