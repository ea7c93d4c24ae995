//! The ACPI tables of a bare partition: local APICs, no I/O APIC, and registers in memory.

use acpi_tables::Aml;
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::sdt::Sdt;

use crate::acpi::{self, OEM_ID, OEM_REVISION, OEM_TABLE_ID, RESET_VALUE, boot_arch, local_apic};
use crate::units::{ApicId, PhysAddr};

/// The local APIC id of a CPU that is not there, listed first in the MADT.
///
/// Linux 6.9 and later take a boot CPU that is not the first one listed for a sign that this is a
/// crash kernel: they drop the first entry in the belief that it is the real boot CPU
/// (`topology_register_boot_apic` and its callers, arch/x86/kernel/cpu/topology.c). They may drop
/// this one. Earlier kernels skip it because of `disable_cpu_apicid=` on the command line.
pub const PHANTOM: ApicId = ApicId(254);

/// The interrupt of the SCI. Nothing raises it here; but a kernel without an I/O APIC marks it as
/// level-triggered in the machine's ELCR all the same (`acpi_pic_sci_set_trigger`,
/// arch/x86/kernel/acpi/boot.c). Number 9 is the SCI of PCs, and level-triggered there anyway.
/// Zero would be the timer.
const SCI: u16 = 9;

/// What the tables describe.
#[derive(Clone, Debug)]
pub struct Description<'a> {
    /// Local APICs, the boot CPU's first.
    pub cpus: &'a [ApicId],
    /// A byte of memory that takes [`RESET_VALUE`].
    pub reset_register: PhysAddr,
    /// A byte of memory that takes [`acpi::SLEEP`].
    pub sleep_control: PhysAddr,
    /// A byte of memory that the kernel clears before it sleeps.
    pub sleep_status: PhysAddr,
}

/// The tables for the physical address `base` (16-byte aligned). The RSDP stands first.
pub fn tables(base: PhysAddr, description: &Description<'_>) -> Vec<u8> {
    let madt = madt(description.cpus);
    acpi::tables(base, &acpi::dsdt(&[]), |dsdt| fadt(dsdt, description), &[&madt])
}

fn fadt(dsdt: PhysAddr, description: &Description<'_>) -> impl Aml {
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .dsdt_64(dsdt.0)
        .flag(Flags::Wbinvd)
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton)
        .flag(Flags::ResetRegSup)
        // Essential: in flat logical mode a partition's kernel addresses "CPUs 0 to 7" by a mask
        // that the host's CPUs answer to as well, and interrupts leak into the other kernel.
        .flag(Flags::ForceApicPhysicalDestinationMode)
        .flag(Flags::HwReducedAcpi);
    fadt.sci_int = SCI.into();
    fadt.iapc_boot_arch = (boot_arch::VGA_NOT_PRESENT
        | boot_arch::MSI_NOT_SUPPORTED
        | boot_arch::CMOS_RTC_NOT_PRESENT)
        .into();
    let byte = |address: PhysAddr| GAS {
        address_space_id: AddressSpace::SystemMemory,
        register_bit_width: 8,
        register_bit_offset: 0,
        access_size: AccessSize::ByteAccess,
        address: address.0.into(),
    };
    fadt.reset_reg = byte(description.reset_register);
    fadt.sleep_control_reg = byte(description.sleep_control);
    fadt.sleep_status_reg = byte(description.sleep_status);
    fadt.reset_value = RESET_VALUE;
    fadt.finalize()
}

fn madt(cpus: &[ApicId]) -> Sdt {
    let mut madt = acpi::madt();
    // The phantom's processor UID must differ from all others.
    madt.append_slice(&local_apic(cpus.len() as u32, PHANTOM));
    for (uid, apic) in (0..).zip(cpus) {
        madt.append_slice(&local_apic(uid, *apic));
    }
    madt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::tests::{found, hex};

    #[test]
    fn every_table_is_found_and_sums_to_zero() {
        let base = 0x1_4000_4000;
        let description = Description {
            cpus: &[ApicId(3), ApicId(2)],
            reset_register: PhysAddr(0x1_5fe0_0040),
            sleep_control: PhysAddr(0x1_5fe0_0048),
            sleep_status: PhysAddr(0x1_5fe0_0050),
        };
        let bytes = tables(PhysAddr(base), &description);
        let tables = found(&bytes, base);
        insta::assert_snapshot!("madt", hex(tables[1]));
        insta::assert_snapshot!("fadt", hex(tables[0]));
    }
}
