//! What holds for every input: any bytes in any header, and any reading of the clock.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests are not seen as tests by the lint"
)]

mod each;
mod entries;
mod made;
mod whole;
