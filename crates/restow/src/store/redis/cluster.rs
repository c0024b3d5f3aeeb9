//! The way to a cluster: the driver has a connection to each server, and makes one again that is lost. One that brings nothing any more, or what is no
//! answer to what was asked, it goes on with; here all of them are made again then.

use super::{clients, options::RedisOptions};
use redis::{
    Cmd, Pipeline, RedisResult, Value,
    aio::ConnectionLike,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// So long nobody looks again whether the connections are of use.
const PAUSE: Duration = Duration::from_millis(250);

/// The connections to a cluster.
pub(super) struct Cluster {
    options: RedisOptions,
    state: Mutex<State>,
}

struct State {
    connection: ClusterConnection,
    looking: bool,
    looked: Option<Instant>,
}

impl Cluster {
    /// Connects.
    pub(super) async fn open(options: &RedisOptions) -> crate::Result<Arc<Self>> {
        let connection = clients::cluster(options, &options.to_string()).await?;
        let state = State {
            connection,
            looking: false,
            looked: None,
        };
        Ok(Arc::new(Self {
            options: options.clone(),
            state: Mutex::new(state),
        }))
    }

    /// Sends a command.
    pub(super) async fn ask(self: &Arc<Self>, cmd: &Cmd) -> RedisResult<Value> {
        let mut connection = self.connection();
        self.answered(connection.req_packed_command(cmd)).await
    }

    /// Sends a command to servers of its own.
    pub(super) async fn route(self: &Arc<Self>, cmd: Cmd, to: RoutingInfo) -> RedisResult<Value> {
        let mut connection = self.connection();
        self.answered(connection.route_command(cmd, to)).await
    }

    /// Sends commands of one slot.
    pub(super) async fn pipe(self: &Arc<Self>, pipe: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut connection = self.connection();
        let answers = connection.req_packed_commands(pipe, 0, pipe.len());
        self.answered(answers).await
    }

    /// Has somebody look whether the connections are of use, unless somebody does or just did. Where they are not, they are made again.
    pub(super) fn doubt(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut state = self.lock();
        if state.looking || state.looked.is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        state.looking = true;
        let looking = Looking(self.clone());
        drop(state);
        runtime.spawn(async move {
            let cluster = &looking.0;
            if !cluster.answers().await
                && let Ok(new) =
                    clients::cluster(&cluster.options, &cluster.options.to_string()).await
            {
                cluster.lock().connection = new;
            }
        });
    }

    /// Tells whether each server answers what it is asked.
    async fn answers(&self) -> bool {
        let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllNodes, None));
        let mut connection = self.connection();
        let asked = connection.route_command(redis::cmd("PING"), all);
        let is_pong = |said: &Value| matches!(said, Value::SimpleString(said) if said == "PONG");
        match tokio::time::timeout(self.options.timeout, asked).await {
            Ok(Ok(Value::Map(all))) => all.iter().all(|(_, said)| is_pong(said)),
            Ok(Ok(said)) => is_pong(&said),
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Waits for an answer. Where it does not come in time, or is not waited for to its end, it may never come.
    async fn answered<T>(
        self: &Arc<Self>,
        answer: impl Future<Output = RedisResult<T>>,
    ) -> RedisResult<T> {
        let mut waiting = Waiting(Some(self));
        let answer = answer.await;
        if !answer.as_ref().is_err_and(redis::RedisError::is_timeout) {
            waiting.0 = None;
        }
        answer
    }

    fn connection(&self) -> ClusterConnection {
        self.lock().connection.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between lock and unlock can leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for an answer.
struct Waiting<'a>(Option<&'a Arc<Cluster>>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(cluster) = self.0 {
            cluster.doubt();
        }
    }
}

/// The task that looks. It may end with its runtime.
struct Looking(Arc<Cluster>);

impl Drop for Looking {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.looking = false;
        state.looked = Some(Instant::now());
    }
}
