//! The most memory of a process that streams a large store.

use crate::{
    Outcome, api, fill,
    large::Large,
    measure::Figure,
    report::{Report, Row, Target},
};
use futures_util::TryStreamExt;
use restow::Scope;
use std::process::Command;

const WORK: &str = "resident memory while a large store is streamed";

pub(crate) async fn run(large: &mut Large, report: &mut Report) -> Outcome {
    if !report.wants(WORK) {
        return Ok(());
    }
    let url = fill::sqlite(&large.path().await?);
    // A process of its own: this one holds other stores.
    let child = Command::new(std::env::current_exe()?)
        .args(["stream", &url])
        .output()?;
    if !child.status.success() {
        let why = String::from_utf8_lossy(&child.stderr).into_owned();
        return Err(why.into());
    }
    let told: serde_json::Value = serde_json::from_slice(&child.stdout)?;
    let number = |name: &str| told.get(name).and_then(serde_json::Value::as_f64);
    if number("entries") != Some(large.entries as f64) {
        return Err(format!("{told} is not the whole store").into());
    }
    let kibibytes = number("peak_kib").ok_or("the kernel tells no peak")?;
    let row = Row::new(WORK, Figure::once("", kibibytes / 1024.0), "MiB");
    report.add(row.target(Target::Within(64.0)));
    Ok(())
}

/// Streams everything, and prints how much it was and the most memory that was resident, program and libraries included.
pub(crate) async fn stream(url: &str) -> Outcome {
    let items = fill::cache(url)
        .await?
        .create_repository(api::items()?)
        .await?;
    let entries = items
        .stream(Scope::Live)
        .try_fold(0, |n, (_, body)| async move {
            Ok(n + usize::from(!body.is_empty()))
        })
        .await?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok());
    println!(
        "{}",
        serde_json::json!({ "entries": entries, "peak_kib": peak })
    );
    Ok(())
}
