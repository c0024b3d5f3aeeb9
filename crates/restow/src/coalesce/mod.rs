//! One flight per key: whoever comes first leads, the others wait for what the leader brings.

mod failing;
mod flights;
mod sync;
#[cfg(test)]
mod tests;

pub(crate) use failing::{Failing, Outage};
pub(crate) use flights::{Flight, Flights, Leader, Passenger, Seat};
