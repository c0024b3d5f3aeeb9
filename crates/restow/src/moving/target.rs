//! What entries are moved to: its secret, and its tables.

use crate::{
    Error, ErrorKind, Result,
    entry::{EntryId, Variant},
    store::{OnSchemaChange, SchemaChange, Store, Table, TableSpec},
};
use std::sync::Arc;

/// What becomes of entries that hang on the secret of the cache they come from, where the target has another: those of a credential's
/// partition, and those of an answer with `Vary`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Digests {
    /// The target takes over the secret where it has no table yet. Where it has one, such entries are refused.
    #[default]
    Carry,
    /// They are left out, and the target keeps its secret.
    LeaveOut,
}

/// Tells whether an entry is found by digests that are made with the secret of its cache.
pub(super) fn hangs_on_the_secret(id: &EntryId) -> bool {
    id.variant != Variant::NONE || id.address.partition.as_str().starts_with("c:")
}

/// Says that entries cannot be moved without the secret.
pub(super) fn refused(store: &dyn Store) -> Error {
    let message = format!(
        "entries that belong to a credential, or vary by a header, are found by digests with the secret of the cache they come from, and {store} has \
         tables under a secret of its own; copy into a store that has none yet, or leave such entries out with --without-digests \
         (Digests::LeaveOut)"
    );
    Error::new(ErrorKind::Unsupported, message)
}

/// Opens the table that is to hold the entries of one declared like this: as it is there already, else as declared.
///
/// # Errors
/// [`ErrorKind::SchemaMismatch`] with both lists where there is one with other fields or columns.
pub(super) async fn open(store: &dyn Store, declared: &TableSpec) -> Result<Arc<dyn Table>> {
    let spec = fitting(store, declared).await?;
    let opened = store.open(&spec).await;
    opened.map_err(|e| e.in_repository(declared.name.shared()))
}

/// Returns the spec that [`open`] opens, and changes nothing.
pub(super) async fn fitting(store: &dyn Store, declared: &TableSpec) -> Result<TableSpec> {
    let tables = store.tables().await?;
    let Some(held) = tables.into_iter().find(|held| held.name == declared.name) else {
        return Ok(declared.clone());
    };
    // What is there is in use, by its own rules.
    let wanted = TableSpec {
        on_schema_change: OnSchemaChange::Refuse,
        ..declared.clone()
    };
    match wanted.change_from(&held)? {
        SchemaChange::None if held.method == declared.method => Ok(held),
        _ => {
            let message = format!(
                "the entries to move are answers to {}, those in {store} to {}; give one of the endpoints another name",
                declared.method, held.method
            );
            Err(Error::new(ErrorKind::SchemaMismatch, message)
                .in_repository(declared.name.shared()))
        }
    }
}
