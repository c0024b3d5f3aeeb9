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

use super::ahead::{Coming, ahead};
use crate::{
    Error, ErrorKind, Result,
    store::sqlite::{SqlValue, foreign::ForeignFile},
};
use std::path::PathBuf;

/// For whom rows are taken over, and whether they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignOptions {
    /// Whose the rows are. Without one, they are the public's, or of the credential that their request shows; never another principal's.
    pub principal: Option<String>,
    /// Changes nothing, and counts what it would do.
    pub dry_run: bool,
}

/// Which columns of which table are read.
type Wanted = (String, Vec<String>);

/// Rows as they come, each with the place of its table among those that are read.
type Rows = Coming<Result<(usize, Vec<SqlValue>)>>;

/// Reads rows of some tables, on a thread of its own.
fn rows(path: PathBuf, wanted: Vec<Wanted>) -> Rows {
    ahead(move |ahead| {
        let mut read = || {
            let file = ForeignFile::open(&path)?;
            for (nth, (table, columns)) in wanted.iter().enumerate() {
                file.rows(table, columns, |row| {
                    let bytes = row.iter().map(size).sum();
                    ahead.push(Ok((nth, row)), bytes)
                })?;
            }
            Ok(())
        };
        if let Err(error) = read() {
            ahead.push(Err(error), 0);
        }
    })
}

fn size(value: &SqlValue) -> u64 {
    match value {
        SqlValue::Text(text) => text.len() as u64,
        SqlValue::Blob(bytes) => bytes.len() as u64,
        _ => 8,
    }
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
