//! What goes to stdout: lines for people or JSON for programs, buffered, and with colour only where it is welcome.

use crate::exit::Failure;
use anstyle::{AnsiColor, Style};
use bytesize::ByteSize;
use restow::{Millis, exchange::OutcomeKind};
use serde::Serialize;
use std::{
    fmt,
    io::{self, BufWriter, IsTerminal as _, Stdout, Write as _},
    time::Duration,
};

/// Who reads the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Stdout.
#[derive(Debug)]
pub(crate) struct Out {
    writer: BufWriter<Stdout>,
    format: Format,
    colour: bool,
}

impl Out {
    pub(crate) fn new(format: Format) -> Self {
        let stdout = io::stdout();
        let colour = !matches!(
            anstream::AutoStream::choice(&stdout),
            anstream::ColorChoice::Never
        );
        Self {
            writer: BufWriter::new(stdout),
            format,
            colour,
        }
    }

    /// Tells whether a program reads the output.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        Ok(writeln!(self.writer, "{text}")?)
    }

    /// Writes one JSON object on one line.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.writer, value)?;
        Ok(self.writer.write_all(b"\n")?)
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.writer.write_all(bytes)?)
    }

    /// Tells whether people look at it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.writer.get_ref().is_terminal()
    }

    /// Gives what was written to the reader.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.writer.flush()?)
    }

    /// Paints a text.
    pub(crate) fn paint(&self, text: impl fmt::Display, style: Style) -> String {
        if self.colour {
            format!("{style}{text}{style:#}")
        } else {
            text.to_string()
        }
    }

    /// Paints a heading or a name.
    pub(crate) fn bold(&self, text: impl fmt::Display) -> String {
        self.paint(text, Style::new().bold())
    }

    /// Paints what matters less.
    pub(crate) fn dim(&self, text: impl fmt::Display) -> String {
        self.paint(text, Style::new().dimmed())
    }

    /// Paints an outcome's word, padded.
    pub(crate) fn outcome(&self, kind: OutcomeKind, width: usize) -> String {
        let colour = match kind {
            OutcomeKind::Hit | OutcomeKind::Validated | OutcomeKind::Coalesced => AnsiColor::Green,
            OutcomeKind::Stale(_) => AnsiColor::Yellow,
            OutcomeKind::Refused => AnsiColor::Red,
            _ => AnsiColor::Cyan,
        };
        self.paint(format!("{:width$}", kind.as_strs().0), colour.on_default())
    }

    /// Paints the word of a failure, padded.
    pub(crate) fn failed(&self, word: &str, width: usize) -> String {
        self.paint(format!("{word:width$}"), AnsiColor::Red.on_default())
    }
}

/// Tells whether people look at stderr.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Writes a note for people to stderr.
pub(crate) fn note(text: impl fmt::Display) {
    // Notes are not worth an error where stderr is closed.
    _ = writeln!(anstream::stderr(), "{text}");
}

/// Writes a size for people: `2.1 kB`.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().si().to_string()
}

/// Writes a length of time for people, in its largest unit: `3 days`, `20 ms`.
pub(crate) fn duration(d: Duration) -> String {
    let millis = d.as_millis();
    let seconds = d.as_secs();
    // To the nearest: six days and 23 hours are seven days.
    let nearest = |unit: u64| (seconds + unit / 2) / unit;
    let (count, unit) = match seconds {
        0 => {
            return if millis == 0 {
                format!("{} µs", d.as_micros())
            } else {
                format!("{millis} ms")
            };
        }
        1..10 => return format!("{:.1} s", d.as_secs_f64()),
        10..120 => return format!("{seconds} s"),
        120..7_200 => (nearest(60), "minute"),
        7_200..172_800 => (nearest(3_600), "hour"),
        _ => (nearest(86_400), "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Writes a moment as people say it: `3 days ago`, `in 7 days`, `never`.
pub(crate) fn relative(at: Millis, now: Millis) -> String {
    if at == Millis::MAX {
        "never".to_owned()
    } else if at > now {
        format!("in {}", duration(at.since(now)))
    } else if now.since(at) < Duration::from_secs(1) {
        "now".to_owned()
    } else {
        format!("{} ago", duration(now.since(at)))
    }
}

/// A moment in JSON: ISO 8601, or nothing for never.
pub(crate) fn iso(at: Millis) -> Option<String> {
    (at != Millis::MAX).then(|| at.to_string())
}

/// Rows of text in columns as wide as their widest cell; the last one is not padded.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Columns {
    /// Starts with a heading. A name that begins with `>` is of a column of numbers, aligned to the right.
    pub(crate) fn new(heading: &[&str]) -> Self {
        let right = |name: &&str| name.starts_with('>');
        Self {
            right: heading
                .iter()
                .enumerate()
                .filter(|(_, n)| right(n))
                .map(|(i, _)| i)
                .collect(),
            rows: vec![
                heading
                    .iter()
                    .map(|n| n.trim_start_matches('>').to_owned())
                    .collect(),
            ],
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), Failure> {
        let count = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |i: usize| {
            let cells = self.rows.iter().filter_map(|r| r.get(i));
            cells.map(|c| c.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..count).map(width).collect();
        for (n, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(width - cell.chars().count());
                if self.right.contains(&i) {
                    line.push_str(&padding);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&padding);
                }
                line.push_str("  ");
            }
            let line = line.trim_end();
            let line = if n == 0 {
                out.dim(line)
            } else {
                line.to_owned()
            };
            out.line(line)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_their_largest_unit() {
        for (millis, said) in [
            (20, "20 ms"),
            (1_500, "1.5 s"),
            (61_000, "61 s"),
            (140_000, "2 minutes"),
            (7 * 86_400_000 - 5_000, "7 days"),
            (3 * 3_600_000, "3 hours"),
            (3 * 86_400_000, "3 days"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), said);
        }
        let now = Millis(86_400_000 * 10);
        assert_eq!(relative(Millis(0), now), "10 days ago");
        assert_eq!(
            relative(now.plus(Duration::from_secs(7 * 86_400)), now),
            "in 7 days"
        );
        assert_eq!(relative(Millis::MAX, now), "never");
        assert_eq!(relative(now, now), "now");
    }
}
