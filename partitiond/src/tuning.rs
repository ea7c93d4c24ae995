//! Profiles in force on a kernel: this machine's own, or a partition's.
//!
//! A [`Kernel`] answers the engine's questions. [`prepare`] makes a plan of a script and what the kernel
//! says of itself; [`apply`] brings it into force. Who watches a guard afterwards stands in [`steward`].

mod errand;
mod kernel;
mod partition;
mod prepare;
pub mod steward;

pub use errand::{Errand, ErrandError, Listener};
pub use kernel::{Host, Kernel, KernelError, ask};
pub use partition::Partition;
pub use prepare::{PrepareError, Prepared, Wanted, prepare};

use transaction::agent::{Question, Reply};
use transaction::engine::{Failure, Report, Undone};

/// Where this machine's journal lies.
pub const DIRECTORY: &str = "/var/lib/partitiond/tuning";

/// Why a kernel is not tuned as it was to be.
#[derive(Debug, thiserror::Error)]
pub enum TuningError {
    /// the kernel does not answer
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// it was tried, and undone
    #[error("{0}")]
    RolledBack(Box<Failure>),
}

/// Applies a plan, all of it or nothing.
///
/// # Errors
/// [`TuningError`]
pub fn apply(kernel: &mut dyn Kernel, prepared: &Prepared) -> Result<Report, TuningError> {
    match ask(kernel, &Question::Apply(Box::new(prepared.plan.clone())))? {
        Reply::Applied(report) => Ok(report),
        Reply::Failed(failure) => Err(TuningError::RolledBack(failure)),
        other => Err(KernelError::unexpected(&other).into()),
    }
}

/// Undoes a transaction; without a number the newest in force. With `overwrite`, what somebody else has
/// changed since is set back, too.
///
/// # Errors
/// Where there is none, or the kernel does not answer.
pub fn roll_back(
    kernel: &mut dyn Kernel,
    number: Option<u32>,
    overwrite: bool,
) -> Result<Undone, KernelError> {
    match ask(kernel, &Question::RollBack { number, overwrite })? {
        Reply::Undone(undone) => Ok(undone),
        other => Err(KernelError::unexpected(&other)),
    }
}
