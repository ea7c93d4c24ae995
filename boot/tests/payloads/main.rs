//! Programs of a few instructions in a virtual machine: what the machine does with memory, ports, registers,
//! events, interrupts and a second CPU. A KVM that cannot run kernels can run these.
//!
//! Where there is no KVM, every test says SKIP and why; none passes.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where something does not work")]

mod bench;
mod code;
mod tests;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = bench::missing();
    let trial = |(name, test): &(&'static str, fn())| {
        let test = *test;
        let trial = Trial::test(*name, move || {
            test();
            Ok(())
        });
        match &missing {
            Some(why) => trial.with_kind(format!("SKIP: {why}")).with_ignored_flag(true),
            None => trial,
        }
    };
    let trials = tests::ALL.iter().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
