//! A repository, through its public interface, on every store of this build.

mod lifetime;
mod read;
mod select;
mod support;
mod users;
mod write;
