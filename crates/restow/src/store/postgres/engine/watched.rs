//! Changes of the schema that nobody waits for any more: they go on as long as the server works.

use super::{super::schema, Engine};
use std::{sync::Arc, time::Duration};
use tokio::task::AbortHandle;

/// Between two statements nobody takes as long.
const LATELY: Duration = Duration::from_secs(1);
/// A server that does not answer so many times in a row is not waited for.
const LOOKS: u32 = 3;

/// Held by who waits for such a change. Once that one is gone, somebody looks after it.
pub(super) struct Watched {
    pub(super) engine: Arc<Engine>,
    pub(super) task: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.task.is_finished() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(watch(self.engine.clone(), self.task.clone()));
        }
    }
}

/// Ends a change where the server waits for what comes next while we wait for its answer: that is lost, and all others wait for both.
async fn watch(engine: Arc<Engine>, task: AbortHandle) {
    let patience = engine.options.timeout;
    let mut unanswered = 0;
    loop {
        tokio::time::sleep(patience).await;
        if task.is_finished() {
            return;
        }
        match schema::is_at_work(&engine, patience.max(LATELY)).await {
            Ok(true) => unanswered = 0,
            Err(_) if unanswered + 1 < LOOKS => unanswered += 1,
            Ok(false) | Err(_) => return task.abort(),
        }
    }
}
