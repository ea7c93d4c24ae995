//! Settings of the whole partition and of guest-init itself.

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use protocol::SharedMemory;
use protocol::mailbox::SIZE;

use super::check;

/// `uname -r`; empty where the kernel does not say.
pub fn kernel_release() -> String {
    super::files::read_or_empty("/proc/sys/kernel/osrelease").trim_end().to_owned()
}

/// CPUs online.
pub fn cpus() -> u32 {
    // SAFETY: takes a number, gives a number.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(count).unwrap_or(0)
}

/// Whether this process is PID 1.
pub fn is_init() -> bool {
    std::process::id() == 1
}

/// The host name; empty where the kernel does not say.
pub fn hostname() -> String {
    super::files::read_or_empty("/proc/sys/kernel/hostname").trim_end().to_owned()
}

/// Sets the host name.
///
/// # Errors
///
/// What sethostname(2) says.
pub fn set_hostname(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length are those of one string.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })?;
    Ok(())
}

/// Brings the loopback interface up; the kernel gives it its addresses.
///
/// # Errors
///
/// What socket(2) and ioctl(2) say.
pub fn bring_up_loopback() -> io::Result<()> {
    // SAFETY: takes numbers, gives a descriptor.
    let fd =
        check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: just opened, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: `ifreq` is plain data for which zeros are valid.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (into, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *into = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which lives through the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) })?;
    Ok(())
}

/// Maps the mailbox, write-back.
///
/// # Errors
///
/// What open(2) and mmap(2) of `/dev/mem` say.
pub fn map_mailbox(address: u64) -> io::Result<SharedMemory> {
    // Without O_SYNC, which would make the mapping uncached.
    let file = File::options().read(true).write(true).open("/dev/mem")?;
    SharedMemory::map_file(&file, address, SIZE)
}

/// Makes guest-init run whatever the programs do: SCHED_RR at the lowest real-time priority, which
/// children do not inherit.
///
/// A nice value of -20 would not do: among thousands of runnable processes of a fork bomb its share
/// still is a few percent and its latency seconds. The priority is the lowest so that any real-time
/// workload goes before it.
///
/// # Errors
///
/// What sched_setscheduler(2) says.
pub fn schedule_before_programs() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: reads one `sched_param`, which lives through the call.
    check(unsafe { libc::sched_setscheduler(0, policy, &parameters) })?;
    Ok(())
}

/// Lets sleeps end when they are to end, not up to 50 µs later.
pub fn precise_sleeps() {
    let nanoseconds: libc::c_ulong = 1;
    // SAFETY: takes numbers only. It can only fail for a kernel that does not know it.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanoseconds) };
}

/// Keeps the OOM killer away from guest-init.
///
/// # Errors
///
/// What writing the file says.
pub fn spare_from_oom() -> io::Result<()> {
    std::fs::write("/proc/self/oom_score_adj", "-1000")
}

/// Points standard input, output and error at `/dev/console`, else at `/dev/null`.
pub fn open_standard_streams() {
    let file = ["/dev/console", "/dev/null"]
        .iter()
        .find_map(|path| File::options().read(true).write(true).open(path).ok());
    if let Some(file) = file {
        for target in 0..=2 {
            // SAFETY: makes 0, 1, 2 copies of an open descriptor; they belong to nobody in particular.
            unsafe { libc::dup2(file.as_raw_fd(), target) };
        }
        if file.as_raw_fd() <= 2 {
            // It is one of the three itself, and must stay open.
            mem::forget(file);
        }
    }
}
