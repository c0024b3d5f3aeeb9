//! Whether what is stored is still of our own format, while a newer program may change it at any time.

use crate::{BoxFuture, Error, ErrorKind, Result};
use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Handle, time};

/// How often it is looked at. What a look takes comes on top: together it is less than the second that programs are promised.
const PAUSE: Duration = Duration::from_millis(750);

/// Nobody looks; it was ours when somebody last did.
const ALONE: u8 = 0;
const OURS: u8 = 1;
const OTHER: u8 = 2;

/// Looks once; `None` where the store is closed or gone.
type Look = Box<dyn Fn() -> Option<BoxFuture<'static, Result<()>>> + Send + Sync>;

/// Looks at the format of a store again and again, and refuses every call while it is another one.
#[derive(Default)]
pub(super) struct FormatWatch {
    state: AtomicU8,
    looking: AtomicBool,
    look: OnceLock<Look>,
    /// What calls are told while it is another one.
    message: Mutex<Arc<str>>,
}

impl FormatWatch {
    /// Begins to look, once the store is open and its format known.
    pub(super) fn begin(self: &Arc<Self>, look: Look) {
        _ = self.look.set(look);
        self.start();
    }

    /// Tells whether the store is open, so that its format was ours.
    pub(super) fn has_begun(&self) -> bool {
        self.look.get().is_some()
    }

    /// Fails while the format is another one.
    ///
    /// # Errors
    /// [`ErrorKind::Format`].
    pub(super) fn check(self: &Arc<Self>) -> Result<()> {
        match self.state.load(Ordering::Relaxed) {
            OURS => Ok(()),
            state => {
                // The runtime whose task looked may have ended, and this is another one.
                self.start();
                match state {
                    OTHER => Err(self.refusal()),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Takes in what somebody saw; hands on that it is another one.
    pub(super) fn saw(&self, seen: Result<()>) -> Result<()> {
        match seen {
            Ok(()) => {
                if self.state.swap(OURS, Ordering::Relaxed) == OTHER {
                    tracing::debug!("the format of what is stored is ours again");
                }
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Format => {
                *self.lock() = error.message().into();
                self.state.store(OTHER, Ordering::Relaxed);
                Err(error)
            }
            // Who cannot look cannot do anything else there, and a new connection begins with a look.
            Err(error) => {
                tracing::debug!(%error, "the format of what is stored could not be read");
                Ok(())
            }
        }
    }

    fn refusal(&self) -> Error {
        Error::new(ErrorKind::Format, self.lock().to_string())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<str>> {
        self.message.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a task look, unless one does.
    fn start(self: &Arc<Self>) {
        if self.look.get().is_none() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let looking = Looking(self.clone());
        runtime.spawn(async move {
            let watch = &looking.0;
            while let Some(look) = watch.look.get().and_then(|look| look()) {
                // Calls are told of it.
                _ = watch.saw(look.await);
                time::sleep(PAUSE).await;
            }
        });
    }
}

/// The task that looks. It may end with its runtime.
struct Looking(Arc<FormatWatch>);

impl Drop for Looking {
    fn drop(&mut self) {
        let Self(watch) = self;
        watch.looking.store(false, Ordering::Release);
        // What was another format is one until somebody looks again.
        _ = watch
            .state
            .compare_exchange(OURS, ALONE, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl fmt::Debug for FormatWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormatWatch")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
