//! seccomp: from here on only these system calls (`Documentation/userspace-api/seccomp_filter.rst`).

#![allow(unsafe_code)]

use std::io;

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, c_long, sock_filter,
    sock_fprog,
};

/// `AUDIT_ARCH_X86_64` (include/uapi/linux/audit.h).
const X86_64: u32 = 0xc000_003e;
/// Numbers from here on are the x32 ABI's (arch/x86/include/uapi/asm/unistd.h).
const X32: u32 = 0x4000_0000;
/// `struct seccomp_data`: where the number of the call and the architecture are, in bytes.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;

/// Everything that the child does from here on. There is no way to make a process, a socket or a file
/// among it, and the only way to open one is openat2, which Landlock and `Files` bound.
const ALLOWED: [c_long; 27] = [
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fcntl,
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    // The standard library's locks, times, random seeds and end.
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_restart_syscall,
    libc::SYS_gettid,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Gives up all other system calls, for all threads of the process: they fail with EPERM.
pub(super) fn restrict() -> io::Result<()> {
    install(libc::SECCOMP_FILTER_FLAG_TSYNC)
}

fn install(flags: libc::c_ulong) -> io::Result<()> {
    let mut program = program();
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let filter = sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: the program and its description live through the call, and the length is the program's.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter)
    };
    match result {
        0 => Ok(()),
        thread if thread > 0 => Err(io::Error::other("another thread has a filter of its own")),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The filter, which the kernel runs for each system call.
fn program() -> Vec<sock_filter> {
    let load = |at| statement(BPF_LD | BPF_W | BPF_ABS, at);
    let give = |what| statement(BPF_RET | BPF_K, what);
    let mut program = vec![
        load(ARCHITECTURE_AT),
        jump(BPF_JEQ, X86_64, 1, 0),
        give(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER_AT),
        jump(BPF_JGE, X32, 0, 1),
        give(libc::SECCOMP_RET_KILL_PROCESS),
    ];
    for number in ALLOWED {
        // All of them are below 500.
        program.push(jump(BPF_JEQ, number.unsigned_abs() as u32, 0, 1));
        program.push(give(libc::SECCOMP_RET_ALLOW));
    }
    program.push(give(libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()));
    program
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Skips `then` statements if it is so, else `otherwise`.
fn jump(test: u32, k: u32, then: u8, otherwise: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | test | BPF_K) as u16, jt: then, jf: otherwise, k }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::UdpSocket;
    use std::process::Command;

    use nix::fcntl::{OFlag, OpenHow, openat2};

    use super::*;

    #[test]
    fn only_what_the_child_does_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "old").unwrap();
        let own = nix::unistd::Pid::this();
        let (opened, denied) = std::thread::spawn(move || {
            nix::sys::prctl::set_no_new_privs().unwrap();
            // This thread only: the other tests go on.
            install(0).unwrap();
            let how = OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC);
            let opened = openat2(nix::fcntl::AT_FDCWD, &path, how).is_ok();
            let denied = [
                File::open(&path).err(),
                UdpSocket::bind("127.0.0.1:0").err(),
                Command::new("/bin/true").spawn().err(),
                std::fs::remove_file(&path).err(),
                nix::unistd::setuid(nix::unistd::Uid::from_raw(0)).err().map(io::Error::from),
                nix::sys::signal::kill(own, None).err().map(io::Error::from),
            ];
            (opened, denied.map(|error| error.and_then(|error| error.raw_os_error())))
        })
        .join()
        .unwrap();
        assert!(opened);
        assert_eq!(denied, [Some(libc::EPERM); 6]);
    }
}
