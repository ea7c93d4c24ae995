//! The catalogue: what is known of every setting that a profile can name.
//!
//! The data lie in `profiles/catalogue/*.ron`, one file an area, and are compiled in. A profile names an
//! intent (`cpu.base_slice`); the entry says where that lives in which kernel, what the kernel takes,
//! what is safe, how the kernel answers, and how to go back.
//!
//! ```
//! use profiles::catalogue::{Catalogue, Flavour, Kernel, Presence, Version};
//!
//! let catalogue = Catalogue::built_in()?;
//! let setting = catalogue.get("cpu.base_slice").expect("it is in the catalogue");
//! let kernel = Kernel::new(Version::new(6, 12), Flavour::Cloud);
//! assert!(matches!(kernel.find(setting), Presence::Present(_)));
//! assert_eq!(catalogue.nearest("vm.swapiness"), Some("vm.swappiness"));
//! # Ok::<(), profiles::catalogue::LoadError>(())
//! ```

use std::collections::BTreeMap;
use std::sync::OnceLock;

mod by_kernel;
mod document;
mod dump;
mod form;
mod kernel;
mod load;
mod matrix;
mod noise;
mod place;
mod ranges;
mod setting;
mod unexplained;
mod version;

#[cfg(test)]
mod tests;

pub use by_kernel::{ByKernel, Case};
pub use document::document;
pub use dump::{Dump, DumpError, Key, Stage, Tried, dump, dumps};
pub use form::FormError;
pub use kernel::{Flavour, Kernel, KernelError, Presence};
pub use load::{Area, LoadError};
pub use matrix::{Member, kernels, matrix};
pub use noise::{Noise, matches};
pub use place::{Absent, Access, At, Place};
pub use setting::{
    Class, Couple, CpuForm, Guarded, Kind, OnError, Order, Reads, Scope, Setting, SizeUnit,
    TimeUnit, Undo,
};
pub use version::{KernelRange, Version, VersionError};

/// All entries.
#[derive(Debug, Clone)]
pub struct Catalogue {
    areas: Vec<Area>,
    noise: Vec<Noise>,
    /// Name of a setting to its area and its place there.
    names: BTreeMap<String, (usize, usize)>,
}

impl Catalogue {
    /// The catalogue that is compiled in. It is read once.
    ///
    /// # Errors
    /// [`LoadError`] where the data are malformed, which the tests rule out.
    pub fn built_in() -> Result<&'static Self, LoadError> {
        static BUILT_IN: OnceLock<Catalogue> = OnceLock::new();
        if let Some(catalogue) = BUILT_IN.get() {
            return Ok(catalogue);
        }
        let catalogue = load::built_in()?;
        Ok(BUILT_IN.get_or_init(|| catalogue))
    }

    /// The entry of a name.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        let (area, index) = self.names.get(name)?;
        self.areas.get(*area)?.settings.get(*index)
    }

    /// The entry that a sysctl path such as `net/ipv4/conf/eth0/rp_filter` belongs to.
    pub fn of_sysctl(&self, path: &str) -> Option<&Setting> {
        self.settings()
            .find(|setting| setting.places.iter().any(|place| place.at.covers_sysctl(path)))
    }

    /// The areas, in the order of the documentation.
    pub fn areas(&self) -> &[Area] {
        &self.areas
    }

    /// All entries, area by area.
    pub fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.areas.iter().flat_map(|area| &area.settings)
    }

    /// What is left out on purpose.
    pub fn noise(&self) -> &[Noise] {
        &self.noise
    }

    /// The known name that a wrong one most likely means: the intent behind an old sysctl's name
    /// (`kernel.sched_min_granularity_ns`), the same without its first parts (`swappiness`), or few
    /// letters different.
    pub fn nearest(&self, wrong: &str) -> Option<&str> {
        /// Names are shorter; the bound keeps the cost of a hostile one small.
        const LONGEST: usize = 96;
        if wrong.is_empty() || wrong.len() > LONGEST {
            return None;
        }
        let wrong = wrong.to_lowercase().replace('/', ".");
        if let Some(setting) = self.of_sysctl(&wrong.replace('.', "/")) {
            return Some(&setting.name);
        }
        let behind_dot = |name: &&String| {
            name.strip_suffix(wrong.as_str()).is_some_and(|front| front.ends_with('.'))
        };
        if let Some(name) = self.names.keys().find(behind_dot) {
            return Some(name);
        }
        let allowed = (wrong.chars().count() / 4).clamp(1, 4);
        self.names
            .keys()
            .filter(|name| name.len().abs_diff(wrong.len()) <= allowed)
            .map(|name| (strsim::osa_distance(&wrong, name), name))
            .filter(|(distance, _)| *distance <= allowed)
            .min()
            .map(|(_, name)| name.as_str())
    }
}
