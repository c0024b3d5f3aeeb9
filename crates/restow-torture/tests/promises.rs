//! Each promise for as long as a change can wait; `scripts/torture` takes longer.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use restow_torture::{
    Extent, Plan, Report, crash, damage, full, power, processes, snapshot, table,
};
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

#[tokio::test]
async fn a_power_loss_leaves_a_prefix_of_what_was_committed() {
    kept(&power::run(&plan(), Extent::Sample).await.unwrap());
}

#[tokio::test]
async fn a_damaged_file_is_an_error_of_its_kind_or_a_miss_and_never_a_wrong_answer() {
    kept(&damage::run(&plan(), Extent::Sample).await.unwrap());
}

#[tokio::test]
async fn a_slow_reader_does_not_hold_back_the_log() {
    kept(&snapshot::run(&plan(), Duration::ZERO).await.unwrap());
}

#[tokio::test]
async fn a_full_disk_costs_nothing_but_the_saves_that_do_not_fit() {
    kept(&full::run(&plan(), Extent::Sample).await.unwrap());
}
