//! ACPI tables, built in code: what those of both back ends have in common.
//!
//! Both describe hardware-reduced machines (ACPI 6.5, 4.1): no PIC, no PIT, no legacy devices.

use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, aml};

use crate::units::{ApicId, PhysAddr};

/// Who made the tables.
pub const OEM_ID: [u8; 6] = *b"PARTTN";
/// Which tables.
pub const OEM_TABLE_ID: [u8; 8] = *b"PARTITND";
/// Their version.
pub const OEM_REVISION: u32 = 1;

/// `IAPC_BOOT_ARCH` bits (ACPI 6.5, table 5.11).
pub mod boot_arch {
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

/// Physical base of every local APIC in xAPIC mode.
pub const LOCAL_APIC: u32 = 0xfee0_0000;

/// Bytes of the header that every table begins with (ACPI 6.5, 5.2.6).
pub const HEADER: u32 = 36;

/// Tables for the physical address `base` (16-byte aligned). The RSDP stands first. The FADT is made for
/// the address of the DSDT.
pub fn tables<F: Aml>(
    base: PhysAddr,
    dsdt: &dyn Aml,
    fadt: impl FnOnce(PhysAddr) -> F,
    others: &[&dyn Aml],
) -> Vec<u8> {
    let mut block = Block { base, bytes: vec![0; Rsdp::len().next_multiple_of(16)] };
    let dsdt = block.append(dsdt);
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    xsdt.add_entry(block.append(&fadt(dsdt)).0);
    for table in others {
        xsdt.add_entry(block.append(*table).0);
    }
    let xsdt = block.append(&xsdt);
    let mut rsdp = Vec::new();
    Rsdp::new(OEM_ID, xsdt.0).to_aml_bytes(&mut rsdp);
    block.bytes.splice(..rsdp.len(), rsdp);
    block.bytes
}

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

/// A DSDT that names the soft-off state, and whatever `devices` adds.
pub fn dsdt(devices: &[&dyn Aml]) -> Sdt {
    let mut dsdt = Sdt::new(*b"DSDT", HEADER, 2, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    let mut code = Vec::new();
    let soft_off = aml::Package::new(vec![&SOFT_OFF, &SOFT_OFF, &aml::ZERO, &aml::ZERO]);
    aml::Name::new("_S5_".into(), &soft_off).to_aml_bytes(&mut code);
    for device in devices {
        device.to_aml_bytes(&mut code);
    }
    dsdt.append_slice(&code);
    dsdt
}

/// An empty MADT.
pub fn madt() -> Sdt {
    /// No dual 8259 (`PCAT_COMPAT` clear): ACPI 6.5, table 5.20.
    const FLAGS: u32 = 0;
    let mut madt = Sdt::new(*b"APIC", HEADER, 5, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    madt.append_slice(&LOCAL_APIC.to_le_bytes());
    madt.append_slice(&FLAGS.to_le_bytes());
    madt
}

/// A processor local APIC structure of a MADT, or its x2APIC form where UID or id need more than a byte
/// (ACPI 6.5, 5.2.12.2 and 5.2.12.12).
pub fn local_apic(uid: u32, apic: ApicId) -> Vec<u8> {
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
pub(crate) mod tests {
    use super::*;

    /// The sum of the bytes, which is zero for a table as a whole.
    pub fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    fn table_at(bytes: &[u8], base: u64, address: u64) -> &[u8] {
        let table = &bytes[(address - base) as usize..];
        let length = u32::from_le_bytes(table[4..8].try_into().unwrap()) as usize;
        &table[..length]
    }

    /// The tables that the XSDT lists, each checked; the DSDT last.
    pub fn found(bytes: &[u8], base: u64) -> Vec<&[u8]> {
        assert_eq!(&bytes[..8], b"RSD PTR ");
        assert_eq!(sum(&bytes[..20]), 0);
        assert_eq!(sum(&bytes[..36]), 0);
        let xsdt = table_at(bytes, base, u64::from_le_bytes(bytes[24..32].try_into().unwrap()));
        assert_eq!(&xsdt[..4], b"XSDT");
        assert_eq!(sum(xsdt), 0);
        let address = |entry: &[u8]| u64::from_le_bytes(entry.try_into().unwrap());
        let entries = xsdt[36..].chunks(8).map(|entry| table_at(bytes, base, address(entry)));
        let mut tables: Vec<&[u8]> = entries.collect();
        assert_eq!(&tables[0][..4], b"FACP");
        assert_eq!(&tables[1][..4], b"APIC");
        tables.push(table_at(bytes, base, address(&tables[0][140..148])));
        assert!(tables.iter().all(|table| sum(table) == 0));
        tables
    }

    /// Bytes as a snapshot shows them.
    pub fn hex(bytes: &[u8]) -> String {
        let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
        bytes.chunks(16).map(|chunk| line(chunk).trim_end().to_owned() + "\n").collect()
    }

    #[test]
    fn a_large_apic_id_takes_the_x2apic_form() {
        let entry = local_apic(1, ApicId(300));
        assert_eq!(entry, [9, 16, 0, 0, 44, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    }
}
