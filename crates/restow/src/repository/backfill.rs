//! Opening a table, and filling in what its older entries lack.

use crate::{
    ErrorKind, Millis, Result,
    context::{Context, Mount},
    endpoint::AnyEndpoint,
    repository::keeps_out,
    selection::{Scope, Selection},
    store::{Parts, Renewal, TableSpec},
};
use futures_util::StreamExt;
use std::sync::Arc;

/// The most entries that are renewed in one question to the store.
const CHUNK: usize = 256;

/// Opens an endpoint's table. Where declared columns were added to it, they are filled in from the stored bodies.
pub(crate) async fn open_mount(
    ctx: &Context,
    endpoint: Arc<dyn AnyEndpoint>,
) -> Result<Arc<Mount>> {
    filled(ctx, Mount::open(ctx, endpoint).await?).await
}

/// Opens a table as the store has it, without changing its declaration.
pub(crate) async fn open_stored(
    ctx: &Context,
    endpoint: Arc<dyn AnyEndpoint>,
    spec: &TableSpec,
) -> Result<Arc<Mount>> {
    filled(ctx, Mount::open_as(ctx, endpoint, spec).await?).await
}

async fn filled(ctx: &Context, mount: Arc<Mount>) -> Result<Arc<Mount>> {
    let declaration = mount.endpoint.declaration();
    let writes = !keeps_out(ctx.mode()) && !ctx.store.capabilities().read_only;
    if writes && !declaration.columns.is_empty() {
        match fill(&mount, ctx.now()).await {
            // A server that fails is no reason not to begin: they stay pending until the table is opened again.
            Err(error) if ctx.store.health().is_some() => {
                let repository = mount.name();
                tracing::warn!(target: "restow", repository, %error, "its added columns are not filled in yet");
            }
            done => done.map_err(|e| declaration.named(e))?,
        }
    }
    Ok(mount)
}

/// Fills the columns that the store says are pending. Cut short, they stay pending and are filled at the next opening.
async fn fill(mount: &Mount, now: Millis) -> Result<()> {
    let pending = match mount.table.pending_columns().await {
        // They stay pending until the table is opened while the store is there. That it is not, or the table is damaged, was said.
        Err(error) if matches!(error.kind(), ErrorKind::Down | ErrorKind::Corrupt) => {
            return Ok(());
        }
        pending => pending?,
    };
    if pending.is_empty() {
        return Ok(());
    }
    let filled = fill_columns(mount, now).await?;
    mount.table.columns_filled(&pending).await?;
    tracing::info!(target: "restow", repository = mount.name(), filled, "the added columns were filled in");
    Ok(())
}

/// Takes the columns out of every stored body again; returns of how many.
async fn fill_columns(mount: &Mount, now: Millis) -> Result<u64> {
    let everything = Selection::new(Scope::All);
    let mut entries = mount
        .table
        .scan(&everything, Parts::Whole, now)
        .ready_chunks(CHUNK);
    let mut filled = 0;
    while let Some(chunk) = entries.next().await {
        let mut renewals = Vec::with_capacity(chunk.len());
        for entry in chunk {
            let entry = entry?;
            if !entry.meta.head.status().is_success() {
                continue;
            }
            if let Some(columns) = mount.endpoint.inspect(&entry.body).columns {
                let mut meta = entry.meta.clone();
                meta.columns = columns;
                renewals.push(Renewal {
                    id: entry.id.clone(),
                    read: entry.generation,
                    meta,
                });
            }
        }
        // One that changed meanwhile was written with its columns.
        filled += mount.table.renew(&renewals, now).await?;
    }
    Ok(filled)
}
