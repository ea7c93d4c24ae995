//! `partitiond`: the command.
fn main() {}
