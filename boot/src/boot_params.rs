//! The zero page: what a boot loader tells a kernel (Documentation/arch/x86/zero-page.rst).

use linux_loader::loader::bootparam::{boot_e820_entry, boot_params};
use vm_memory::ByteValued;

use crate::layout::{self, Layout};
use crate::memory::Segment;
use crate::units::{Bytes, PhysAddr};

/// Types of memory in the memory map (ACPI 6.5, table 15.4).
mod e820 {
    pub const RAM: u32 = 1;
    pub const RESERVED: u32 = 2;
}

/// `setup_data` that carries entropy (`SETUP_RNG_SEED`, arch/x86/include/uapi/asm/setup_data.h).
const SETUP_RNG_SEED: u32 = 9;

/// `type_of_loader` of a loader without an assigned number (boot.rst).
const LOADER_UNDEFINED: u8 = 0xff;

/// `loadflags`: the kernel is loaded high (boot.rst).
const LOADED_HIGH: u8 = 1;

/// The memory map has more entries than a zero page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the partition's memory lies in {0} pieces, at most {max} can be described: use 1 GiB pages, \
     or reserve its memory earlier, before the host's memory is fragmented",
    max = MAX_SEGMENTS
)]
pub struct TooFragmented(pub usize);

/// Segments that a partition's memory may lie in: a zero page has 128 entries, and low memory,
/// tables and mailbox take four.
pub const MAX_SEGMENTS: usize = 124;

/// The zero page for a kernel that is loaded as an ELF file.
///
/// # Errors
///
/// [`TooFragmented`] where the memory map has too many entries.
pub fn zero_page(
    layout: &Layout,
    low: Segment,
    initramfs: Bytes,
) -> Result<boot_params, TooFragmented> {
    let mut params = boot_params::default();
    params.hdr.boot_flag = 0xaa55;
    params.hdr.header = u32::from_le_bytes(*b"HdrS");
    // Protocol 2.15: new enough for all that follows.
    params.hdr.version = 0x020f;
    params.hdr.type_of_loader = LOADER_UNDEFINED;
    params.hdr.loadflags = LOADED_HIGH;
    params.hdr.kernel_alignment = layout::KERNEL_ALIGNMENT as u32;
    params.hdr.relocatable_kernel = 1;
    params.hdr.cmdline_size = crate::command_line::MAX as u32;
    (params.hdr.cmd_line_ptr, params.ext_cmd_line_ptr) = halves(layout.command_line().0);
    (params.hdr.ramdisk_image, params.ext_ramdisk_image) = halves(layout.initramfs.start.0);
    (params.hdr.ramdisk_size, params.ext_ramdisk_size) = halves(initramfs.0);
    params.hdr.setup_data = layout.setup_data().0;
    params.acpi_rsdp_addr = layout.acpi().0;

    let map = memory_map(layout, low);
    if map.len() > params.e820_table.len() {
        return Err(TooFragmented(layout.segments.len()));
    }
    params.e820_entries = map.len() as u8;
    for (entry, described) in params.e820_table.iter_mut().zip(map) {
        *entry = described;
    }
    Ok(params)
}

/// The memory map, ascending.
fn memory_map(layout: &Layout, low: Segment) -> Vec<boot_e820_entry> {
    let entry = |start: PhysAddr, end: PhysAddr, r#type| boot_e820_entry {
        addr: start.0,
        size: end.0 - start.0,
        r#type,
    };
    let mut map = vec![entry(low.start, low.end(), e820::RAM)];
    for segment in &layout.segments {
        if *segment == layout.main {
            let tables_end = PhysAddr(segment.start.0 + layout::TABLES.0);
            map.push(entry(segment.start, tables_end, e820::RESERVED));
            map.push(entry(tables_end, layout.mailbox.start, e820::RAM));
            map.push(entry(layout.mailbox.start, segment.end(), e820::RESERVED));
        } else {
            map.push(entry(segment.start, segment.end(), e820::RAM));
        }
    }
    map
}

/// The `setup_data` page: entropy for the kernel's random number generator, so that it needs no
/// hardware for it and two partitions of one image never agree.
pub fn setup_data(seed: [u8; 32]) -> Vec<u8> {
    let mut data = Vec::with_capacity(48);
    data.extend_from_slice(&0_u64.to_le_bytes());
    data.extend_from_slice(&SETUP_RNG_SEED.to_le_bytes());
    data.extend_from_slice(&(seed.len() as u32).to_le_bytes());
    data.extend_from_slice(&seed);
    data
}

/// The zero page as bytes.
pub fn as_bytes(params: &boot_params) -> &[u8] {
    params.as_slice()
}

fn halves(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::KernelShape;

    fn kernel() -> KernelShape {
        KernelShape { linked_at: PhysAddr(16 << 20), size: Bytes::mib(60) }
    }

    fn layout() -> Layout {
        let segments = [
            Segment { start: PhysAddr(64 << 20), size: Bytes::mib(32) },
            Segment { start: PhysAddr(5 << 30), size: Bytes::mib(480) },
        ];
        Layout::new(&segments, kernel(), Bytes::mib(8)).unwrap()
    }

    #[test]
    fn fields_lie_where_the_protocol_wants_them() {
        let layout = layout();
        let low = Segment { start: PhysAddr(0x24000), size: Bytes::kib(48) };
        let params = zero_page(&layout, low, Bytes(5 << 20)).unwrap();
        let bytes = as_bytes(&params);
        assert_eq!(bytes.len(), 4096);
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(&bytes[0x070..0x078], &layout.acpi().0.to_le_bytes());
        assert_eq!(&bytes[0x202..0x206], b"HdrS");
        assert_eq!(u32_at(0x218), layout.initramfs.start.0 as u32);
        assert_eq!(u32_at(0x0c0), (layout.initramfs.start.0 >> 32) as u32);
        assert_eq!(u32_at(0x21c), 5 << 20);
        assert_eq!(u32_at(0x228), layout.command_line().0 as u32);
        assert_eq!(bytes[0x1e8], 5);
        assert_eq!(&bytes[0x2d0..0x2d8], &0x24000_u64.to_le_bytes());
        assert_eq!(u32_at(0x2d0 + 16), e820::RAM);
    }

    #[test]
    fn too_many_pieces_are_refused() {
        let segments: Vec<_> = (0..126)
            .map(|n| Segment { start: PhysAddr((n * 256) << 20), size: Bytes::mib(128) })
            .collect();
        let layout = Layout::new(&segments, kernel(), Bytes::mib(8)).unwrap();
        let low = Segment { start: PhysAddr(0x24000), size: Bytes::kib(48) };
        assert_eq!(zero_page(&layout, low, Bytes(0)), Err(TooFragmented(126)));
    }
}
