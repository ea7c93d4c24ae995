//! PID 1 of a partition.
fn main() {}
