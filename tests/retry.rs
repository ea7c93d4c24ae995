//! Running a scenario again where QEMU, not the scenario, went wrong.
//!
//! Multi-threaded TCG can execute a stale breakpoint while a kernel patches its own code. That has a
//! signature that nothing of ours has ([`rig::flake`]); a scenario that fails with it on the server's
//! console, or in the log of a partition, runs again, at most twice, and says so. Any other failure is one.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

/// Evidence of stale breakpoints, from the consoles of servers that went down with their scenario.
static EVIDENCE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How often a scenario may be run again.
const AGAIN: usize = 2;

/// Runs a scenario.
pub fn scenario(run: impl Fn()) {
    for attempt in 0..=AGAIN {
        take_evidence();
        let Err(panic) = catch_unwind(AssertUnwindSafe(&run)) else { return };
        match take_evidence() {
            Some(evidence) if attempt < AGAIN => {
                println!(
                    "stale breakpoint in QEMU, run {} of {}: {evidence}",
                    attempt + 1,
                    AGAIN + 1
                );
            }
            _ => resume_unwind(panic),
        }
    }
}

/// Looks for the signature on the console of a server whose scenario failed.
pub fn examine(console: &str) {
    if let Some(evidence) = rig::flake::is_stale_breakpoint(console) {
        EVIDENCE.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{evidence:?}"));
    }
}

fn take_evidence() -> Option<String> {
    let mut evidence = EVIDENCE.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *evidence).pop()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_failure_without_the_signature_is_a_failure_at_once() {
        let runs = Cell::new(0);
        let result = catch_unwind(AssertUnwindSafe(|| {
            scenario(|| {
                runs.set(runs.get() + 1);
                panic!("not QEMU's fault");
            });
        }));
        assert!(result.is_err());
        assert_eq!(runs.get(), 1);
    }
}
