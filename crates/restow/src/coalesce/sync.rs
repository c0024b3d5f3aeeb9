//! The lock of the flights. `tests/schedules.rs` has another one in its place, which lets a test choose who comes first.

pub(super) use std::sync::{Mutex, MutexGuard};
