//! The file beside what is in it.

use crate::{
    Outcome, Size, api, fill,
    measure::Figure,
    report::{Report, Row, Target},
};
use std::path::Path;

const WORK: &str = "file size, heads and bodies as they came";

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    if !report.wants(WORK) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("bench.db");
    let cache = fill::cache(&fill::sqlite(&path)).await?;
    cache.create_repository(api::items()?).await?;
    fill::answers(&cache, 0..size.entries).await?;
    cache.close().await?;
    let row = Row::new(WORK, Figure::once("", megabytes(&path)?), "MB");
    let row = row.beside(sent(size.entries));
    report.add(row.target(Target::AtMost(1.25)));
    Ok(())
}

/// The header lines and bodies of the first answers, as they were sent.
pub(super) fn sent(entries: usize) -> Figure {
    let bytes: usize = (0..entries)
        .map(|i| api::sent_bytes(&api::response(i)))
        .sum();
    Figure::once("head + body", bytes as f64 / 1e6)
}

/// A database with what belongs to it.
pub(super) fn megabytes(path: &Path) -> Outcome<f64> {
    let mut bytes = std::fs::metadata(path)?.len();
    for suffix in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        bytes += std::fs::metadata(beside).map_or(0, |m| m.len());
    }
    Ok(bytes as f64 / 1e6)
}
