//! The ACPI tables of a bare partition, built in code.
//!
//! They describe a hardware-reduced machine (ACPI 6.5, 4.1): no PIC, no PIT, no legacy devices, no
//! I/O APIC; only local APICs. The DSDT names the soft-off state and nothing else.

use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, aml};

use crate::units::{ApicId, PhysAddr};

const OEM_ID: [u8; 6] = *b"PARTTN";
const OEM_TABLE_ID: [u8; 8] = *b"PARTITND";
const OEM_REVISION: u32 = 1;

/// `IAPC_BOOT_ARCH` bits (ACPI 6.5, table 5.11).
mod boot_arch {
    /// There is no VGA to probe for.
    pub const VGA_NOT_PRESENT: u16 = 1 << 2;
    /// Message-signalled interrupts are not to be used.
    pub const MSI_NOT_SUPPORTED: u16 = 1 << 3;
    /// There is no CMOS real-time clock.
    pub const CMOS_RTC_NOT_PRESENT: u16 = 1 << 5;
}

/// The kernel writes this to the reset register to reset the machine (with `reboot=acpi`).
pub const RESET_VALUE: u8 = protocol::mailbox::RESET_VALUE;

/// The kernel sets this bit (`SLP_EN`) in the sleep control register to go to sleep; soft-off is the
/// only sleep there is (ACPI 6.5, table 4.19).
pub const SLEEP: u8 = 1 << 5;

/// `SLP_TYP` of soft-off: any number will do, the host looks at [`SLEEP`] alone.
const SOFT_OFF: u8 = 5;

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

/// Physical base of every local APIC in xAPIC mode.
const LOCAL_APIC: u32 = 0xfee0_0000;

/// What the tables describe.
#[derive(Clone, Debug)]
pub struct Description<'a> {
    /// Local APICs, the boot CPU's first.
    pub cpus: &'a [ApicId],
    /// A byte of memory that takes [`RESET_VALUE`].
    pub reset_register: PhysAddr,
    /// A byte of memory that takes [`SLEEP`].
    pub sleep_control: PhysAddr,
    /// A byte of memory that the kernel clears before it sleeps.
    pub sleep_status: PhysAddr,
}

/// The tables for the physical address `base` (16-byte aligned). The RSDP stands first.
pub fn tables(base: PhysAddr, description: &Description<'_>) -> Vec<u8> {
    let mut block = Block { base, bytes: vec![0; Rsdp::len().next_multiple_of(16)] };
    let dsdt = block.append(&dsdt());
    let fadt = block.append(&fadt(dsdt, description));
    let madt = block.append(&madt(description.cpus));
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    xsdt.add_entry(fadt.0);
    xsdt.add_entry(madt.0);
    let xsdt = block.append(&xsdt);
    let mut rsdp = Vec::new();
    Rsdp::new(OEM_ID, xsdt.0).to_aml_bytes(&mut rsdp);
    block.bytes.splice(..rsdp.len(), rsdp);
    block.bytes
}

/// Bytes of the header that every table begins with (ACPI 6.5, 5.2.6).
const HEADER: u32 = 36;

struct Block {
    base: PhysAddr,
    bytes: Vec<u8>,
}

impl Block {
    fn append(&mut self, table: &dyn Aml) -> PhysAddr {
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        let address = PhysAddr(self.base.0 + self.bytes.len() as u64);
        table.to_aml_bytes(&mut self.bytes);
        address
    }
}

fn dsdt() -> Sdt {
    let mut dsdt = Sdt::new(*b"DSDT", HEADER, 2, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    let mut code = Vec::new();
    let soft_off = aml::Package::new(vec![&SOFT_OFF, &SOFT_OFF, &aml::ZERO, &aml::ZERO]);
    aml::Name::new("_S5_".into(), &soft_off).to_aml_bytes(&mut code);
    dsdt.append_slice(&code);
    dsdt
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
    /// No dual 8259 (`PCAT_COMPAT` clear): ACPI 6.5, table 5.20.
    const FLAGS: u32 = 0;
    let mut madt = Sdt::new(*b"APIC", HEADER, 5, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    madt.append_slice(&LOCAL_APIC.to_le_bytes());
    madt.append_slice(&FLAGS.to_le_bytes());
    // The phantom's processor UID must differ from all others.
    madt.append_slice(&local_apic(cpus.len() as u32, PHANTOM));
    for (uid, apic) in (0..).zip(cpus) {
        madt.append_slice(&local_apic(uid, *apic));
    }
    madt
}

/// A processor local APIC structure, or its x2APIC form where UID or id need more than a byte
/// (ACPI 6.5, 5.2.12.2 and 5.2.12.12).
fn local_apic(uid: u32, apic: ApicId) -> Vec<u8> {
    const ENABLED: u32 = 1;
    match (u8::try_from(uid), u8::try_from(apic.0)) {
        (Ok(uid), Ok(id)) if id < 255 => [&[0, 8, uid, id][..], &ENABLED.to_le_bytes()].concat(),
        _ => {
            [&[9, 16, 0, 0][..], &apic.0.to_le_bytes(), &ENABLED.to_le_bytes(), &uid.to_le_bytes()]
                .concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    fn table_at(bytes: &[u8], base: u64, address: u64) -> &[u8] {
        let table = &bytes[(address - base) as usize..];
        let length = u32::from_le_bytes(table[4..8].try_into().unwrap()) as usize;
        &table[..length]
    }

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
        assert_eq!(&bytes[..8], b"RSD PTR ");
        assert_eq!(sum(&bytes[..20]), 0);
        assert_eq!(sum(&bytes[..36]), 0);
        let xsdt = table_at(&bytes, base, u64::from_le_bytes(bytes[24..32].try_into().unwrap()));
        assert_eq!(&xsdt[..4], b"XSDT");
        assert_eq!(sum(xsdt), 0);
        let entries: Vec<&[u8]> = xsdt[36..]
            .chunks(8)
            .map(|entry| table_at(&bytes, base, u64::from_le_bytes(entry.try_into().unwrap())))
            .collect();
        assert_eq!(&entries[0][..4], b"FACP");
        assert_eq!(&entries[1][..4], b"APIC");
        for entry in &entries {
            assert_eq!(sum(entry), 0);
        }
        let dsdt = u64::from_le_bytes(entries[0][140..148].try_into().unwrap());
        assert_eq!(sum(table_at(&bytes, base, dsdt)), 0);
        insta::assert_snapshot!("madt", hex(entries[1]));
        insta::assert_snapshot!("fadt", hex(entries[0]));
    }

    #[test]
    fn a_large_apic_id_takes_the_x2apic_form() {
        let entry = local_apic(1, ApicId(300));
        assert_eq!(entry, [9, 16, 0, 0, 44, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    }

    fn hex(bytes: &[u8]) -> String {
        let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
        bytes.chunks(16).map(|chunk| line(chunk).trim_end().to_owned() + "\n").collect()
    }
}
