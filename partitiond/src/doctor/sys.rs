//! Finding out by trying.

use std::fs::File;

use boot::bare::{Starter, read_low_memory};

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

/// Why `/dev/kvm` is of no use, as far as can be told without running a guest.
fn kvm() -> Option<String> {
    if let Err(error) = File::options().read(true).write(true).open("/dev/kvm") {
        return Some(format!("/dev/kvm cannot be opened: {error}"));
    }
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let hardware = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    (!hardware).then(|| {
        "/dev/kvm is a software emulation (the CPUs have neither vmx nor svm): it cannot boot a \
         distribution kernel"
            .to_owned()
    })
}
