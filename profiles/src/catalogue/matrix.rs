//! The kernels that everything is checked for.

use std::sync::OnceLock;

use serde::Deserialize;

use super::kernel::{Flavour, Kernel};
use super::load::{self, LoadError};
use super::version::Version;

/// A kernel of the matrix, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its version.
    pub version: Version,
    /// Its flavour.
    pub flavour: Flavour,
    /// The Debian package.
    pub package: String,
    /// The suite that has the package.
    pub suite: String,
}

impl Member {
    /// The kernel, as far as version and flavour say; [`dump`](super::dump()) knows more.
    pub fn kernel(&self) -> Kernel {
        Kernel::new(self.version, self.flavour)
    }

    /// Its name, which is that of its dump as well: `6.12-rt`.
    pub fn name(&self) -> String {
        self.kernel().to_string()
    }
}

/// The matrix, from `profiles/kernels/matrix.ron`.
///
/// # Errors
/// [`LoadError`] where the list is malformed, which the tests rule out.
pub fn matrix() -> Result<&'static [Member], LoadError> {
    static MATRIX: OnceLock<Vec<Member>> = OnceLock::new();
    if let Some(members) = MATRIX.get() {
        return Ok(members);
    }
    let members = load::read("../kernels/matrix", include_str!("../../kernels/matrix.ron"))?;
    Ok(MATRIX.get_or_init(|| members))
}

/// The kernels of the matrix, each with the options that its dump shows.
///
/// # Errors
/// As of [`matrix`].
pub fn kernels() -> Result<&'static [Kernel], LoadError> {
    static KERNELS: OnceLock<Vec<Kernel>> = OnceLock::new();
    if let Some(kernels) = KERNELS.get() {
        return Ok(kernels);
    }
    let kernels = matrix()?.iter().map(|member| member.kernel().with_options()).collect();
    Ok(KERNELS.get_or_init(|| kernels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::dumps;

    #[test]
    fn every_kernel_has_its_dump() {
        let mut named: Vec<Kernel> = matrix().unwrap().iter().map(Member::kernel).collect();
        let mut dumped: Vec<Kernel> = Vec::new();
        for dump in dumps().unwrap() {
            dumped.push(Kernel::new(dump.kernel.version, dump.kernel.flavour));
        }
        named.sort_by_key(|kernel| (kernel.version, kernel.flavour));
        dumped.sort_by_key(|kernel| (kernel.version, kernel.flavour));
        assert_eq!(named, dumped, "`make kernels` remakes the dumps");
    }
}
