//! A gate: holds requests back until a test opens it.

use std::time::Duration;
use tokio::sync::watch;

/// Holds back whoever comes to it until it is opened. Clones are one gate.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    open: bool,
    came: usize,
}

/// How long a test waits for what is on its way.
const PATIENCE: Duration = Duration::from_secs(30);

impl Gate {
    /// Makes a closed gate.
    pub fn closed() -> Self {
        Self(watch::Sender::new(State::default()))
    }

    /// Lets everyone through from now on.
    pub fn open(&self) {
        self.0.send_modify(|s| s.open = true);
    }

    /// Waits until `n` have come, held back or through.
    pub async fn reached(&self, n: usize) {
        // Where they never come, the test fails in place of standing still.
        let came = tokio::time::timeout(PATIENCE, self.wait(|s| s.came >= n)).await;
        came.unwrap_or_else(|_| panic!("{} of {n} came to the gate", self.0.borrow().came));
    }

    /// Comes to the gate and waits until it is open.
    pub async fn pass(&self) {
        self.0.send_modify(|s| s.came += 1);
        self.wait(|s| s.open).await;
    }

    async fn wait(&self, until: impl FnMut(&State) -> bool) {
        self.0
            .subscribe()
            .wait_for(until)
            .await
            .expect("the gate holds a sender itself");
    }
}
