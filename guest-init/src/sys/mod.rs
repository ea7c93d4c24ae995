//! Everything that talks to the kernel, and all of this crate's `unsafe`.

pub mod files;
pub mod identity;
pub mod kmsg;
pub mod machine;
pub mod modules;
pub mod mounts;
pub mod namespace;
pub mod poll;
pub mod power;
pub mod process;
pub mod terminal;

use std::io;

/// The error of a system call that answers -1.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
