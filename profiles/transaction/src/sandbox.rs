//! The process that writes is a child that can do nothing else.
//!
//! [`Confined`] is a [`Store`](crate::store::Store) that starts this program again with a hidden argument
//! and hands it, over a pipe, the list of files of the plan. The child opens them, gives up everything
//! else (Landlock: only these files can be opened; seccomp: a short list of system calls), and then reads
//! and writes what it is asked to, by number. The journal stays with the parent.
//!
//! It is started anew rather than forked: a fork of a process with several threads may use almost nothing
//! of the C library, and shares the parent's memory.
//!
//! A main begins with this:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     if let Some(code) = transaction::sandbox::run_if_asked() {
//!         return code;
//!     }
//!     // …
//!     std::process::ExitCode::SUCCESS
//! }
//! ```

mod beside;
mod child;
mod holder;
mod landlock;
mod message;
mod parent;
mod seccomp;

pub use beside::Beside;
pub use parent::{Confined, Launch};

use std::process::ExitCode;

/// The argument by which a program knows that it is the child.
pub const HIDDEN_ARGUMENT: &str = "--confined-writer";

/// The arguments by which a program knows that it is to start somebody who holds a device file open, and
/// that it is the one.
pub(crate) const HOLD: &str = "--hold-device";
const HOLD_ON: &str = "--hold-device-on";

/// Does the child's work, if this process was started for that; then main is to return this.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next()?;
    match first.to_str()? {
        HIDDEN_ARGUMENT => arguments.next().is_none().then(child::run),
        HOLD => Some(holder::start(arguments)),
        HOLD_ON => Some(holder::run(arguments)),
        _ => None,
    }
}
