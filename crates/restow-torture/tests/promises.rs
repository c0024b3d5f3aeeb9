//! Each promise for as long as a change can wait; `scripts/torture` takes longer.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use restow_torture::{Plan, Report, crash, processes, table};
use std::time::Duration;

fn plan() -> Plan {
    Plan {
        program: env!("CARGO_BIN_EXE_restow-torture").into(),
        seed: std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |s| s.parse().unwrap()),
    }
}

fn kept(report: &Report) {
    let said = table(std::slice::from_ref(report));
    println!("{said}");
    assert!(report.kept(), "{said}");
}

#[tokio::test]
async fn what_was_saved_survives_a_kill() {
    kept(&crash::run(&plan(), 30).await.unwrap());
}

#[tokio::test]
async fn processes_on_one_file_neither_fail_nor_lose_anything() {
    kept(
        &processes::run(&plan(), 2, Duration::from_secs(5))
            .await
            .unwrap(),
    );
    kept(
        &processes::run(&plan(), 4, Duration::from_secs(5))
            .await
            .unwrap(),
    );
}
