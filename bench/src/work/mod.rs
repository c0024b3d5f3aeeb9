//! The works, one a file, in the order of the table.

#[cfg(feature = "allocations")]
mod allocations;
mod breaker;
mod client_hit;
mod compressed;
mod file_size;
mod get;
mod get_many;
mod grown;
mod growth;
mod hot;
pub(crate) mod memory;
mod networked;
mod open;
mod outage;
pub(crate) mod processes;
mod purge;
mod python;
mod redb;
mod router;
mod save;
mod save_many;
mod servers;
mod stream;

pub(crate) use servers::NETWORKED;

use crate::{Size, large::Large, report::Report};

/// Measures what is wanted. Where a work fails, the others go on.
pub(crate) async fn all(size: Size, report: &mut Report) {
    let done = get::run(size, report).await;
    report.ended("get", done);
    let done = hot::run(size, report).await;
    report.ended("hit of two cores at once", done);
    let done = get_many::run(size, report).await;
    report.ended("get_many", done);
    let done = save_many::run(size, report).await;
    report.ended("save_many", done);
    let done = stream::run(size, report).await;
    report.ended("stream", done);
    let done = save::run(size, report).await;
    report.ended("save", done);
    let done = Box::pin(client_hit::run(size, report)).await;
    report.ended("client hit", done);
    let done = python::run(size, report).await;
    report.ended("aiorequestful", done);
    let done = file_size::run(size, report).await;
    report.ended("file size", done);
    let done = compressed::run(size, report).await;
    report.ended("compression", done);
    let mut large = Large::new(size.large);
    let done = growth::run(size, &mut large, report).await;
    report.ended("client hit among many entries", done);
    let done = open::run(size, &mut large, report).await;
    report.ended("open", done);
    let done = memory::run(&mut large, report).await;
    report.ended("resident memory", done);
    // The last on the large store: it leaves half of it.
    let done = Box::pin(purge::run(size, &mut large, report)).await;
    report.ended("purge", done);
    drop(large);
    let done = redb::run(size, report).await;
    report.ended("redb", done);
    let done = Box::pin(networked::run(size, report)).await;
    report.ended("networked", done);
    let done = Box::pin(breaker::run(size, report)).await;
    report.ended("a store that stands still", done);
    let done = outage::run(size, report).await;
    report.ended("a store that is killed", done);
    let done = processes::run(size, report).await;
    report.ended("processes that want the same", done);
    let done = router::run(size, report).await;
    report.ended("router", done);
}
