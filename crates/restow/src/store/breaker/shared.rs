//! What a guarded store and its tables share: the gate, and the store once it is open.

use super::gate::{Gate, Side, may_pass};
use crate::{
    BoxFuture, Error, ErrorKind, Result,
    store::{Capabilities, OnSchemaChange, Store, Table, TableSpec},
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::watch;

/// Opens the store beneath.
pub(super) type Connect = Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Store>>> + Send + Sync>;

pub(super) struct Shared {
    pub(super) gate: Arc<Gate>,
    pub(super) kind: &'static str,
    pub(super) capabilities: Capabilities,
    store: OnceLock<Arc<dyn Store>>,
    connect: Option<Connect>,
    connecting: tokio::sync::Mutex<()>,
    /// Told when the store is open, and when it is closed.
    pub(super) opened: watch::Sender<()>,
    closed: AtomicBool,
}

/// A table that is open, or will be.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) spec: TableSpec,
    table: OnceLock<Arc<dyn Table>>,
    /// Why it never will be, or not before somebody mends it.
    unfit: Mutex<Option<(ErrorKind, String)>>,
    /// About as many bytes as a body of it has that is large.
    size: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        gate: Arc<Gate>,
        kind: &'static str,
        capabilities: Capabilities,
        connect: Option<Connect>,
    ) -> Self {
        Self {
            gate,
            kind,
            capabilities,
            store: OnceLock::new(),
            connect,
            connecting: tokio::sync::Mutex::default(),
            opened: watch::Sender::new(()),
            closed: AtomicBool::new(false),
        }
    }

    /// Takes a store that is open.
    pub(super) fn set(&self, store: Arc<dyn Store>) {
        _ = self.store.set(store);
        self.opened.send_replace(());
    }

    /// Returns the store if it is open.
    pub(super) fn get(&self) -> Option<&Arc<dyn Store>> {
        self.store.get()
    }

    /// Returns the store, and opens it where it is not.
    pub(super) async fn store(&self) -> Result<&Arc<dyn Store>> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let _one_at_a_time = self.connecting.lock().await;
        self.check_open()?;
        if self.store.get().is_none()
            && let Some(connect) = &self.connect
        {
            self.set(connect().await.map_err(unusable)?);
        }
        self.store.get().ok_or_else(|| self.gate.down(Side::Reads))
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.opened.send_replace(());
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn check_open(&self) -> Result<()> {
        match self.is_closed() {
            true => Err(Error::new(
                ErrorKind::Closed,
                "the store is closed; open it again",
            )),
            false => Ok(()),
        }
    }

    /// Opens a table now, if the store answers.
    pub(super) async fn open(&self, spec: &TableSpec) -> Result<Arc<dyn Table>> {
        self.check_open()?;
        let pass = self.gate.pass(Side::Reads, true)?;
        let migrates = spec.on_schema_change == OnSchemaChange::Migrate;
        let bound = self.gate.options.opening(migrates);
        pass.within(bound, async { self.store().await?.open(spec).await })
            .await
    }

    /// Opens a table as soon as the store answers, and for as long as somebody has the table.
    pub(super) fn open_later(self: &Arc<Self>, slot: &Arc<Slot>) {
        let (shared, slot) = (self.clone(), Arc::downgrade(slot));
        tokio::spawn(async move {
            let mut pause = shared.gate.options.pause;
            while !shared.is_closed() && shared.try_open(&slot).await {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(shared.gate.options.most_pause);
            }
        });
    }

    /// Tries to open a table; tells whether to try again.
    async fn try_open(self: &Arc<Self>, slot: &Weak<Slot>) -> bool {
        let Some(slot) = slot.upgrade() else {
            return false;
        };
        // Not counted as refused: nobody asked.
        if !self.gate.is_passable(Side::Reads) {
            return true;
        }
        let repository = slot.spec.name.as_str();
        match self.open(&slot.spec).await {
            Ok(table) => {
                tracing::info!(target: "restow", repository, "its table is open now");
                _ = slot.table.set(table);
                false
            }
            Err(error) if may_pass(error.kind()) => {
                slot.is_waiting(&error);
                true
            }
            Err(error) => {
                if error.kind() != ErrorKind::Closed {
                    tracing::warn!(target: "restow", repository, %error, "its table cannot be opened; its requests go to the API until the program is started again");
                }
                slot.is_unfit(&error);
                false
            }
        }
    }
}

impl Slot {
    pub(super) fn new(spec: TableSpec, table: Option<Arc<dyn Table>>) -> Arc<Self> {
        Arc::new(Self {
            spec,
            table: table.map_or_else(OnceLock::new, OnceLock::from),
            unfit: Mutex::default(),
            size: AtomicU64::new(0),
        })
    }

    /// Returns the table once it is open.
    pub(super) fn get(&self) -> Option<&Arc<dyn Table>> {
        self.table.get()
    }

    /// Takes in why it is not open yet. What is damaged is told of, and once: it may be that nobody else sees it.
    pub(super) fn is_waiting(&self, error: &Error) {
        if error.kind() == ErrorKind::Corrupt && self.why_not().is_none() {
            let repository = self.spec.name.as_str();
            tracing::warn!(target: "restow", repository, %error, "its table cannot be opened; its requests go to the API until it can");
            self.is_unfit(error);
        }
    }

    fn is_unfit(&self, error: &Error) {
        let why = (error.kind(), error.message().to_owned());
        *self.unfit.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// Why it is not open.
    pub(super) fn why_not(&self) -> Option<Error> {
        let unfit = self.unfit.lock().unwrap_or_else(PoisonError::into_inner);
        let unfit = unfit.as_ref();
        unfit.map(|(kind, why)| Error::new(*kind, why.clone()))
    }

    /// About as many bytes as a large body of this table has.
    pub(super) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Learns from a body that was seen; a large one is forgotten after some small ones.
    pub(super) fn saw(&self, bytes: u64) {
        let size = self.size();
        let faded = size - size / 64;
        self.size.store(faded.max(bytes), Ordering::Relaxed);
    }
}

/// Makes of what is wrong with a store as a whole a failure of it: a damaged one is of no more use than one that is down, and may be mended.
pub(super) fn unusable(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Corrupt => Error::new(ErrorKind::Store, error.message().to_owned()),
        _ => error,
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("gate", &self.gate)
            .field("store", &self.store.get())
            .finish_non_exhaustive()
    }
}
