//! Which system calls each thread of a virtual machine's process has left
//! (Documentation/userspace-api/seccomp_filter.rst).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use kvm_bindings::{
    kvm_clock_data, kvm_debugregs, kvm_irqchip, kvm_lapic_state, kvm_mp_state, kvm_msrs, kvm_regs,
    kvm_sregs, kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Compare,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use serde::{Deserialize, Serialize};

/// What happens to a thread that does something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// The process ends.
    #[default]
    Kill,
    /// The call fails with EPERM; for diagnosis.
    Errno,
    /// The call is made, and the kernel's log has a line of it (`audit: type=1326`); for diagnosis.
    Log,
}

impl Mode {
    /// By its name: `kill`, `errno`, `log`.
    pub fn from_name(name: &str) -> Option<Self> {
        [("kill", Self::Kill), ("errno", Self::Errno), ("log", Self::Log)]
            .into_iter()
            .find_map(|(known, mode)| (known == name).then_some(mode))
    }

    fn action(self) -> SeccompAction {
        match self {
            Self::Kill => SeccompAction::KillProcess,
            Self::Errno => SeccompAction::Errno(libc::EPERM as u32),
            Self::Log => SeccompAction::Log,
        }
    }
}

/// What a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thread {
    /// It waits for the end, and tells what was counted.
    Main,
    /// It runs a virtual CPU.
    Cpu,
    /// It serves devices.
    Devices,
    /// It answers what the machine is asked while it runs, and saves it.
    Control,
}

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// it cannot be made
    #[error("the filter of system calls cannot be made: {0}")]
    Make(#[from] seccompiler::BackendError),
    /// it cannot be installed
    #[error("the filter of system calls cannot be installed: {0}")]
    Install(#[from] seccompiler::Error),
}

/// What all threads do: memory, locks, times, their end.
const ALL: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // What they have open already.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
];

/// What devices do with what they have open, and with their ends outside. A virtual CPU's thread does so where
/// its driver starts a device over.
const DEVICES: &[i64] = &[
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_fdatasync,
    libc::SYS_fallocate,
    libc::SYS_io_uring_enter,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_ctl,
    libc::SYS_getrandom,
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_fcntl,
];

/// Requests of ioctl(2): `KVM_RUN`, and `KVM_GET_REGS` for a last word
/// (include/uapi/linux/kvm.h).
const CPU_REQUESTS: &[u64] = &[0xae80, 0x8090_ae81];
/// Requests that read what a machine is (include/uapi/linux/kvm.h).
const SAVE_REQUESTS: &[u64] = &[
    reads::<kvm_mp_state>(0x98),
    reads::<kvm_regs>(0x81),
    reads::<kvm_sregs>(0x83),
    reads::<kvm_xsave>(0xa4),
    reads::<kvm_xcrs>(0xa6),
    reads::<kvm_debugregs>(0xa1),
    reads::<kvm_lapic_state>(0x8e),
    reads::<kvm_vcpu_events>(0x9f),
    reads::<kvm_clock_data>(0x7c),
    // Of a list, and of a numbered one: they are written to as well.
    WRITES | reads::<kvm_msrs>(0x88),
    WRITES | reads::<kvm_irqchip>(0x62),
    // KVM_GET_TSC_KHZ has no argument.
    0xaea3,
];
const WRITES: u64 = 1 << 30;

/// The number of a request of KVM's that returns a `T` (include/uapi/asm-generic/ioctl.h).
const fn reads<T>(number: u64) -> u64 {
    2 << 30 | (size_of::<T>() as u64) << 16 | 0xae << 8 | number
}
/// `TUNSETOFFLOAD` (include/uapi/linux/if_tun.h), and `FIONBIO`.
const DEVICE_REQUESTS: &[u64] = &[0x4004_54d0, 0x5421];

/// What happens to a process's threads; unset, nothing does.
static MODE: OnceLock<Mode> = OnceLock::new();

/// From here on [`restrict`] works, in this mode. It cannot be changed again.
pub fn switch_on(mode: Mode) {
    MODE.get_or_init(|| mode);
}

/// Leaves this thread what it is for. Does nothing before [`switch_on`].
///
/// # Errors
///
/// [`FilterError`]; the thread is not to go on then.
pub fn restrict(thread: Thread) -> Result<(), FilterError> {
    let Some(mode) = MODE.get() else { return Ok(()) };
    Ok(seccompiler::apply_filter(&program(thread, *mode)?)?)
}

fn program(thread: Thread, mode: Mode) -> Result<BpfProgram, FilterError> {
    let plain = |calls: &[i64]| calls.iter().map(|call| (*call, Vec::new())).collect::<Vec<_>>();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = plain(ALL).into_iter().collect();
    rules.insert(libc::SYS_mmap, vec![without_code()?]);
    rules.insert(libc::SYS_mprotect, vec![without_code()?]);
    let requests = match thread {
        // Where it tells how it is.
        Thread::Main => {
            rules.extend(plain(&[libc::SYS_pwrite64]));
            &[][..]
        }
        Thread::Cpu => &[CPU_REQUESTS, DEVICE_REQUESTS][..],
        Thread::Devices => &[DEVICE_REQUESTS][..],
        Thread::Control => {
            // The signal that brings CPUs out of their guests.
            rules.extend(plain(&[libc::SYS_tgkill]));
            &[SAVE_REQUESTS, DEVICE_REQUESTS][..]
        }
    };
    if thread != Thread::Main {
        rules.extend(plain(DEVICES));
        let rules_of_ioctl = requests.concat().into_iter().map(request);
        rules.insert(libc::SYS_ioctl, rules_of_ioctl.collect::<Result<_, _>>()?);
    }
    let filter =
        SeccompFilter::new(rules, mode.action(), SeccompAction::Allow, TargetArch::x86_64)?;
    Ok(BpfProgram::try_from(filter)?)
}

/// Memory that cannot be run.
fn without_code() -> Result<SeccompRule, FilterError> {
    let executable = libc::PROT_EXEC as u64;
    let condition = SeccompCondition::new(2, Length::Dword, Compare::MaskedEq(executable), 0)?;
    Ok(SeccompRule::new(vec![condition])?)
}

fn request(number: u64) -> Result<SeccompRule, FilterError> {
    let condition = SeccompCondition::new(1, Length::Dword, Compare::Eq, number)?;
    Ok(SeccompRule::new(vec![condition])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `work` in a thread with such a filter, that lets forbidden calls fail.
    fn filtered<T: Send>(thread: Thread, work: impl FnOnce() -> T + Send) -> T {
        let program = program(thread, Mode::Errno).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                nix::sys::prctl::set_no_new_privs().unwrap();
                seccompiler::apply_filter(&program).unwrap();
                work()
            });
            thread.join().unwrap()
        })
    }

    fn last(result: i64) -> i32 {
        if result == -1 { std::io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 }
    }

    #[test]
    fn threads_open_nothing_and_start_nothing() {
        for thread in [Thread::Main, Thread::Cpu, Thread::Devices, Thread::Control] {
            let refused = filtered(thread, || {
                let path = c"/etc/passwd".as_ptr();
                let map = |protection| {
                    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                    // SAFETY: a mapping of nobody's.
                    let map =
                        unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
                    last(if map == libc::MAP_FAILED { -1 } else { 0 })
                };
                // SAFETY: none of them takes memory of ours but a path.
                let calls = unsafe {
                    [
                        last(libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, 0)),
                        last(libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0)),
                        last(libc::syscall(libc::SYS_ftruncate, -1, 0)),
                        last(libc::syscall(libc::SYS_ptrace, 0, 0, 0, 0)),
                        last(libc::syscall(libc::SYS_ioctl, -1, libc::TIOCSTI, 0)),
                        last(libc::syscall(libc::SYS_fork)),
                    ]
                };
                let data = map(libc::PROT_READ | libc::PROT_WRITE);
                (calls, map(libc::PROT_READ | libc::PROT_EXEC), data)
            });
            assert_eq!(refused, ([libc::EPERM; 6], libc::EPERM, 0), "{thread:?}");
        }
    }

    #[test]
    fn each_has_what_it_is_for() {
        let run = || {
            // SAFETY: there is no such descriptor.
            last(unsafe { libc::syscall(libc::SYS_ioctl, -1, 0xae80, 0) })
        };
        assert_eq!(filtered(Thread::Cpu, run), libc::EBADF);
        assert_eq!(filtered(Thread::Devices, run), libc::EPERM);
        let flush = || {
            // SAFETY: there is no such descriptor.
            last(unsafe { libc::syscall(libc::SYS_fdatasync, -1) })
        };
        assert_eq!(filtered(Thread::Devices, flush), libc::EBADF);
        assert_eq!(filtered(Thread::Main, flush), libc::EPERM);
    }
}
