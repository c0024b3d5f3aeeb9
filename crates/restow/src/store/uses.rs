//! When a use of an entry is worth a note: in samples, never by a write per read.

use crate::Millis;
use std::time::Duration;

/// A use is noted where the last one noted is older than this, and what is used least is removed for a budget.
const SAMPLE: Duration = Duration::from_secs(600);
/// The same where nothing is removed for its use: a note costs a write, and only people ask for it.
const SELDOM: Duration = Duration::from_secs(7 * 86_400);

/// Tells whether a use now is worth a note.
pub(crate) fn is_use_due(last: Millis, now: Millis, budgeted: bool) -> bool {
    now.since(last) >= if budgeted { SAMPLE } else { SELDOM }
}
