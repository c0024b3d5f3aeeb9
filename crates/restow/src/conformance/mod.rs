//! The promises of a store, as a suite that every backend and every wrapper passes.
//!
//! It speaks the contract of [`Store`](crate::store::Store) and [`Table`](crate::store::Table) only, and tells the time itself: no promise
//! waits for time to pass. Run it inside a Tokio runtime, one with several threads where races are to be real ones:
//!
//! ```
//! use restow::{conformance, store::{MemoryStore, Store}};
//! use std::sync::Arc;
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_time().build()?.block_on(async {
//! let report = conformance::run(&|| async { Ok(Arc::new(MemoryStore::default()) as Arc<dyn Store>) }).await;
//! report.assert();
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

mod bulk;
mod content;
mod generations;
mod keys;
mod kit;
mod leases;
mod lifecycle;
mod lifetimes;
mod partitions;
mod races;
mod report;
mod schema;
mod selections;
mod subject;
mod sweeping;
mod tables;
mod trimming;
mod variants;

pub use report::{Finding, Report, Verdict};
pub use subject::Subject;

use crate::answer::BoxFuture;
use futures_util::FutureExt;
use kit::{Broken, Kept};
use std::{any::Any, fmt, panic::AssertUnwindSafe, sync::LazyLock, time::Duration};

/// The longest that one promise may take: a store that hangs breaks it.
const PATIENCE: Duration = Duration::from_secs(60);

/// One promise of the contract, and how to see whether a store keeps it.
#[derive(Clone, Copy)]
pub struct Promise {
    name: &'static str,
    doc: &'static str,
    check: for<'a> fn(&'a dyn Subject) -> BoxFuture<'a, Kept>,
}

impl Promise {
    /// Returns its name: module and function, such as `keys::absent_is_not_empty`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns what is promised, in a sentence.
    pub fn doc(&self) -> &'static str {
        self.doc
    }

    /// Finds out whether fresh stores of `subject` keep it. A panic and a wait of a minute break it.
    pub async fn check(&self, subject: &dyn Subject) -> Verdict {
        let checked = AssertUnwindSafe((self.check)(subject)).catch_unwind();
        match tokio::time::timeout(PATIENCE, checked).await {
            Ok(Ok(Ok(()))) => Verdict::Kept,
            Ok(Ok(Err(Broken::Because(why)))) => Verdict::Broken(why),
            Ok(Ok(Err(Broken::NotPromised(why)))) => Verdict::NotPromised(why),
            Ok(Err(panic)) => Verdict::Broken(format!("it panicked: {}", text_of(&*panic))),
            Err(_) => Verdict::Broken(format!("it did not end within {PATIENCE:?}")),
        }
    }
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise")
            .field("name", &self.name)
            .field("doc", &self.doc)
            .finish_non_exhaustive()
    }
}

/// Returns all promises.
pub fn promises() -> &'static [Promise] {
    static ALL: LazyLock<Vec<Promise>> = LazyLock::new(|| {
        [
            keys::PROMISES,
            content::PROMISES,
            bulk::PROMISES,
            lifetimes::PROMISES,
            generations::PROMISES,
            variants::PROMISES,
            partitions::PROMISES,
            selections::PROMISES,
            sweeping::PROMISES,
            trimming::PROMISES,
            tables::PROMISES,
            schema::PROMISES,
            lifecycle::PROMISES,
            races::PROMISES,
            leases::PROMISES,
        ]
        .concat()
    });
    &ALL
}

/// Checks every promise, each on fresh stores, and reports.
pub async fn run(subject: &dyn Subject) -> Report {
    let mut report = Report::default();
    for promise in promises() {
        let verdict = promise.check(subject).await;
        report.push(Finding {
            promise: *promise,
            verdict,
        });
    }
    report
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}
