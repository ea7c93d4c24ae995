//! Ports.

use std::arch::asm;
use std::io;

use crate::Random;

/// Ports that end the machine in order: the registers of ACPI, and the command port of the keyboard controller.
const SPARED: [std::ops::Range<u16>; 2] = [0x600..0x603, 0x64..0x65];

/// Lets this process use all ports.
pub fn allow() -> io::Result<()> {
    // SAFETY: it changes what this process may do, and nothing else.
    match unsafe { libc::iopl(3) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Reads or writes a port: mostly one where something is.
pub fn attack(random: &mut Random) {
    let known: [u16; 6] = [0x3f8, 0x70, 0x60, 0x5fc, 0x20, 0xcf8];
    let place = random.number() as u16;
    let port = match known.get(random.below(8) as usize) {
        Some(base) => base + place % 8,
        None => place,
    };
    // An access of four bytes reaches ports behind it.
    if SPARED.iter().any(|spared| port < spared.end && spared.start < port.saturating_add(4)) {
        return;
    }
    let value = random.number() as u32;
    let mut buffer = [value; 16];
    let count = 1 + random.below(16) as usize;
    // SAFETY: the instructions touch the port, the registers that are named, and of the buffer no more than
    // its 64 bytes; what the port does to the machine is what this is for.
    unsafe {
        match random.below(8) {
            0 => asm!("out dx, al", in("dx") port, in("al") value as u8),
            1 => asm!("out dx, ax", in("dx") port, in("ax") value as u16),
            2 => asm!("out dx, eax", in("dx") port, in("eax") value),
            3 => asm!("in al, dx", in("dx") port, out("al") _),
            4 => asm!("in ax, dx", in("dx") port, out("ax") _),
            5 => asm!("in eax, dx", in("dx") port, out("eax") _),
            6 => {
                asm!("rep insd", in("dx") port, inout("rcx") count => _, inout("rdi") buffer.as_mut_ptr() => _)
            }
            _ => {
                asm!("rep outsb", in("dx") port, inout("rcx") count => _, inout("rsi") buffer.as_ptr() => _)
            }
        }
    }
}
