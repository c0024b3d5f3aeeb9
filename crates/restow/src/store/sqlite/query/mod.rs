//! SQL over a file, by people: reads only, and shows header lines and bodies as they came, however they are stored.

mod value;
mod views;

pub use value::SqlValue;

use super::{
    engine::Source,
    error::{Attempt, Fault},
    options::SqliteOptions,
};
use crate::{Error, ErrorKind, Result};
use rusqlite::{
    Batch, Connection, InterruptHandle, Statement, fallible_iterator::FallibleIterator,
};
use std::fmt;
use tokio::sync::{mpsc, oneshot};

/// So many rows may wait for whoever reads them.
const QUEUE: usize = 256;

/// The rows that a statement answers with, one after the other. Dropped, the statement ends.
pub struct SqlRows {
    columns: Vec<String>,
    rows: mpsc::Receiver<Result<Vec<SqlValue>>>,
    interrupt: InterruptHandle,
}

impl SqlRows {
    /// Returns the names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the next row, with a value for each column; `None` behind the last.
    ///
    /// # Errors
    /// [`Selection`](ErrorKind::Selection) where the statement fails on its way, [`Corrupt`](ErrorKind::Corrupt) and
    /// [`Store`](ErrorKind::Store) where the file does.
    ///
    /// # Cancel safety
    /// Dropped, no row is lost.
    pub async fn next(&mut self) -> Result<Option<Vec<SqlValue>>> {
        self.rows.recv().await.transpose()
    }
}

impl Drop for SqlRows {
    fn drop(&mut self) {
        // It may be far from its next row.
        self.interrupt.interrupt();
    }
}

impl fmt::Debug for SqlRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlRows")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

type Opened = Result<(Vec<String>, InterruptHandle)>;

/// Runs a statement on a thread of its own.
pub(super) async fn query(options: SqliteOptions, sql: String) -> Result<SqlRows> {
    let (ready, opened) = oneshot::channel();
    let (sender, rows) = mpsc::channel(QUEUE);
    tokio::task::spawn_blocking(move || {
        let mut ready = Some(ready);
        if let Err(error) = run(options, &sql, &mut ready, &sender) {
            // Nobody waits for either, once the rows are dropped.
            match ready.take() {
                Some(ready) => _ = ready.send(Err(error)),
                None => _ = sender.blocking_send(Err(error)),
            }
        }
    });
    let broken_off =
        |e| Error::new(ErrorKind::Store, "the statement was broken off").with_source(e);
    let (columns, interrupt) = opened.await.map_err(broken_off)??;
    Ok(SqlRows {
        columns,
        rows,
        interrupt,
    })
}

fn run(
    options: SqliteOptions,
    sql: &str,
    ready: &mut Option<oneshot::Sender<Opened>>,
    rows: &mpsc::Sender<Result<Vec<SqlValue>>>,
) -> Result<()> {
    let source = Source::prepare(options.read_only())?;
    let at = |fault: Fault| fault.at(source.place());
    let conn = source.scanner().map_err(at)?;
    // One snapshot: the dictionaries, and the rows that use them.
    let conn = &*conn.unchecked_transaction().map_err(|e| at(e.into()))?;
    let known = views::create(conn).map_err(at)?;
    let mut statement = prepare(conn, sql, &known)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let count = columns.len();
    let failed = |e| wrong(e, &known, source.place());
    // An interrupt that comes before the first step would be forgotten, were nothing else under way.
    let mut under_way = conn.prepare("VALUES (1), (2)").map_err(failed)?;
    let mut under_way = under_way.query([]).map_err(failed)?;
    under_way.next().map_err(failed)?;
    let opened = Ok((columns, conn.get_interrupt_handle()));
    if ready.take().is_some_and(|r| r.send(opened).is_err()) {
        return Ok(());
    }
    let mut found = statement.query([]).map_err(failed)?;
    while let Some(row) = found.next().map_err(failed)? {
        let values = (0..count).map(|i| row.get_ref(i).map(SqlValue::from));
        let values = values.collect::<rusqlite::Result<_>>().map_err(failed)?;
        if rows.blocking_send(Ok(values)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Prepares the one statement that there may be.
fn prepare<'c>(conn: &'c Connection, sql: &str, known: &[String]) -> Result<Statement<'c>> {
    let refused = |why: &str| Error::new(ErrorKind::Selection, why.to_owned());
    let failed = |e| wrong(e, known, "the file");
    let mut batch = Batch::new(conn, sql);
    let Some(statement) = batch.next().map_err(failed)? else {
        return Err(refused("there is no statement; write one, such as SELECT"));
    };
    if batch.next().map_err(failed)?.is_some() {
        return Err(refused(
            "there is more than one statement; run them one after the other",
        ));
    }
    if !statement.readonly() || statement.column_count() == 0 {
        let message = "the statement does not only read; use SELECT, WITH, VALUES or EXPLAIN, and let the cache change its entries itself";
        return Err(Error::new(ErrorKind::ReadOnly, message));
    }
    if statement.parameter_count() > 0 {
        return Err(refused(
            "the statement has parameters; write their values into it",
        ));
    }
    Ok(statement)
}

/// Tells a wrong statement from a file that fails.
fn wrong(e: rusqlite::Error, known: &[String], place: &str) -> Error {
    let message = match &e {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(code, Some(message))
            if code.code == rusqlite::ErrorCode::Unknown =>
        {
            message.clone()
        }
        _ => return Fault::from(e).at(place),
    };
    let way_out = match message.strip_prefix("no such table") {
        Some(_) if known.is_empty() => "; there is no repository in the file".to_owned(),
        Some(_) => format!("; there are {}", known.join(", ")),
        None => String::new(),
    };
    Error::new(
        ErrorKind::Selection,
        format!("the statement is wrong: {message}{way_out}"),
    )
}

/// Turns writing off, once and for all.
fn forbid_writing(conn: &Connection) -> Attempt<()> {
    Ok(conn.pragma_update(None, "query_only", true)?)
}
