//! The thread that writes the access log: whoever reads stdout slowly, or not at all, keeps no request waiting.

use restow::{Error, ErrorKind, Result};
use std::{
    fs::File,
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// The most that waits to be written, in bytes: a reader may rest for that long. What comes on top is dropped.
const MOST_WAITING: usize = 4 << 20;

/// A thread that writes lines to stdout. It ends with the last handle, once it has written what was given to it.
#[derive(Clone, Debug)]
pub(crate) struct LogThread {
    tell: Sender<Told>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many bytes wait to be written.
    waiting: AtomicUsize,
    /// Whether it was said that lines are dropped.
    warned: AtomicBool,
}

enum Told {
    Line(String),
    /// Everything before this is written.
    Flushed(oneshot::Sender<()>),
}

impl LogThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where the system lets none be made, or there is no stdout.
    pub(crate) fn start() -> Result<Self> {
        let (tell, told) = channel();
        let state = Arc::new(State::default());
        let wrong = |e| {
            let message = "the access log cannot be begun; raise the limits of open files and processes, or leave out access_log";
            Error::new(ErrorKind::Config, message).with_source(e)
        };
        let out = stdout().map_err(wrong)?;
        let writes = {
            let state = state.clone();
            move || write(out, &told, &state)
        };
        let builder = thread::Builder::new().name("restow access log".into());
        builder.spawn(writes).map_err(wrong)?;
        Ok(Self { tell, state })
    }

    /// Lets a line be written, without waiting for it; `false` where it is dropped.
    pub(crate) fn write(&self, line: String) -> bool {
        let length = line.len();
        let state = &self.state;
        let fits = state.waiting.fetch_add(length, Relaxed) <= MOST_WAITING;
        if fits && self.tell.send(Told::Line(line)).is_ok() {
            return true;
        }
        state.waiting.fetch_sub(length, Relaxed);
        if !state.warned.swap(true, Relaxed) {
            tracing::warn!(
                target: "restow",
                "lines of the access log are dropped, since nobody reads stdout fast enough; restow_access_log_dropped_total in /metrics tells how many"
            );
        }
        false
    }

    /// Waits until everything that was given to it is written, no longer than this.
    pub(crate) async fn flush(&self, at_most: Duration) {
        let (tell, told) = oneshot::channel();
        if self.tell.send(Told::Flushed(tell)).is_ok() {
            _ = tokio::time::timeout(at_most, told).await;
        }
    }
}

/// Another handle to stdout. A thread that stands still while it writes by the usual one holds its lock, for which the program's end waits.
fn stdout() -> io::Result<File> {
    #[cfg(unix)]
    let out = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?;
    #[cfg(windows)]
    let out = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned()?;
    Ok(File::from(out))
}

fn write(mut out: File, told: &Receiver<Told>, state: &State) {
    for told in told {
        match told {
            Told::Line(line) => {
                // A log that cannot be written must not cost an answer.
                _ = out.write_all(line.as_bytes());
                state.waiting.fetch_sub(line.len(), Relaxed);
            }
            Told::Flushed(tell) => {
                // Whoever asked may have given up.
                _ = tell.send(());
            }
        }
    }
}
