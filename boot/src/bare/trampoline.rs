//! A CPU's way from the first instruction after SIPI to the kernel.
//!
//! The CPU starts in real mode at a page below 1 MiB. It goes to long mode at once on page tables
//! that must lie below 4 GiB, then loads the final tables, which may lie anywhere, and enters the
//! kernel as the 64-bit boot protocol wants it (Documentation/arch/x86/boot.rst).

use std::arch::global_asm;

use crate::units::PhysAddr;

/// Bytes that the trampoline takes: one page of code and data, three of page tables.
pub const SIZE: usize = 4 * PAGE;

const PAGE: usize = 4096;

/// Offsets in the first page. The code is assembled with the same numbers.
mod offset {
    /// `u32`: root of the tables below 4 GiB.
    pub const FIRST_ROOT: usize = 0x800;
    /// `u64`: root of the final tables.
    pub const FINAL_ROOT: usize = 0x808;
    /// `u64`: the kernel's entry point.
    pub const ENTRY: usize = 0x810;
    /// `u64`: the zero page.
    pub const BOOT_PARAMS: usize = 0x818;
    /// `u64`: how far the CPU has come.
    pub const PROGRESS: usize = 0x828;
    /// `u8`: written by the restart guard.
    pub const RESTART_MARKER: usize = 0x830;
    /// Limit and base for `lgdt`.
    pub const GDT_POINTER: usize = 0x840;
    /// Offset and selector for the jump to long mode.
    pub const LONG_MODE_POINTER: usize = 0x850;
    /// Four descriptors.
    pub const GDT: usize = 0x900;
}

pub use offset::{PROGRESS, RESTART_MARKER};

// The stack that the kernel finds is the unused space below the data.
global_asm!(
    r#"
    .pushsection .rodata.bare_trampoline, "a"
    .code16
    .globl bare_trampoline_start
    .globl bare_trampoline_long_mode
    .globl bare_trampoline_end
bare_trampoline_start:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    movl $0x11, 0x828              # progress: real mode
    lgdtl 0x840
    movl %cr4, %eax
    orl $0x20, %eax                # PAE
    movl %eax, %cr4
    movl 0x800, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx         # EFER
    rdmsr
    orl $0x100, %eax               # LME
    wrmsr
    movl $0x80000033, %eax         # PG NE ET MP PE; caches on
    movl %eax, %cr0
    ljmpl *0x850
    .code64
bare_trampoline_long_mode:
    movl $0x18, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    leaq bare_trampoline_start(%rip), %rbx
    movq $0x22, 0x828(%rbx)        # progress: long mode
    movq 0x808(%rbx), %rax
    movq %rax, %cr3
    leaq 0x800(%rbx), %rsp
    movq $0x33, 0x828(%rbx)        # progress: on the final tables
    movq 0x818(%rbx), %rsi
    movq 0x810(%rbx), %rax
    xorl %ecx, %ecx
    xorl %edx, %edx
    xorl %edi, %edi
    xorl %ebp, %ebp
    jmpq *%rax
bare_trampoline_end:
    .popsection
    "#,
    options(att_syntax)
);

unsafe extern "C" {
    static bare_trampoline_start: u8;
    static bare_trampoline_long_mode: u8;
    static bare_trampoline_end: u8;
}

/// How far a CPU has come on its way to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// The trampoline has not been reached.
    NotStarted,
    /// It runs in real mode.
    RealMode,
    /// It runs in long mode.
    LongMode,
    /// It has loaded the final page tables and jumps to the kernel.
    Entered,
}

impl Progress {
    /// From the word at [`PROGRESS`].
    pub fn from_word(word: u64) -> Self {
        match word {
            0x11 => Self::RealMode,
            0x22 => Self::LongMode,
            0x33 => Self::Entered,
            _ => Self::NotStarted,
        }
    }
}

/// What the trampoline jumps to.
#[derive(Clone, Copy, Debug)]
pub struct Destination {
    /// The final page tables.
    pub page_tables: PhysAddr,
    /// The kernel's 64-bit entry point.
    pub entry: PhysAddr,
    /// The zero page.
    pub boot_params: PhysAddr,
}

/// The trampoline for the page at `base`, which lies below 1 MiB and is page-aligned.
pub fn image(base: u32, destination: Destination) -> Vec<u8> {
    /// A flat 64-bit code segment and a flat data segment (Intel SDM volume 3A, 3.4.5).
    const CODE_64: u64 = 0x00af_9a00_0000_ffff;
    const DATA: u64 = 0x00cf_9200_0000_ffff;
    const CODE_SELECTOR: u16 = 0x10;
    const PRESENT_WRITABLE: u64 = 0b11;
    const LARGE: u64 = 1 << 7;

    let (code, long_mode) = code();
    let mut image = vec![0; SIZE];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = image.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, code);
    put(offset::FIRST_ROOT, &(base + PAGE as u32).to_le_bytes());
    put(offset::FINAL_ROOT, &destination.page_tables.0.to_le_bytes());
    put(offset::ENTRY, &destination.entry.0.to_le_bytes());
    put(offset::BOOT_PARAMS, &destination.boot_params.0.to_le_bytes());
    put(offset::GDT_POINTER, &31_u16.to_le_bytes());
    put(offset::GDT_POINTER + 2, &(base + offset::GDT as u32).to_le_bytes());
    put(offset::LONG_MODE_POINTER, &(base + long_mode).to_le_bytes());
    put(offset::LONG_MODE_POINTER + 4, &CODE_SELECTOR.to_le_bytes());
    put(offset::GDT + 16, &CODE_64.to_le_bytes());
    put(offset::GDT + 24, &DATA.to_le_bytes());
    // The first 2 MiB onto themselves.
    let table = |n: u64| u64::from(base) + n * PAGE as u64;
    put(PAGE, &(table(2) | PRESENT_WRITABLE).to_le_bytes());
    put(2 * PAGE, &(table(3) | PRESENT_WRITABLE).to_le_bytes());
    put(3 * PAGE, &(PRESENT_WRITABLE | LARGE).to_le_bytes());
    image
}

/// The code and, in it, where long mode begins.
fn code() -> (&'static [u8], u32) {
    let start = &raw const bare_trampoline_start;
    let long_mode = &raw const bare_trampoline_long_mode;
    let end = &raw const bare_trampoline_end;
    // SAFETY: the three symbols are labels in one read-only section, in this order, so start..end is
    // one initialised object that lives as long as the program.
    unsafe {
        let length = end.offset_from(start) as usize;
        (std::slice::from_raw_parts(start, length), long_mode.offset_from(start) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_data_do_not_overlap() {
        let (code, long_mode) = code();
        assert!(code.len() < offset::FIRST_ROOT - 256, "no room for a stack");
        assert!((long_mode as usize) < code.len());
        assert_eq!(code[0], 0xfa, "the first instruction must be cli");
    }

    #[test]
    fn the_data_points_into_the_page() {
        let destination = Destination {
            page_tables: PhysAddr(0x1_4001_0000),
            entry: PhysAddr(0x1_4020_0000),
            boot_params: PhysAddr(0x1_4000_1000),
        };
        let image = image(0x20000, destination);
        assert_eq!(image.len(), SIZE);
        assert_eq!(&image[0x800..0x804], &0x21000_u32.to_le_bytes());
        assert_eq!(&image[0x842..0x846], &0x20900_u32.to_le_bytes());
        assert_eq!(&image[0x810..0x818], &0x1_4020_0000_u64.to_le_bytes());
        assert_eq!(image[0x1000] & 3, 3);
    }
}
