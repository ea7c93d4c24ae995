//! What the process of a virtual machine gives up before its guest runs: whoever breaks out of the guest is
//! nobody, on an empty file system, without a network, and with the few system calls that are left
//! ([`filters`](super::filters)).

use std::io;
use std::os::fd::RawFd;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    Scope,
};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, chdir, chroot, pivot_root, setgroups, setresgid, setresuid};

/// A folder that every Linux has, and that a process without a file system has no use for.
const ROOT: &str = "/proc";

/// Descriptors that it has at most: devices have some each.
const DESCRIPTORS: u64 = 256;

/// Why it could not be given up.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// a step
    #[error("{step} failed: {source}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Landlock
    #[error("restricting it by Landlock failed: {0}")]
    Landlock(#[from] landlock::RulesetError),
}

fn failed(step: &'static str) -> impl Fn(nix::Error) -> JailError {
    move |error| JailError::Step { step, source: error.into() }
}

/// Closes all descriptors from this one on, whoever left them open.
///
/// # Errors
///
/// [`JailError`]
pub fn close_from(first: RawFd) -> Result<(), JailError> {
    // SAFETY: nothing of ours is open yet but what is below.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_int::MAX, 0) };
    match (result, io::Error::last_os_error()) {
        (0, _) => Ok(()),
        // Before Linux 5.9 there is no such call.
        (_, error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        (_, source) => Err(JailError::Step { step: "closing what was left open", source }),
    }
}

/// Gives everything up. `user` is nobody else's.
///
/// # Errors
///
/// [`JailError`]; the process is not to go on then.
pub fn enter(user: u32) -> Result<(), JailError> {
    let spaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    unshare(spaces).map_err(failed("leaving the host's namespaces"))?;
    empty_root()?;
    // It cannot be made larger again, by whomever.
    for (resource, most) in [(Resource::RLIMIT_CORE, 0), (Resource::RLIMIT_NOFILE, DESCRIPTORS)] {
        setrlimit(resource, most, most).map_err(failed("setting limits"))?;
    }
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(user));
    setgroups(&[]).map_err(failed("leaving its groups"))?;
    setresgid(group, group, group).map_err(failed("changing its group"))?;
    // Capabilities go with it.
    setresuid(user, user, user).map_err(failed("changing its user"))?;
    nix::sys::prctl::set_no_new_privs().map_err(failed("giving up privileges for good"))?;
    // What this kernel knows of it: on an old one the rest has to do.
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    ruleset
        .handle_access(AccessFs::from_all(ABI::V6))?
        .handle_access(AccessNet::from_all(ABI::V6))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .restrict_self()?;
    Ok(())
}

/// Makes a file system of nothing the only one.
fn empty_root() -> Result<(), JailError> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(failed("making its mounts its own"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    mount(Some("none"), ROOT, Some("tmpfs"), flags, Some("size=4k,mode=0555"))
        .map_err(failed("mounting an empty file system"))?;
    chdir(ROOT).map_err(failed("entering it"))?;
    match pivot_root(".", ".") {
        Ok(()) => {
            umount2(".", MntFlags::MNT_DETACH)
                .map_err(failed("leaving the host's file systems"))?;
        }
        // A host that lives in its initramfs: that can be covered, and not be left. Nobody without
        // capabilities comes back to it.
        Err(Errno::EINVAL) => {
            mount(Some("."), "/", none, MsFlags::MS_MOVE, none)
                .map_err(failed("covering the host's file systems"))?;
            chroot(".").map_err(failed("making it the root"))?;
        }
        Err(error) => return Err(failed("making it the root")(error)),
    }
    chdir("/").map_err(failed("entering its root"))
}
