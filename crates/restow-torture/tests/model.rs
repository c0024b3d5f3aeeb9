//! What can be compared and damaged in a moment; `scripts/torture` does more of it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use restow_torture::{
    Plan, Report,
    fuzz::{self, Until},
    model::{self, Backend},
    table,
};
use std::{fs, path::Path};

fn plan() -> Plan {
    Plan {
        program: env!("CARGO_BIN_EXE_restow-torture").into(),
        seed: std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |s| s.parse().unwrap()),
    }
}

fn kept(plan: &Plan, report: &Report) {
    let said = table(std::slice::from_ref(report));
    println!("seed {}\n{said}", plan.seed);
    assert!(report.kept(), "seed {}\n{said}", plan.seed);
}

async fn does_what_a_map_does(backend: Backend, sequences: u32) {
    let plan = plan();
    let report = model::run(&plan, backend, sequences, 50).await;
    kept(&plan, &report.unwrap());
}

#[tokio::test]
async fn a_store_in_memory_does_what_a_map_does() {
    does_what_a_map_does(Backend::Memory, 256).await;
}

#[tokio::test]
async fn a_file_does_what_a_map_does() {
    does_what_a_map_does(Backend::File, 256).await;
}

#[tokio::test]
async fn a_file_behind_memory_does_what_a_map_does() {
    does_what_a_map_does(Backend::Tiered, 256).await;
}

#[tokio::test]
async fn two_caches_on_one_file_do_what_one_map_does() {
    does_what_a_map_does(Backend::Shared, 128).await;
}

#[tokio::test]
async fn a_database_does_what_a_map_does() {
    does_what_a_map_does(Backend::Postgres, 200).await;
}

#[tokio::test]
async fn two_caches_on_one_database_do_what_one_map_does() {
    does_what_a_map_does(Backend::PostgresShared, 100).await;
}

#[test]
fn whatever_bytes_come_nothing_panics_and_nothing_is_read_that_was_not_written() {
    let plan = plan();
    kept(&plan, &fuzz::run(&plan, Until::Inputs(5_000)).unwrap());
}

#[test]
fn every_target_has_a_program_for_a_fuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    let programs = fs::read_dir(folder).unwrap().map(|file| {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let program = fs::read_to_string(&path).unwrap();
        assert!(
            program.contains(&format!("insist(\"{name}\", data)")),
            "{program}"
        );
        name
    });
    let mut programs: Vec<_> = programs.collect();
    programs.sort();
    let mut targets = fuzz::TARGETS.map(|target| target.name);
    targets.sort_unstable();
    assert_eq!(programs, targets);
}
