//! Finding out by trying.

use std::path::Path;

use boot::bare::{Starter, read_low_memory};
use boot::kvm::trial::{Unusable, try_kvm};

use super::Facts;
use crate::errors::chain;
use crate::host;
use crate::inventory::{ApicMode, Machine};

/// Tries what the back ends need. Changes nothing, but loads the `msr` module.
pub fn read(machine: &Machine) -> Facts {
    host::load_msr();
    let low = read_low_memory(&[]);
    let starter = low.as_ref().ok().map(Starter::detect);
    let msr = match &starter {
        Some(Err(boot::bare::CpuError::Msr(error))) => Some(chain(error)),
        _ => None,
    };
    Facts {
        root: nix::unistd::geteuid().is_root(),
        low_pages: low.as_ref().map_or(0, |low| low.free_pages.len()),
        host_trampoline: low.as_ref().is_ok_and(|low| low.host_code.is_some()),
        dev_mem: low.err().map(|error| chain(&error)),
        x2apic: matches!(starter, Some(Ok(Starter::X2Apic)))
            || machine.apic.mode == Some(ApicMode::X2Apic),
        msr,
        xapic: Starter::xapic().err().map(|error| chain(&error)),
        kvm: kvm(),
    }
}

/// Why `/dev/kvm` is of no use.
fn kvm() -> Option<String> {
    let device = Path::new("/dev/kvm");
    match try_kvm(device) {
        Ok(()) => None,
        Err(why @ Unusable::Open { .. }) => Some(why.to_string()),
        Err(why) => Some(format!("{} is of no use: {why}", device.display())),
    }
}
