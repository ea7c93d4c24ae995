//! A Linux kernel's real-mode code below 1 MiB, as it lies in memory: where it starts other CPUs
//! from, and where it goes to let the BIOS restart the machine.
//!
//! Both the host's kernel and a partition's have one (arch/x86/realmode). Nothing says where; it is
//! known by its first instructions, which jump to themselves by segment and offset.

use serde::{Deserialize, Serialize};

/// Where a kernel's real-mode code was found. Addresses are physical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealModeCode {
    /// Its first byte, where its header lies (`struct real_mode_header`).
    pub base: u32,
    /// The page that SIPI sends other CPUs to (`trampoline_start`).
    pub trampoline: u32,
    /// The first bytes there: those that a redirection takes the place of.
    pub entry: [u8; REDIRECTION],
}

/// Bytes of the jump that a redirection is.
pub const REDIRECTION: usize = 5;

/// Bytes that the code may take at most; it is about 28 KiB in kernels from 5.10 to 7.2.
pub const MAX_SIZE: u32 = 64 << 10;

/// A trampoline begins on a page.
pub const PAGE: usize = 4096;

/// The first byte of a trampoline: cli.
pub const FIRST: u8 = 0xfa;

impl RealModeCode {
    /// Finds the first in `memory`, which lies at the physical address `start` (page-aligned).
    pub fn find(memory: &[u8], start: u32) -> Option<Self> {
        Self::find_all(memory, start).next()
    }

    /// Finds every kernel's in `memory`, which lies at the physical address `start` (page-aligned).
    pub fn find_all(memory: &[u8], start: u32) -> impl Iterator<Item = Self> {
        memory.chunks_exact(PAGE).zip((start..).step_by(PAGE)).filter_map(
            move |(page, trampoline)| {
                // cli, in some kernels wbinvd, then a far jump to the next instruction.
                let (jump, at) = match page {
                    [FIRST, 0x0f, 0x09, 0xea, jump @ ..] => (jump, 8),
                    [FIRST, 0xea, jump @ ..] => (jump, 6),
                    _ => return None,
                };
                let &[o0, o1, s0, s1, ..] = jump else { return None };
                let offset = u32::from(u16::from_le_bytes([o0, o1]));
                let base = u32::from(u16::from_le_bytes([s0, s1])) * 16;
                let entry = page.first_chunk().copied()?;
                (base + offset == trampoline + at).then_some(Self { base, trampoline, entry })
            },
        )
    }

    /// Where this kernel's code for a restart through the BIOS begins
    /// (`machine_real_restart_asm`), as a physical address; `None` where the header or the code is
    /// not of the form that kernels from 5.10 to 7.2 have. `memory` is as in [`Self::find`].
    pub fn restart(&self, memory: &[u8], start: u32) -> Option<u32> {
        /// The segment stands behind the address in the header; other fields lie around them,
        /// by version and configuration.
        const FIELDS: std::ops::Range<usize> = 6..12;
        /// `__KERNEL32_CS`.
        const SEGMENT: u32 = 8;
        let word = |address: u32| {
            let at = address.checked_sub(start)? as usize;
            let bytes = memory.get(at..at.checked_add(4)?)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        FIELDS.into_iter().find_map(|index| {
            let address = word(self.base + index as u32 * 4)?;
            let segment = word(self.base + index as u32 * 4 + 4)?;
            if segment != SEGMENT || !(self.base..self.base + MAX_SIZE).contains(&address) {
                return None;
            }
            // mov $__KERNEL_DS, %eax; mov %eax, %ds
            let at = address.checked_sub(start)? as usize;
            match memory.get(at..at.checked_add(7)?)? {
                [0xb8, 0x18, 0, 0, 0, 0x8e, 0xd8] => Some(address),
                _ => None,
            }
        })
    }
}

/// The far jump that sends a CPU from a kernel's trampoline to ours at `to`, which is page-aligned and
/// below 1 MiB.
pub fn redirection(to: u32) -> [u8; REDIRECTION] {
    // The segment, times 16, is where ours begins.
    let [s0, s1, ..] = (to >> 4).to_le_bytes();
    [0xea, 0, 0, s0, s1]
}

/// Whether these are the first bytes of a trampoline that somebody has redirected and not put back.
pub fn is_redirected(entry: [u8; REDIRECTION]) -> bool {
    let [_, _, _, s0, s1] = entry;
    let to = u32::from(u16::from_le_bytes([s0, s1])) * 16;
    redirection(to) == entry && super::low_memory::RANGE.contains(&to)
}

/// What the restart guard puts where a kernel would leave for the BIOS, in 32-bit code: load the
/// kernel's flat data segment, write `value` to the byte at `marker`, halt for good. The host sees
/// the marker and sends INIT.
pub fn restart_guard(marker: u32, value: u8) -> [u8; 18] {
    let [m0, m1, m2, m3] = marker.to_le_bytes();
    [
        0xfa, // cli
        0xb8, 0x18, 0, 0, 0, // mov $__KERNEL_DS, %eax
        0x8e, 0xd8, // mov %eax, %ds
        0xc6, 0x05, m0, m1, m2, m3, value, // movb $value, marker
        0xf4,  // hlt
        0xeb, 0xfd, // jmp to hlt
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u32 = 0x24000;

    /// Low memory with a kernel's code as 6.1 lays it out.
    fn memory(wbinvd: bool) -> Vec<u8> {
        let mut memory = vec![0; 48 << 10];
        let (base, trampoline) = (START + 0x4000, START + 0x5000);
        let at = 0x5000;
        let mut code = vec![0xfa];
        if wbinvd {
            code.extend([0x0f, 0x09]);
        }
        let next = trampoline + code.len() as u32 + 5 - base;
        code.push(0xea);
        code.extend((next as u16).to_le_bytes());
        code.extend(((base / 16) as u16).to_le_bytes());
        memory[at..at + code.len()].copy_from_slice(&code);
        let restart: u32 = base + 0x2000;
        memory[0x4000 + 36..0x4000 + 40].copy_from_slice(&restart.to_le_bytes());
        memory[0x4000 + 40..0x4000 + 44].copy_from_slice(&8_u32.to_le_bytes());
        memory[0x6000..0x6007].copy_from_slice(&[0xb8, 0x18, 0, 0, 0, 0x8e, 0xd8]);
        memory
    }

    #[test]
    fn finds_either_form() {
        for wbinvd in [false, true] {
            let memory = memory(wbinvd);
            let code = RealModeCode::find(&memory, START).unwrap();
            assert_eq!((code.base, code.trampoline), (START + 0x4000, START + 0x5000));
            assert_eq!(code.entry, memory[0x5000..0x5005]);
            assert_eq!(code.restart(&memory, START), Some(START + 0x6000));
        }
    }

    #[test]
    fn a_redirection_is_told_from_all_else() {
        assert_eq!(redirection(0x2_4000), [0xea, 0, 0, 0, 0x24]);
        assert!(is_redirected(redirection(0x1_0000)));
        for wbinvd in [false, true] {
            let code = RealModeCode::find(&memory(wbinvd), START).unwrap();
            assert!(!is_redirected(code.entry));
        }
        assert!(!is_redirected(redirection(0x4000)), "no partition has its trampoline there");
        assert!(!is_redirected([0xea, 1, 0, 0, 0x24]));
        assert!(!is_redirected([0; REDIRECTION]));
    }

    #[test]
    fn other_code_is_left_alone() {
        let mut memory = memory(false);
        memory[0x6001] = 0x10;
        let code = RealModeCode::find(&memory, START).unwrap();
        assert_eq!(code.restart(&memory, START), None);
        memory[0x5002] ^= 1;
        assert_eq!(RealModeCode::find(&memory, START), None);
    }

    proptest::proptest! {
        #[test]
        fn no_memory_panics(mut memory: Vec<u8>, base: u32) {
            let _ = RealModeCode::find(&memory, START);
            memory.resize(4096, 0xfa);
            let _ = RealModeCode::find(&memory, START);
            let code = RealModeCode { base: base % (1 << 20), trampoline: 0, entry: [0; 5] };
            let _ = code.restart(&memory, START);
        }
    }
}
