//! Whether a `/dev/kvm` can really run a kernel, found out by trying.
//!
//! Some machines offer a KVM that emulates in software what a CPU would do: it answers every request and
//! runs small programs, but stops at instructions that every distribution kernel is full of, and shows
//! guests the CPU's own features whatever they were given. A kernel on it hangs or dies somewhere in its first second.
//! So a few such instructions are run, each in a virtual machine of two mebibytes, and what they come to is looked at.

mod checks;
mod guest;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::IntoRawFd as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use kvm_ioctls::{Cap, Kvm};
use vmm_sys_util::signal::{Killable as _, SIGRTMIN, register_signal_handler};

pub use checks::Finding;

/// The version of the interface, since Linux 2.6.22 (Documentation/virt/kvm/api.rst, 4.1).
const API_VERSION: i32 = 12;

/// What it takes, and its name in Documentation/virt/kvm/api.rst.
const CAPABILITIES: [(Cap, &str); 9] = [
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
    (Cap::Irqchip, "KVM_CAP_IRQCHIP"),
    (Cap::Irqfd, "KVM_CAP_IRQFD"),
    (Cap::Ioeventfd, "KVM_CAP_IOEVENTFD"),
    (Cap::ExtCpuid, "KVM_CAP_EXT_CPUID"),
    (Cap::MpState, "KVM_CAP_MP_STATE"),
    (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
    (Cap::TscDeadlineTimer, "KVM_CAP_TSC_DEADLINE_TIMER"),
    (Cap::SetTssAddr, "KVM_CAP_SET_TSS_ADDR"),
];

/// How long all of it may take. It takes some milliseconds, and more on a machine that is busy with other things.
pub const LIMIT: Duration = Duration::from_secs(1);
/// How long a virtual CPU may take to stop when it is told to.
const STOPPING: Duration = Duration::from_secs(1);

/// Why a KVM is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// there is none, or it is not for us
    #[error("{path} cannot be opened: {source}")]
    Open {
        /// Which device.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// another interface
    #[error("its interface has version {0}, not {API_VERSION}")]
    Version(i32),
    /// too little
    #[error("it lacks {}", .0.join(", "))]
    Lacks(Vec<&'static str>),
    /// a request fails
    #[error("it refuses {request}: {source}")]
    Refuses {
        /// The request's name in Documentation/virt/kvm/api.rst.
        request: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// it only looks like one
    #[error("it only pretends to be one: {}", Listed(.0))]
    Pretends(Vec<Finding>),
    /// it does not stop
    #[error("a program of a few instructions was not done in {} ms", .0.as_millis())]
    Slow(Duration),
    /// no thread for it
    #[error("it cannot be tried: {0}")]
    NotTried(io::Error),
}

struct Listed<'a>(&'a [Finding]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, finding) in self.0.iter().enumerate() {
            write!(f, "{}{finding}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// Tries the KVM at `path`, as a rule `/dev/kvm`. Takes no longer than [`LIMIT`], if its virtual CPUs stop when they
/// are told to. Installs a handler for the first real-time signal, which does nothing.
///
/// # Errors
///
/// [`Unusable`]
pub fn try_kvm(path: &Path) -> Result<(), Unusable> {
    let file = File::options().read(true).write(true).open(path);
    let file =
        file.map_err(|source| Unusable::Open { path: path.display().to_string(), source })?;
    // SAFETY: the descriptor was just opened and is given away here.
    let kvm = unsafe { kvm_of(file) };
    let version = kvm.get_api_version();
    if version != API_VERSION {
        return Err(Unusable::Version(version));
    }
    let lacking = CAPABILITIES.iter().filter(|(capability, _)| !kvm.check_extension(*capability));
    let lacking: Vec<_> = lacking.map(|(_, name)| *name).collect();
    if !lacking.is_empty() {
        return Err(Unusable::Lacks(lacking));
    }
    within(LIMIT, move |over| checks::run(&kvm, over))
}

/// # Safety
///
/// As for any descriptor that is taken: nobody else may close it.
unsafe fn kvm_of(file: File) -> Kvm {
    use std::os::fd::FromRawFd as _;
    // SAFETY: as above.
    unsafe { Kvm::from_raw_fd(file.into_raw_fd()) }
}

/// Runs `work` on a thread of its own. When the time is over it is told so, and whatever virtual CPU runs
/// there is interrupted.
fn within(
    limit: Duration,
    work: impl FnOnce(&AtomicBool) -> Result<(), Unusable> + Send + 'static,
) -> Result<(), Unusable> {
    extern "C" fn nothing(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}
    let over = Arc::new(AtomicBool::new(false));
    let (tell, hear) = channel();
    let refused = |error: vmm_sys_util::errno::Error| {
        Unusable::NotTried(io::Error::from_raw_os_error(error.errno()))
    };
    register_signal_handler(SIGRTMIN(), nothing).map_err(refused)?;
    let heard = over.clone();
    let thread = std::thread::Builder::new()
        .name("kvm trial".to_owned())
        .spawn(move || drop(tell.send(work(&heard))))
        .map_err(Unusable::NotTried)?;
    match hear.recv_timeout(limit) {
        Ok(result) => return result,
        // It can only have panicked.
        Err(RecvTimeoutError::Disconnected) => {
            return Err(Unusable::NotTried(io::ErrorKind::Other.into()));
        }
        Err(RecvTimeoutError::Timeout) => over.store(true, Ordering::SeqCst),
    }
    // A signal that comes just before the virtual CPU runs is lost, so there is another.
    let pause = Duration::from_millis(1);
    for _ in 0..STOPPING.as_millis() {
        let interrupted = thread.kill(0);
        let heard = hear.recv_timeout(pause);
        if interrupted.is_err() || !matches!(heard, Err(RecvTimeoutError::Timeout)) {
            break;
        }
    }
    Err(Unusable::Slow(limit))
}

#[cfg(test)]
mod tests;
