//! Benches of restow.
fn main() {}
