//! What ranges a kernel takes, tried with care.

use profiles::catalogue::{Catalogue, Dump};

use super::Machine;

/// Tries.
pub fn ranges(_machine: &Machine, _dump: &mut Dump, _catalogue: &Catalogue) {}
