//! The program, run as a user runs it: what it writes, what it keeps, and how it ends.

mod access_log;
mod demo;
mod doctor;
mod documented;
#[cfg(unix)]
mod ending;
mod everything;
mod explain;
mod fetch;
mod held;
#[cfg(target_os = "linux")]
mod memory;
mod migrate;
mod moving;
#[cfg(target_os = "linux")]
mod moving_networked;
#[cfg(target_os = "linux")]
mod postgres;
mod principals;
mod proxy;
#[cfg(unix)]
mod redis;
mod refresh;
mod reload;
mod running;
mod secrets;
mod secure;
mod sql;
mod support;
mod unfit;
mod usage;
