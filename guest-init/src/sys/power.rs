//! Stopping the kernel.

use protocol::Stop;

/// Writes everything to disk that is not there yet.
pub fn sync() {
    // SAFETY: takes and gives nothing.
    unsafe { libc::sync() };
}

/// Stops the kernel. Returns only where the kernel refuses.
pub fn stop(stop: Stop) -> std::io::Error {
    let how = match stop {
        Stop::PowerOff => libc::RB_POWER_OFF,
        Stop::Reboot => libc::RB_AUTOBOOT,
    };
    // SAFETY: takes a number. This process ends with the kernel.
    unsafe { libc::reboot(how) };
    std::io::Error::last_os_error()
}
