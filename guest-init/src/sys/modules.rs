//! Loading kernel modules.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Loads one module file, without parameters. One that is there already is no error.
///
/// # Errors
///
/// What open(2) and finit_module(2) say.
pub fn load(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    // SAFETY: a descriptor, a C string and flags, as finit_module(2) takes them.
    let result =
        unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::EEXIST) { Ok(()) } else { Err(error) }
}
