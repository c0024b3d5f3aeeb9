//! When entries were last used: remembered in samples and written now and then, never by a write per read.

use super::super::error::Attempt;
use crate::Millis;
use rusqlite::{Connection, params};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// So many are written together.
const ENOUGH: usize = 256;

/// Uses not written yet: by the statement that writes them and the row.
#[derive(Debug, Default)]
pub(in super::super) struct Uses(Mutex<HashMap<(Arc<str>, i64), Millis>>);

impl Uses {
    /// Notes uses; returns whether it is time to write them.
    pub(super) fn note(&self, statement: &Arc<str>, rows: &[i64], now: Millis) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.extend(rows.iter().map(|row| ((statement.clone(), *row), now)));
        noted.len() >= ENOUGH
    }

    /// Writes what was noted.
    pub(in super::super) fn flush(&self, conn: &Connection) -> Attempt<()> {
        let noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for ((statement, row), at) in noted {
            match conn.prepare_cached(&statement) {
                Ok(mut update) => update.execute(params![at.0, row])?,
                // The table was removed since.
                Err(_) => 0,
            };
        }
        Ok(())
    }
}
