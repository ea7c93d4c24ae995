//! A plan: what is to be written where, as data that can be printed, saved, compared and applied.

mod check;
mod roots;
mod step;
mod target;

use serde::{Deserialize, Serialize};

use crate::assign::Workload;
pub(crate) use check::check_target;
pub use check::{PathFault, PlanError, ValueFault, check_path};
pub(crate) use roots::COUNT;
pub use roots::{Filesystem, ROOTS, Root, root_of};
pub use step::{Class, Coupled, Effect, How, NotApplicable, Origin, Step, Undo};
pub use target::Target;

/// The form of plans that this engine reads and writes.
pub const VERSION: u32 = 1;
/// The largest plan that is read, in bytes of JSON.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The most steps of a plan.
pub const MAX_STEPS: usize = 4096;
/// The longest path, in bytes.
pub const MAX_PATH: usize = 1024;
/// The longest value, in bytes.
pub const MAX_VALUE: usize = 1024 * 1024;
/// The longest name or reason, in bytes.
pub const MAX_TEXT: usize = 4096;

/// What is to be written where, in order, and what of the profile does not apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The form of the plan: [`VERSION`].
    pub version: u32,
    /// The profile that it was made from.
    pub profile: String,
    /// The kernel that it was made for.
    #[serde(default)]
    pub kernel: Kernel,
    /// What may undo it until somebody confirms it; none where nothing does.
    #[serde(default)]
    pub guard: Option<Guard>,
    /// Programs, and what becomes of their tasks once everything is written.
    #[serde(default)]
    pub workloads: Vec<Workload>,
    /// What is written, in this order.
    pub steps: Vec<Step>,
    /// What the profile asks for and this kernel does not have.
    #[serde(default)]
    pub not_applicable: Vec<NotApplicable>,
}

/// What undoes a plan by itself. The engine keeps it; whoever applies the plan watches it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// How long to wait for somebody to confirm it, in milliseconds; none where only the reasons count.
    #[serde(default)]
    pub confirm_within: Option<u64>,
    /// The reasons, as they stand in the script.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// The kernel that a plan was made for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// What `uname -r` says there; none where the plan fits any.
    #[serde(default)]
    pub release: Option<String>,
    /// The boot in which old values were read; none for a plan made without looking at a machine.
    #[serde(default)]
    pub boot: Option<String>,
}

/// Something that a transaction reads, and perhaps writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// What it is.
    pub target: Target,
    /// Whether it may be written.
    pub write: bool,
    /// Whether it may only come to be while the plan is applied.
    pub appears: bool,
}

impl Plan {
    /// A plan without steps.
    pub fn new(profile: impl Into<String>) -> Self {
        Self {
            version: VERSION,
            profile: profile.into(),
            kernel: Kernel::default(),
            guard: None,
            workloads: Vec::new(),
            steps: Vec::new(),
            not_applicable: Vec::new(),
        }
    }

    /// Reads a plan, and checks it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, be it the form, a bound or a rule of [`Plan::check`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, PlanError> {
        /// The part that tells whether the rest can be read.
        #[derive(Deserialize)]
        struct Header {
            version: u32,
        }
        if bytes.len() > MAX_BYTES {
            return Err(PlanError::TooLarge { bytes: bytes.len() });
        }
        let form = |error: serde_json::Error| PlanError::Form(error.to_string());
        let header: Header = serde_json::from_slice(bytes).map_err(form)?;
        if header.version != VERSION {
            return Err(PlanError::Version(header.version));
        }
        let plan: Self = serde_json::from_slice(bytes).map_err(form)?;
        plan.check()?;
        Ok(plan)
    }

    /// The plan as JSON.
    ///
    /// # Errors
    ///
    /// Where it breaks a rule of [`Plan::check`], or is too large to be read again.
    pub fn to_json(&self) -> Result<Vec<u8>, PlanError> {
        self.check()?;
        let bytes = serde_json::to_vec(self).map_err(|error| PlanError::Form(error.to_string()))?;
        if bytes.len() > MAX_BYTES {
            return Err(PlanError::TooLarge { bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// Checks what must hold before anything may be written: see [`PlanError`].
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), PlanError> {
        check::check(self)
    }

    /// Everything that applying, undoing and verifying this plan reads and writes, each once.
    pub fn reach(&self) -> Vec<Reach> {
        let mut found: Vec<Reach> = Vec::new();
        let mut at = std::collections::HashMap::new();
        let mut add = |target: &Target, write: bool, appears: bool| {
            let index = *at.entry(target.clone()).or_insert_with(|| {
                found.push(Reach { target: target.clone(), write: false, appears });
                found.len() - 1
            });
            if let Some(known) = found.get_mut(index) {
                known.write |= write;
                known.appears |= appears;
            }
        };
        for step in self.steps.iter().filter(|step| step.class != Class::Reboot) {
            add(&step.target, true, step.appears);
            for coupled in step.undo.coupled() {
                add(&coupled.target, true, false);
            }
            if let Some(effect) = &step.effect {
                add(&effect.target, false, step.appears);
            }
        }
        found
    }
}
