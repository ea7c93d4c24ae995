//! Everything of the kernel that this runs on: files, network devices, and device files that are held open.

use super::{Files, Held, Network};
use crate::network::queueing;
use crate::plan::Target;
use crate::store::{Store, StoreError};

/// What the kernel gives a device that nobody has given a discipline.
const DEFAULT_QDISC: &str = "/proc/sys/net/core/default_qdisc";

/// The running kernel's settings, each where it is.
#[derive(Debug)]
pub struct Kernel {
    files: Files,
    network: Devices,
    /// None where nobody says where holders are known.
    held: Option<Held>,
}

/// Network devices.
#[derive(Debug)]
enum Devices {
    /// None: there is no kernel behind these files.
    None,
    /// Not spoken to yet.
    Closed,
    Open(Box<Network>),
}

impl Kernel {
    /// The running kernel's.
    pub fn running() -> Self {
        Self { files: Files::of_kernel(), network: Devices::Closed, held: None }
    }

    /// Plain files in a directory that stands in for `/`, for tests and measurements, and no devices.
    pub fn beneath(base: impl Into<std::path::PathBuf>) -> Self {
        Self { files: Files::beneath(base), network: Devices::None, held: None }
    }

    /// Also device files that are held open.
    #[must_use]
    pub fn holding(mut self, held: Held) -> Self {
        self.held = Some(held);
        self
    }

    pub(crate) fn files(&mut self) -> &mut Files {
        &mut self.files
    }

    /// Opens what a target needs that cannot be opened later, in a process that gives up everything.
    pub(crate) fn open_for(&mut self, target: &Target) -> Result<(), StoreError> {
        match target {
            Target::Link { .. } | Target::Ethtool { .. } => self.network().map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Reads several for a plan: also says of those that can be read and changed, but not put back then.
    pub fn read_for_plan(&mut self, targets: &[Target]) -> Vec<Result<String, StoreError>> {
        let default = self.files.read(&Target::file(DEFAULT_QDISC)).ok();
        let mut readings = self.read_all(targets);
        for (target, reading) in targets.iter().zip(&mut readings) {
            let Ok(text) = &*reading else { continue };
            if let Err(why) = self.can_be_changed(target, text, default.as_deref()) {
                *reading = Err(why);
            }
        }
        readings
    }

    fn can_be_changed(
        &mut self,
        target: &Target,
        reading: &str,
        default: Option<&str>,
    ) -> Result<(), StoreError> {
        match (target, default) {
            (Target::Link { attribute, .. }, Some(default)) if attribute == "qdisc" => {
                queueing::comes_back(reading, default).map_err(StoreError::Unsupported)
            }
            (Target::Ethtool { .. }, _) => self.network()?.can_be_changed(target),
            _ => Ok(()),
        }
    }

    fn network(&mut self) -> Result<&mut Network, StoreError> {
        if let Devices::Closed = self.network {
            self.network = Devices::Open(Box::new(Network::open()?));
        }
        match &mut self.network {
            Devices::Open(network) => Ok(network),
            Devices::None | Devices::Closed => Err(StoreError::OutOfReach),
        }
    }

    fn store(&mut self, target: &Target) -> Result<&mut dyn Store, StoreError> {
        match target {
            Target::File(_) => Ok(&mut self.files),
            Target::Link { .. } | Target::Ethtool { .. } => Ok(self.network()?),
            Target::Held(_) => Ok(self.held.as_mut().ok_or(StoreError::OutOfReach)?),
            _ => Err(StoreError::OutOfReach),
        }
    }
}

impl Store for Kernel {
    fn reaches(&self, target: &Target) -> bool {
        match target {
            Target::File(_) => true,
            Target::Link { .. } | Target::Ethtool { .. } => {
                !matches!(self.network, Devices::None) && crate::network::is_known(target)
            }
            Target::Held(_) => self.held.as_ref().is_some_and(|held| held.reaches(target)),
            _ => false,
        }
    }

    fn read(&mut self, target: &Target) -> Result<String, StoreError> {
        self.store(target)?.read(target)
    }

    fn write(&mut self, target: &Target, value: &str) -> Result<(), StoreError> {
        self.store(target)?.write(target, value)
    }

    fn canonical(&mut self, target: &Target) -> Result<Target, StoreError> {
        self.store(target)?.canonical(target)
    }
}
