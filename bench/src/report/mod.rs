//! What is printed: a table for people, a line for programs, a page to keep.

mod machine;
mod row;

pub(crate) use row::{Row, Target};

use crate::Outcome;
use std::fmt::Write;

/// Collects what was measured, and prints it at once.
#[derive(Debug)]
pub(crate) struct Report {
    only: String,
    json: bool,
    quick: bool,
    rows: Vec<Row>,
    notes: Vec<String>,
    failed: usize,
}

const LEGEND: &str = "\
Where the target is `>=`, the ratio says how many times as fast ours is as the reference; where it is `<=`, how many times as much ours
costs, and where there is no reference the target bounds our own figure. A row without a target is for information, and its ratio is a speed.
Figures are medians; the least and the most of the rounds follow where they lie more than a fifth of the median apart.";

impl Report {
    pub(crate) fn new(only: String, json: bool, quick: bool) -> Self {
        if !json {
            if quick {
                println!("quick: this shows that everything runs; the figures mean nothing\n");
            }
            println!("{LEGEND}\n\n{}", Row::HEAD);
        }
        Self {
            only,
            json,
            quick,
            rows: Vec::new(),
            notes: Vec::new(),
            failed: 0,
        }
    }

    /// Tells whether a work is wanted.
    pub(crate) fn wants(&self, work: &str) -> bool {
        work.contains(&self.only)
    }

    /// Tells whether any of these works is wanted.
    pub(crate) fn wants_any(&self, works: &[&str]) -> bool {
        works.iter().any(|work| self.wants(work))
    }

    /// Adds a row where its work is wanted.
    pub(crate) fn add(&mut self, mut row: Row) {
        if !self.wants(&row.work) {
            return;
        }
        row.judged = !self.quick;
        if self.json {
            println!("{}", row.json());
        } else {
            println!("{row}");
        }
        self.rows.push(row);
    }

    /// Adds what a reader of the table has to know, or why something was not measured.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        eprintln!("note: {text}");
        self.notes.push(text);
    }

    /// Notes how a work ended; its other rows are there all the same.
    pub(crate) fn ended(&mut self, work: &str, done: Outcome) {
        if let Err(why) = done {
            self.failed += 1;
            self.note(format!("{work} was not measured to its end: {why}"));
        }
    }

    /// # Errors
    /// Where a work failed, or none was wanted.
    pub(crate) fn close(&self) -> Outcome {
        match self.failed {
            0 if self.rows.is_empty() && self.notes.is_empty() => {
                Err(format!("no work has {:?} in its name", self.only).into())
            }
            0 => Ok(()),
            n => Err(format!("{n} works failed; the notes above say why").into()),
        }
    }

    /// The page to keep beside the code, before what other commands wrote there, each behind a comment of its own.
    pub(crate) fn page_before(&self, beside: &str) -> String {
        let mut page = String::from(
            "# Results\n\nContenders take turns, round by round; `bench/README.md` says what each work is.\n\n",
        );
        page += &self.measured();
        if let Some(others) = beside.find("<!-- ").and_then(|at| beside.get(at..)) {
            page = format!("{}\n\n{others}", page.trim_end());
        }
        page
    }

    /// The same page with this section as it was measured now, where it was or at the end.
    pub(crate) fn section_in(&self, page: &str, name: &str) -> String {
        let (begin, end) = (
            format!("<!-- {name}: begin -->"),
            format!("<!-- {name}: end -->"),
        );
        let section = format!(
            "{begin}\n## Stores on a network\n\nEach server on this machine, behind the breaker, as a URL opens it.\n\n{}{end}",
            self.measured()
        );
        let around = page.split_once(&begin).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(&end)?;
            Some((before, after))
        });
        match around {
            Some((before, after)) => format!("{before}{section}{after}"),
            None => format!("{}\n\n{section}\n", page.trim_end()),
        }
    }

    /// How it was measured, the table, and the notes.
    fn measured(&self) -> String {
        let mut page = String::new();
        let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        _ = writeln!(
            page,
            "- Command: `cargo run --release -p restow-bench -- {command}`"
        );
        _ = writeln!(page, "- Machine: {}", machine::describe());
        _ = writeln!(
            page,
            "- Date: {}",
            jiff::Timestamp::now().strftime("%Y-%m-%d")
        );
        let judged = self.rows.iter().filter_map(Row::holds);
        let (hold, all) = judged.fold((0, 0), |(hold, all), h| (hold + u32::from(h), all + 1));
        _ = writeln!(page, "- Targets that hold: {hold} of {all}");
        _ = writeln!(page, "\n{LEGEND}\n\n{}", Row::HEAD);
        for row in &self.rows {
            _ = writeln!(page, "{row}");
        }
        if !self.notes.is_empty() {
            page.push_str("\nNotes:\n\n");
        }
        for note in &self.notes {
            _ = writeln!(page, "- {note}");
        }
        page
    }
}
