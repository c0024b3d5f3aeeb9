//! A bar for what takes long, where people look on.

use crate::{
    cli::Global,
    output::{Out, stderr_is_terminal},
};
use indicatif::{ProgressBar, ProgressStyle};

/// Makes a bar of so many steps; one that nobody sees where nobody looks on. Without a number it counts.
pub(crate) fn bar(global: &Global, out: &Out, steps: Option<u64>) -> ProgressBar {
    if global.quiet || out.is_json() || !stderr_is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match steps {
        Some(steps) => (
            ProgressBar::new(steps),
            "{msg} {wide_bar} {pos}/{len} {eta}",
        ),
        None => (
            ProgressBar::no_length(),
            "{spinner} {pos} {msg} ({per_sec})",
        ),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
