//! A cache, through its public interface, on every store of this build.

mod backfill;
mod build;
mod end;
mod open;
mod requests;
mod stored;
mod support;
