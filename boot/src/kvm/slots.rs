//! Where a virtual machine's devices are: a page of registers and an interrupt each.

use super::virtio::mmio;
use crate::memory::Segment;
use crate::units::{Bytes, PhysAddr};

/// The first page, in the hole that memory leaves.
const FIRST: PhysAddr = PhysAddr(0xd000_0000);

/// Interrupts of the I/O APIC (Intel 82093AA, 1.0).
pub const INTERRUPT_LINES: u32 = 24;

/// Interrupts of the I/O APIC for them: these are none that a PC's own devices have.
const INTERRUPTS: [u32; 17] = [5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];

/// A place for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its number.
    pub number: u32,
    /// Its registers.
    pub registers: Segment,
    /// Its interrupt.
    pub interrupt: u32,
}

/// All places, in the order of devices.
pub fn all() -> impl Iterator<Item = Slot> {
    (0..).zip(INTERRUPTS).map(|(number, interrupt)| {
        let start = PhysAddr(FIRST.0 + u64::from(number) * mmio::SIZE);
        Slot { number, registers: Segment { start, size: Bytes(mmio::SIZE) }, interrupt }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvm::address_space::HOLE;
    use crate::kvm::devices::serial;

    #[test]
    fn every_slot_lies_in_the_hole_and_shares_no_interrupt() {
        let mut taken = vec![0, 1, 2, 8, 9, serial::INTERRUPT];
        for slot in all() {
            assert!(HOLE.contains(slot.registers));
            assert!(!taken.contains(&slot.interrupt) && slot.interrupt < INTERRUPT_LINES);
            taken.push(slot.interrupt);
        }
    }
}
