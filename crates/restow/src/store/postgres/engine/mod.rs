//! The connections of a store: those that are shared, those that are lent, and what goes on without a caller.

mod accepted;
mod connector;
mod lane;
mod lent;
mod link;
mod replica;
mod uses;
mod watched;

pub(super) use accepted::Of;
pub(super) use connector::{Connector, Use};
pub(super) use lent::{Keys, Lent};
pub(super) use link::Query;
pub(super) use uses::Uses;

use super::{
    error::{Attempt, Fault, closed},
    layout::Area,
    options::PostgresOptions,
    schema,
    values::Values,
};
use crate::{Error, ErrorKind, Result, store::TableName};
use accepted::Accepted;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures_util::future::{join_all, try_join_all};
use lane::Lane;
use link::Link;
use replica::Replica;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::sync::watch;
use tokio_postgres::Row;
use watched::Watched;

/// A statement that met another's locks is tried so often.
const TRIES: usize = 5;
/// So many reads follow each other on a connection before another one is made; changes wait for the disk, and do not.
const READS: usize = 4;
const CHANGES: usize = 1;

/// Where a statement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To a replica, where there is one.
    Read,
    /// To the server, which has what a replica may lack; done twice it does the same.
    ReadLatest,
    /// To the server; done twice it does the same.
    Change,
    /// To the server; done twice it does something else.
    Once,
}

/// The connections of a store.
#[derive(Debug)]
pub(super) struct Engine {
    options: PostgresOptions,
    place: Box<str>,
    pub(super) area: Area,
    /// Tells this store's notices from those of others.
    pub(super) instance: u64,
    connector: Arc<Connector>,
    reads: Lane,
    changes: Lane,
    replicas: Box<[Replica]>,
    next_replica: AtomicUsize,
    pool: Pool,
    accepted: Arc<Accepted>,
    pub(super) uses: Uses,
    closed: watch::Sender<bool>,
}

impl Engine {
    pub(super) fn new(mut options: PostgresOptions) -> Result<Self> {
        options.resolve()?;
        let watch = Arc::default();
        let connector = Arc::new(Connector::new(&options, &options.server, &watch)?);
        let share = (options.pool / 4).max(1);
        let replica = |server| {
            let connector = Arc::new(Connector::new(&options, server, &watch)?);
            Ok(Replica::new(Lane::new(connector, Use::Keys, share, READS)))
        };
        let replicas = options
            .replicas
            .iter()
            .map(replica)
            .collect::<Result<_>>()?;
        let manager = Manager::from_config(
            connector.config(Use::Any),
            connector.tls(),
            ManagerConfig {
                // It may have been lost while nobody had it.
                recycling_method: RecyclingMethod::Verified,
            },
        );
        let pool = Pool::builder(manager)
            .max_size((options.pool - 2 * share).max(1))
            .wait_timeout(Some(options.timeout))
            .create_timeout(Some(options.timeout))
            .recycle_timeout(Some(options.timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| {
                Error::new(ErrorKind::Config, "the pool of connections cannot be made")
                    .with_source(e)
            })?;
        let mut instance = [0; 8];
        getrandom::fill(&mut instance).map_err(|e| {
            Error::new(ErrorKind::Store, "the system has no random numbers")
                .with_source(std::io::Error::other(e.to_string()))
        })?;
        Ok(Self {
            place: options.to_string().into(),
            area: Area::new(&options.schema, &options.prefix),
            instance: u64::from_be_bytes(instance),
            reads: Lane::new(connector.clone(), Use::Keys, share, READS),
            changes: Lane::new(connector.clone(), Use::Keys, share, CHANGES),
            connector,
            replicas,
            next_replica: AtomicUsize::new(0),
            pool,
            accepted: Arc::new(Accepted::new()),
            uses: Uses::default(),
            closed: watch::Sender::new(false),
            options,
        })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn connector(&self) -> Arc<Connector> {
        self.connector.clone()
    }

    /// Becomes true when the store is closed.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    pub(super) fn check_open(&self) -> Result<()> {
        match *self.closed.borrow() {
            true => Err(closed()),
            false => Ok(()),
        }
    }

    /// Makes the first connection of those that are shared; to replicas behind.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<()> {
        self.prepare_replicas(Vec::new());
        let opened = tokio::try_join!(self.reads.open(), self.changes.open());
        opened.map(drop).map_err(|fault| fault.at(&self.place))
    }

    /// Makes the server ready for statements, so that whoever is first with them waits no longer than others.
    pub(super) async fn prepare<'q>(
        self: &Arc<Self>,
        reads: impl Iterator<Item = &'q Arc<Query>> + Clone,
        changes: impl Iterator<Item = &'q Arc<Query>>,
    ) {
        self.prepare_replicas(reads.clone().cloned().collect());
        let ready = async {
            let (reading, changing) = tokio::try_join!(self.reads.open(), self.changes.open())?;
            let prepares = self.connector.prepares();
            let all = reads
                .map(|query| (&reading, query))
                .chain(changes.map(|query| (&changing, query)));
            let prepared = all.map(|(link, query)| link.prepare(query, prepares));
            try_join_all(prepared).await?;
            Ok::<_, Fault>(())
        };
        // Where it cannot be prepared, whoever asks is told.
        _ = tokio::time::timeout(self.options.timeout, ready).await;
    }

    /// Makes replicas ready for statements. Nobody waits for that: where one is not, the server is asked.
    fn prepare_replicas(self: &Arc<Self>, reads: Vec<Arc<Query>>) {
        if self.replicas.is_empty() {
            return;
        }
        let engine = self.clone();
        tokio::spawn(async move {
            let lanes = engine.replicas.iter().map(Replica::lane);
            let ready = lanes.map(async |lane| {
                let link = lane.open().await?;
                let prepares = lane.connector().prepares();
                try_join_all(reads.iter().map(|query| link.prepare(query, prepares))).await?;
                Ok::<_, Fault>(())
            });
            let ready = ready.map(|one| tokio::time::timeout(engine.options.timeout, one));
            for failed in join_all(ready)
                .await
                .into_iter()
                .flatten()
                .filter_map(Result::err)
            {
                let error = failed.at(&engine.place);
                tracing::debug!(%error, "a replica cannot be read from yet");
            }
        });
    }

    /// Has its format looked at from now on.
    pub(super) fn watch_format(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        self.connector.watch().begin(Box::new(move || {
            let engine = engine.upgrade().filter(|e| e.check_open().is_ok())?;
            Some(Box::pin(async move {
                let each = &mut |row| row;
                // A replica has what the server had a moment ago.
                let values = Values::new();
                let asked =
                    engine.run_unseen(Way::Change, engine.connector.format(), &values, each);
                schema::check_answer(&engine.place, asked.await.map_err(Fault::from))
            }))
        }));
    }

    /// Asks something, and makes something of each row as it comes. A task of its own does so: an answer that nobody takes would hold up
    /// those behind it.
    pub(super) fn ask<T, M>(
        self: &Arc<Self>,
        way: Way,
        query: &Arc<Query>,
        values: Values,
        mut make: M,
    ) -> impl Future<Output = Result<Vec<T>>> + Send + use<T, M>
    where
        T: Send + 'static,
        M: FnMut(Row) -> T + Send + 'static,
    {
        let (engine, query) = (self.clone(), query.clone());
        let asked = async move { engine.run_each(way, &query, &values, &mut make).await };
        let task = self.check_open().map(|()| tokio::spawn(asked));
        async move { task?.await.map_err(ended)? }
    }

    /// Changes something, whoever waits for it; one of a table's entries is answered after all that were begun of it before and that nobody
    /// waits for. Those are given up where the server does not answer them in time.
    pub(super) fn change<T, F, C>(
        self: &Arc<Self>,
        of: Of,
        change: C,
    ) -> impl Future<Output = Result<T>> + Send + use<T, F, C>
    where
        C: FnOnce(Arc<Self>) -> F,
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let task = self.check_open().map(|()| {
            let change = change(self.clone());
            self.accepted.spawn(of, self.options.timeout, change)
        });
        async move {
            let (task, waiter) = task?;
            let done = task.await.map_err(ended)?;
            waiter.settle().await;
            done
        }
    }

    /// Changes how a table is made, or the store itself, to the end, whoever waits for it; `table` says which. What was begun of it before and
    /// nobody waits for ends first, so that who tries again finds it done, and does not begin anew what takes longer than he waits.
    pub(super) fn arrange<T, F, C>(
        self: &Arc<Self>,
        table: Option<&TableName>,
        change: C,
    ) -> impl Future<Output = Result<T>> + Send + use<T, F, C>
    where
        C: FnOnce(Arc<Self>) -> F + Send,
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (engine, of) = (self.clone(), Of::Schema(table.cloned()));
        async move {
            engine.check_open()?;
            engine.accepted.settle_of(of.clone()).await;
            let patience = engine.options.timeout;
            let (task, _waiter) = engine.accepted.spawn(of, patience, change(engine.clone()));
            let _watched = Watched {
                task: task.abort_handle(),
                engine,
            };
            task.await.map_err(ended)?
        }
    }

    /// Runs a statement on a shared connection, again where that may help.
    pub(super) async fn run(&self, way: Way, query: &Query, values: &Values) -> Result<Vec<Row>> {
        self.run_each(way, query, values, &mut |row| row).await
    }

    async fn run_each<T: Send>(
        &self,
        way: Way,
        query: &Query,
        values: &Values,
        make: &mut (dyn FnMut(Row) -> T + Send),
    ) -> Result<Vec<T>> {
        self.connector.check()?;
        self.run_unseen(way, query, values, make).await
    }

    async fn run_unseen<T: Send>(
        &self,
        way: Way,
        query: &Query,
        values: &Values,
        make: &mut (dyn FnMut(Row) -> T + Send),
    ) -> Result<Vec<T>> {
        let replica = (way == Way::Read).then(|| self.replica()).flatten();
        if let Some(replica) = replica
            && let Some(link) = replica.link(query)
        {
            let server = self.run_on_server(way, query, values, make);
            return match replica.ahead_of(server, &link, query, values).await {
                Ok(rows) => Ok(rows.into_iter().map(make).collect()),
                Err(server) => server,
            };
        }
        self.run_on_server(way, query, values, make).await
    }

    async fn run_on_server<T: Send>(
        &self,
        way: Way,
        query: &Query,
        values: &Values,
        make: &mut (dyn FnMut(Row) -> T + Send),
    ) -> Result<Vec<T>> {
        let deadline = tokio::time::Instant::now() + self.options.timeout;
        let lane = match way {
            Way::Read | Way::ReadLatest => &self.reads,
            Way::Change | Way::Once => &self.changes,
        };
        let (mut conflicts, mut losses) = (0, 0);
        loop {
            let mut used = None;
            let attempt = self.attempt(lane, query, values, make, &mut used);
            let fault = match tokio::time::timeout_at(deadline, attempt).await {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(fault)) => fault,
                Err(_) => Fault::TimedOut,
            };
            let link = used.as_ref();
            let again = match &fault {
                Fault::TimedOut => {
                    link.inspect(|link| link.end(lane.connector()));
                    false
                }
                // Another one on the same connection was given up, and this one was behind it.
                fault if fault.is_ended() && link.is_some_and(|link| link.is_given_up()) => {
                    conflicts += 1;
                    conflicts < TRIES
                }
                fault if fault.is_conflict() => {
                    conflicts += 1;
                    conflicts < TRIES
                }
                fault if fault.is_pooled() => {
                    lane.connector().prepare_no_more();
                    link.inspect(|link| link.forget());
                    conflicts += 1;
                    conflicts < TRIES
                }
                fault if fault.is_outdated() => {
                    link.inspect(|link| link.forget());
                    conflicts += 1;
                    conflicts < 2
                }
                fault if fault.is_replica() => {
                    // Somebody else is the primary by now: the next connection finds it.
                    link.inspect(|link| link.give_up());
                    losses += 1;
                    losses < 2
                }
                fault if fault.is_lost() => {
                    link.inspect(|link| link.give_up());
                    losses += 1;
                    // Each of them may have been lost, and nobody knows until it is asked.
                    way != Way::Once && link.is_some() && losses <= lane.len()
                }
                _ => false,
            };
            if !again {
                return Err(fault.at(&self.place));
            }
        }
    }

    async fn attempt<T: Send>(
        &self,
        lane: &Lane,
        query: &Query,
        values: &Values,
        make: &mut (dyn FnMut(Row) -> T + Send),
        used: &mut Option<Arc<Link>>,
    ) -> Attempt<Vec<T>> {
        let link = used.insert(lane.link(query).await?);
        let mut all = Vec::new();
        let each = &mut |row| all.push(make(row));
        link.ask(query, values, lane.connector().prepares(), each)
            .await?;
        Ok(all)
    }

    fn replica(&self) -> Option<&Replica> {
        let next = self.next_replica.fetch_add(1, Relaxed);
        self.replicas.get(next.checked_rem(self.replicas.len())?)
    }

    /// Lends a connection, for what takes long or several statements.
    pub(super) async fn lend(&self) -> Result<Lent> {
        self.connector.check()?;
        self.lend_unseen().await
    }

    /// The same whatever the format is.
    pub(super) async fn lend_unseen(&self) -> Result<Lent> {
        self.check_open()?;
        let object = self
            .pool
            .get()
            .await
            .map_err(|e| Fault::from(e).at(&self.place))?;
        if Object::metrics(&object).recycle_count == 0 {
            let seen = self.connector.check_format(&object).await;
            seen.map_err(|fault| fault.at(&self.place))?;
        }
        Ok(Lent::new(object, self.connector.clone()))
    }

    /// Tells whether there is a server besides the one that has the latest.
    pub(super) fn has_replicas(&self) -> bool {
        !self.replicas.is_empty()
    }

    /// Waits for what was accepted.
    pub(super) async fn settle(&self) {
        self.accepted.settle().await;
    }

    /// Takes nothing more, and lets go of all connections. Returns whether it was open.
    pub(super) async fn close(self: &Arc<Self>) -> Result<()> {
        let first = self
            .closed
            .send_if_modified(|closed| !std::mem::replace(closed, true));
        if !first {
            return Ok(());
        }
        self.settle().await;
        // That of the schema may take for ever.
        _ = tokio::time::timeout(self.options.timeout, self.accepted.settle_all()).await;
        let flushed = self.uses.flush(self).await;
        for lane in [&self.reads, &self.changes]
            .into_iter()
            .chain(self.replicas.iter().map(Replica::lane))
        {
            lane.close();
        }
        self.pool.close();
        if let Err(error) = flushed {
            tracing::debug!(%error, "what was used last was not noted");
        }
        Ok(())
    }
}

/// The runtime ended, or a task panicked.
fn ended(e: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Store, "the call was ended with its runtime").with_source(e)
}
