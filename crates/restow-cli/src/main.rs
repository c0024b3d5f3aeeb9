//! The program restow.
fn main() {}
