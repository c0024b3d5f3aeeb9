//! What is printed: a table for people, a line for programs, a page to keep.

use crate::measure::Time;
use std::fmt::Write;

/// Collects what was measured.
#[derive(Debug)]
pub(crate) struct Report {
    only: String,
    json: bool,
    lines: Vec<String>,
}

const HEAD: &str = "| work | ours | reference | ratio |\n|---|---:|---:|---:|";

impl Report {
    pub(crate) fn new(only: &str, json: bool) -> Self {
        if !json {
            println!("{HEAD}");
        }
        Self {
            only: only.to_owned(),
            json,
            lines: Vec::new(),
        }
    }

    /// Tells whether a work is wanted.
    pub(crate) fn wants(&self, work: &str) -> bool {
        work.contains(&self.only)
    }

    /// Reports every contender beside the last one, which is the reference. The ratio says how many times as long ours takes.
    pub(crate) fn add(&mut self, work: &str, times: &[Time]) {
        let Some((reference, ours)) = times.split_last() else {
            return;
        };
        for time in ours {
            let name = format!("{work}: {}", time.name);
            self.line(
                &name,
                time.nanos / 1e3,
                &format!("{}: ", reference.name),
                reference.nanos / 1e3,
                "us",
            );
        }
    }

    /// Reports a number that has no reference.
    pub(crate) fn number(&mut self, work: &str, value: f64, unit: &str) {
        let line = if self.json {
            serde_json::json!({ "work": work, "ours": value, "unit": unit }).to_string()
        } else {
            format!("| {work} | {value:.2} {unit} | | |")
        };
        println!("{line}");
        self.lines.push(line);
    }

    fn line(&mut self, work: &str, ours: f64, what: &str, reference: f64, unit: &str) {
        let ratio = ours / reference;
        let line = if self.json {
            serde_json::json!({ "work": work, "ours": ours, "reference": reference, "ratio": ratio, "unit": unit }).to_string()
        } else {
            format!("| {work} | {ours:.2} {unit} | {what}{reference:.2} {unit} | {ratio:.2} |")
        };
        println!("{line}");
        self.lines.push(line);
    }

    pub(crate) fn close(&self) {
        if self.lines.is_empty() {
            eprintln!("no work has {:?} in its name", self.only);
        }
    }

    /// The page to keep beside the code.
    pub(crate) fn page(&self) -> String {
        let mut page = String::from(
            "# Results\n\nMedians of rounds in which the contenders take turns; `bench/README.md` says what each work is.\n\n",
        );
        let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        _ = writeln!(
            page,
            "- Command: `cargo run --release -p restow-bench -- {command}`"
        );
        _ = writeln!(page, "- Machine: {}", machine());
        _ = writeln!(
            page,
            "- Date: {}\n\n{HEAD}",
            jiff::Timestamp::now().strftime("%Y-%m-%d")
        );
        for line in &self.lines {
            _ = writeln!(page, "{line}");
        }
        page
    }
}

/// Processor, cores and kernel: what a reader has to know, and no name of a host.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("unknown processor", |l| {
            l.trim_start_matches(['\t', ' ', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{model}, {cores} cores, Linux {}",
        read("/proc/sys/kernel/osrelease").trim()
    )
}
