//! A store that may be slow or down: bounded in time, and left alone while it does not answer.

mod circuit;
mod gate;
mod health;
mod leases;
mod options;
mod shared;
mod table;

pub use health::{BreakerState, Health, SideHealth};
pub use options::BreakerOptions;

use super::{
    Budget, Capabilities, Change, Leases, MemoryPolicy, Store, Table, TableName, TableSpec, Trimmed,
};
use crate::{BoxFuture, BoxStream, Error, ErrorKind, Result};
use futures_util::{StreamExt, stream};
use gate::{Gate, Pass, Side, may_pass};
use leases::GuardedLeases;
use shared::{Shared, Slot, unusable};
use std::{fmt, sync::Arc, time::Duration};
use table::GuardedTable;

/// A store behind a circuit breaker: what it does takes no longer than [`BreakerOptions`] allow, and once it fails or hangs again and again it is
/// not asked for a while, so that requests go to the API at once.
///
/// Reads and changes have a breaker each. One that is open refuses every call with [`ErrorKind::Down`](crate::ErrorKind::Down); after a pause
/// the next call is made in a task of its own that nobody waits for, and closes the breaker where the store answers in time. Failures are errors of
/// kind [`Store`](crate::ErrorKind::Store), [`Busy`](crate::ErrorKind::Busy) and [`Config`](crate::ErrorKind::Config), and calls that took too long: those
/// are given up, and may still happen. Each opening is logged once, as a warning. A store that is down when the program starts is [opened later](Self::connect).
///
/// Needs a Tokio runtime with timers. Where memory is to be before the store, the [tier](super::TieredStore) goes around this.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// use restow::store::{BreakerOptions, GuardedStore, MemoryStore, Store};
/// use std::sync::Arc;
/// let store = GuardedStore::new(Arc::new(MemoryStore::default()), BreakerOptions::default());
/// assert!(store.health().is_some_and(|health| health.is_up()));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GuardedStore(Arc<Shared>);

impl GuardedStore {
    /// Guards a store that is open.
    pub fn new(store: Arc<dyn Store>, options: BreakerOptions) -> Self {
        let gate = Gate::new(&store.to_string(), options);
        let shared = Shared::new(gate, store.kind(), store.capabilities(), None);
        shared.set(store);
        Self(Arc::new(shared))
    }

    /// Opens a store and guards it. Where it is down, or damaged, or its format is another for now, that is logged, and it is opened as soon as it
    /// answers: until then every call is an error of kind [`Down`](crate::ErrorKind::Down), and a table that is opened meanwhile will be open once the
    /// store is. Where the table then does not fit, its calls are errors of kind [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch); where what is
    /// stored of it is damaged, they are of kind [`Corrupt`](crate::ErrorKind::Corrupt) until somebody has mended that.
    ///
    /// `kind`, `place` and `capabilities` are those of the store; `place` is shown to people, and must not hold a password.
    ///
    /// # Errors
    /// Those of `open` that time does not heal, such as [`Config`](crate::ErrorKind::Config).
    ///
    /// # Cancel safety
    /// As `open`.
    pub async fn connect<F, Opening>(
        kind: &'static str,
        place: &str,
        capabilities: Capabilities,
        options: BreakerOptions,
        open: F,
    ) -> Result<Self>
    where
        F: Fn() -> Opening + Send + Sync + 'static,
        Opening: Future<Output = Result<Arc<dyn Store>>> + Send + 'static,
    {
        let gate = Gate::new(place, options);
        let open = Arc::new(move || Box::pin(open()) as BoxFuture<'static, _>);
        let shared = Shared::new(gate, kind, capabilities, Some(open));
        let pass = shared.gate.pass(Side::Reads, true)?;
        let opened = pass.within(options.opening(false), shared.store()).await;
        match opened.map(drop) {
            Err(error) if may_pass(error.kind()) => shared.gate.trip(&error),
            opened => opened?,
        }
        Ok(Self(Arc::new(shared)))
    }

    fn pass(&self, side: Side) -> Result<Pass> {
        self.0.check_open()?;
        self.0.gate.pass(side, true)
    }

    fn slow(&self) -> Duration {
        self.0.gate.options.slow()
    }

    /// Makes a call that may take its time.
    fn slowly<'a, T: Send + 'a>(
        &'a self,
        side: Side,
        call: impl FnOnce(&'a Arc<dyn Store>) -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T>> {
        Box::pin(async move {
            let pass = self.pass(side)?;
            let asked = async { call(self.0.store().await?).await };
            pass.within(self.slow(), asked).await
        })
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for GuardedStore {
    fn kind(&self) -> &'static str {
        self.0.kind
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities
    }

    fn open<'a>(&'a self, spec: &'a TableSpec) -> BoxFuture<'a, Result<Arc<dyn Table>>> {
        Box::pin(async move {
            let shared = &self.0;
            let slot = match shared.open(spec).await {
                Ok(table) => Slot::new(spec.clone(), Some(table)),
                Err(error) if may_pass(error.kind()) => {
                    let named = spec.name.as_str();
                    tracing::debug!(target: "restow", repository = named, %error, "its table will be opened when the store is back");
                    spec.check()?;
                    let slot = Slot::new(spec.clone(), None);
                    slot.is_waiting(&error);
                    shared.open_later(&slot);
                    slot
                }
                Err(error) => return Err(error),
            };
            Ok(Arc::new(GuardedTable::new(shared.clone(), slot)) as Arc<dyn Table>)
        })
    }

    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableSpec>>> {
        self.slowly(Side::Reads, move |store| store.tables())
    }

    fn remove<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<bool>> {
        self.slowly(Side::Changes, move |store| store.remove(table))
    }

    fn secret(&self) -> BoxFuture<'_, Result<[u8; 32]>> {
        Box::pin(async move {
            let bound = self.0.gate.options.opening(false);
            let pass = self.pass(Side::Reads)?;
            let call = async {
                let store = self.0.store().await?;
                store.secret().await.map_err(unusable)
            };
            pass.within(bound, call)
                .await
                .map_err(|error| match may_pass(error.kind()) {
                    true => {
                        self.0.gate.trip(&error);
                        self.0.gate.down(Side::Reads)
                    }
                    false => error,
                })
        })
    }

    fn adopt_secret<'a>(&'a self, secret: &'a [u8; 32]) -> BoxFuture<'a, Result<bool>> {
        self.slowly(Side::Changes, move |store| store.adopt_secret(secret))
    }

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        if let Some(store) = self.0.get() {
            store.leases()?;
        }
        Some(Arc::new(GuardedLeases(self.0.clone())))
    }

    fn changes(&self) -> Option<BoxStream<'static, Change>> {
        if let Some(store) = self.0.get() {
            return store.changes();
        }
        let shared = self.0.clone();
        // It can only be asked once it is open.
        let begin = async move {
            let mut opened = shared.opened.subscribe();
            _ = opened
                .wait_for(|()| shared.get().is_some() || shared.is_closed())
                .await;
            let changes = shared.get().and_then(|store| store.changes());
            changes.unwrap_or_else(|| stream::empty().boxed())
        };
        Some(stream::once(begin).flatten().boxed())
    }

    fn trim(&self, most: Budget, limit: u64) -> BoxFuture<'_, Result<Trimmed>> {
        self.slowly(Side::Changes, move |store| store.trim(most, limit))
    }

    fn commit(&self) -> BoxFuture<'_, Result<()>> {
        self.slowly(Side::Changes, move |store| store.commit())
    }

    fn health(&self) -> Option<Health> {
        let gate = &self.0.gate;
        Some(Health {
            opened: self.0.get().is_some(),
            reads: gate.health(Side::Reads),
            changes: gate.health(Side::Changes),
        })
    }

    fn memory_policy(&self) -> BoxFuture<'_, Result<Option<MemoryPolicy>>> {
        self.slowly(Side::Reads, move |store| store.memory_policy())
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.0.close();
            let Some(store) = self.0.get() else {
                return Ok(());
            };
            let bound = self.slow();
            let closed = tokio::time::timeout(bound, store.close()).await;
            closed.unwrap_or_else(|_| {
                let message =
                    format!("{self} did not close within {bound:?}; what was accepted may be lost");
                Err(Error::new(ErrorKind::Store, message))
            })
        })
    }
}

impl fmt::Display for GuardedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.gate.place())
    }
}
