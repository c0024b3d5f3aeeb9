//! Panics of tasks that nobody waits for.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts panics of whatever task from now on.
pub(crate) fn panics() -> impl Fn() -> usize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |why| {
        PANICS.fetch_add(1, Relaxed);
        usual(why);
    }));
    || PANICS.load(Relaxed)
}
