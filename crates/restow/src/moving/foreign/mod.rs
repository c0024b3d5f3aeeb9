//! What other caches keep, taken over: no request has to be made again.
//!
//! | program | function | file |
//! |---|---|---|
//! | [aiorequestful](https://pypi.org/project/aiorequestful/) (Python) | [`aiorequestful`] | its SQLite file: a table for each repository |
//! | [requests-cache](https://pypi.org/project/requests-cache/) (Python) | [`requests_cache`] | its SQLite file, serialized by `pickle` (the default) or `json` |
//!
//! The endpoints have to be open in the cache: they say what a key is made of, and their rules (`require`, `reject`, `max_body`, the codec)
//! decide what is taken. The file is opened for reading only. Nothing newer is replaced, and repeated it changes nothing.

mod aiorequestful;
mod intake;
mod pickle;
mod requests_cache;
mod saved;

pub use aiorequestful::{FieldMap, LocalRows, aiorequestful};
pub use intake::{Foreign, ForeignTally};
pub use requests_cache::{SavedResponse, requests_cache, saved_response};

use crate::{
    Error, ErrorKind, Result,
    store::sqlite::{SqlValue, foreign::ForeignFile},
};
use std::path::PathBuf;
use tokio::sync::mpsc;

/// For whom rows are taken over, and whether they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignOptions {
    /// Whose the rows are. Without one, they are the public's, or of the credential that their request shows; never another principal's.
    pub principal: Option<String>,
    /// Changes nothing, and counts what it would do.
    pub dry_run: bool,
}

/// So many rows may wait to be taken in.
const QUEUE: usize = 64;

/// A file that is read on a thread of its own.
type Reading = mpsc::Receiver<Result<(usize, Vec<SqlValue>)>>;

/// Which columns of which table are read.
type Wanted = (String, Vec<String>);

/// Reads rows of some tables; each comes with the place of its table among them.
fn rows(path: PathBuf, wanted: Vec<Wanted>) -> Reading {
    let (sender, rows) = mpsc::channel(QUEUE);
    tokio::task::spawn_blocking(move || {
        let read = || {
            let file = ForeignFile::open(&path)?;
            for (nth, (table, columns)) in wanted.iter().enumerate() {
                file.rows(table, columns, |row| {
                    sender.blocking_send(Ok((nth, row))).is_ok()
                })?;
            }
            Ok(())
        };
        if let Err(error) = read() {
            // Nobody waits for it, once the stream is dropped.
            _ = sender.blocking_send(Err(error));
        }
    });
    rows
}

/// Asks a file something short.
async fn ask<T: Send + 'static>(
    path: PathBuf,
    question: impl FnOnce(&ForeignFile) -> Result<T> + Send + 'static,
) -> Result<T> {
    let asked = tokio::task::spawn_blocking(move || question(&ForeignFile::open(&path)?));
    asked
        .await
        .map_err(|e| Error::new(ErrorKind::Store, "the file could not be read").with_source(e))?
}
