//! When entries were last used: remembered in samples and written now and then, never by a write per read.

use super::{super::values::Place, Engine, Query, Way};
use crate::{ErrorKind, Millis, Result, entry::Variant};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// So many are written together.
const ENOUGH: usize = 256;

/// Uses not written yet, of each table by the statement that writes them.
#[derive(Debug, Default)]
pub(in super::super) struct Uses(Mutex<HashMap<Arc<str>, Noted>>);

#[derive(Debug)]
struct Noted {
    statement: Arc<Query>,
    uses: HashMap<(Place, Variant), Millis>,
}

impl Uses {
    /// Notes uses; returns whether it is time to write them.
    pub(in super::super) fn note(
        &self,
        statement: &Arc<Query>,
        used: &[(Place, Variant)],
        now: Millis,
    ) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let table = noted.entry(statement.sql.clone()).or_insert_with(|| Noted {
            statement: statement.clone(),
            uses: HashMap::new(),
        });
        table.uses.extend(used.iter().map(|row| (*row, now)));
        table.uses.len() >= ENOUGH
    }

    /// Writes what was noted.
    pub(in super::super) async fn flush(&self, engine: &Engine) -> Result<()> {
        let noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for Noted { statement, uses } in noted.into_values() {
            let mut rows: Vec<_> = uses.into_iter().collect();
            rows.sort_unstable();
            let places: Vec<_> = rows.iter().map(|((place, _), _)| *place).collect();
            let variants: Vec<_> = rows
                .iter()
                .map(|((_, variant), _)| variant.to_bytes())
                .collect();
            let times: Vec<_> = rows.iter().map(|(_, at)| at.0).collect();
            let values = vec![
                Box::new(places) as _,
                Box::new(variants) as _,
                Box::new(times) as _,
            ];
            match engine.run(Way::Once, &statement, &values).await {
                // The table was removed since.
                Err(error) if error.kind() == ErrorKind::NoSuchRepository => {}
                done => _ = done?,
            }
        }
        Ok(())
    }
}
