//! The ACPI tables of a virtual machine: local APICs, an I/O APIC, registers in ports, and its devices.

use std::iter;

use acpi_tables::Aml;
use acpi_tables::aml;
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::sdt::Sdt;

use super::address_space::IO_APIC;
use super::devices::{power, serial};
use super::slots::{self, Slot};
use crate::acpi::{self, OEM_ID, OEM_REVISION, OEM_TABLE_ID, RESET_VALUE, boot_arch, local_apic};
use crate::memory::Segment;
use crate::units::{ApicId, PhysAddr};

/// The interrupt of the SCI, which hardware-reduced machines do not have; number 9 on PCs.
const SCI: u16 = 9;

/// The tables for the physical address `base` (16-byte aligned), with so many virtio devices. The RSDP stands
/// first.
pub fn tables(base: PhysAddr, cpus: &[ApicId], devices: usize) -> Vec<u8> {
    let codes: Vec<Code> =
        iter::once(serial_port()).chain(slots::all().take(devices).map(virtio)).collect();
    let codes: Vec<&dyn Aml> = codes.iter().map(|code| code as &dyn Aml).collect();
    acpi::tables(base, &acpi::dsdt(&codes), fadt, &[&madt(cpus)])
}

/// A device of the DSDT, as its bytes.
struct Code(Vec<u8>);

impl Aml for Code {
    fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
        sink.vec(&self.0);
    }
}

fn serial_port() -> Code {
    let mut code = Vec::new();
    let irq = aml::Interrupt::new(true, true, false, false, serial::INTERRUPT);
    let ports = aml::IO::new(serial::PORTS, serial::PORTS, 1, serial::COUNT as u8);
    aml::Device::new(
        "_SB_.COM1".into(),
        vec![
            &aml::Name::new("_HID".into(), &aml::EISAName::new("PNP0501")),
            &aml::Name::new("_UID".into(), &aml::ZERO),
            &aml::Name::new("_CRS".into(), &aml::ResourceTemplate::new(vec![&ports, &irq])),
        ],
    )
    .to_aml_bytes(&mut code);
    Code(code)
}

/// A virtio device, which Linux knows by this id (drivers/virtio/virtio_mmio.c).
fn virtio(slot: Slot) -> Code {
    let mut code = Vec::new();
    let Segment { start, size } = slot.registers;
    let registers = aml::Memory32Fixed::new(true, start.0 as u32, size.0 as u32);
    let irq = aml::Interrupt::new(true, true, false, false, slot.interrupt);
    aml::Device::new(
        format!("_SB_.V{:03X}", slot.number).as_str().into(),
        vec![
            &aml::Name::new("_HID".into(), &"LNRO0005"),
            &aml::Name::new("_UID".into(), &slot.number),
            // Its writes to memory are seen by CPUs.
            &aml::Name::new("_CCA".into(), &aml::ONE),
            &aml::Name::new("_CRS".into(), &aml::ResourceTemplate::new(vec![&registers, &irq])),
        ],
    )
    .to_aml_bytes(&mut code);
    Code(code)
}

fn fadt(dsdt: PhysAddr) -> impl Aml {
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .dsdt_64(dsdt.0)
        .flag(Flags::Wbinvd)
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton)
        .flag(Flags::ResetRegSup)
        .flag(Flags::HwReducedAcpi);
    fadt.sci_int = SCI.into();
    // The clock of the hypervisor tells the time of day: reading the other takes thousands of exits.
    fadt.iapc_boot_arch = (boot_arch::VGA_NOT_PRESENT | boot_arch::CMOS_RTC_NOT_PRESENT).into();
    let port = |offset: u16| GAS {
        address_space_id: AddressSpace::SystemIo,
        register_bit_width: 8,
        register_bit_offset: 0,
        access_size: AccessSize::ByteAccess,
        address: u64::from(power::PORTS + offset).into(),
    };
    fadt.reset_reg = port(power::RESET);
    fadt.sleep_control_reg = port(power::SLEEP_CONTROL);
    fadt.sleep_status_reg = port(power::SLEEP_STATUS);
    fadt.reset_value = RESET_VALUE;
    fadt.finalize()
}

fn madt(cpus: &[ApicId]) -> Sdt {
    let mut madt = acpi::madt();
    for (uid, apic) in (0..).zip(cpus) {
        madt.append_slice(&local_apic(uid, *apic));
    }
    // I/O APIC number 0, its interrupts from 0 on (ACPI 6.5, 5.2.12.3).
    madt.append_slice(&[1, 12, 0, 0]);
    madt.append_slice(&(IO_APIC.0 as u32).to_le_bytes());
    madt.append_slice(&0_u32.to_le_bytes());
    madt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::tests::{found, hex};

    #[test]
    fn every_table_is_found_and_sums_to_zero() {
        let base = 0x10_4000;
        let bytes = tables(PhysAddr(base), &[ApicId(0), ApicId(2)], 2);
        let tables = found(&bytes, base);
        insta::assert_snapshot!("fadt", hex(tables[0]));
        insta::assert_snapshot!("madt", hex(tables[1]));
        insta::assert_snapshot!("dsdt", hex(tables[2]));
    }
}
