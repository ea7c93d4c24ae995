//! Where everything lies in a partition's memory.
//!
//! The largest segment is the main one. It begins with a mebibyte that is reserved in the memory
//! map (boot parameters, command line, ACPI tables, page tables), then the kernel at the next 2 MiB
//! boundary; it ends with the mailbox. The initramfs lies below the mailbox, or in another segment
//! where the main one has no room left.

use serde::{Deserialize, Serialize};

use crate::kernel::KernelShape;
use crate::memory::Segment;
use crate::units::{Bytes, PhysAddr};

/// Reserved at the start of the main segment.
pub const TABLES: Bytes = Bytes::mib(1);

/// The kernel's physical address is a multiple of this: the default of `CONFIG_PHYSICAL_ALIGN` on
/// x86-64 (arch/x86/Kconfig), and the size of the pages that map it at first.
pub const KERNEL_ALIGNMENT: u64 = 2 << 20;

const BOOT_PARAMS: u64 = 0x1000;
const COMMAND_LINE: u64 = 0x2000;
const SETUP_DATA: u64 = 0x3000;
const ACPI: u64 = 0x4000;
const PAGE_TABLES: u64 = 0x10000;

/// Bytes that the ACPI tables may take.
pub const ACPI_ROOM: u64 = PAGE_TABLES - ACPI;

/// Bytes that the page tables may take.
pub const PAGE_TABLES_ROOM: u64 = TABLES.0 - PAGE_TABLES;

/// Where everything lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// All memory of the partition above 1 MiB, ascending.
    pub segments: Vec<Segment>,
    /// The segment that holds tables, kernel and mailbox.
    pub main: Segment,
    /// Room for the kernel; it starts at the address that the kernel is loaded to.
    pub kernel: Segment,
    /// The initramfs, a whole number of pages reserved for it.
    pub initramfs: Segment,
    /// The mailbox: control channel and reset register.
    pub mailbox: Segment,
}

/// Why a partition's memory cannot hold what it must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// the largest contiguous piece is too small for the kernel
    #[error(
        "the largest contiguous piece of the partition's memory is {largest}, its kernel needs \
         {needed}: give it more memory, or 1 GiB pages"
    )]
    Kernel {
        /// The largest segment.
        largest: Bytes,
        /// What kernel, tables and mailbox take.
        needed: Bytes,
    },
    /// no contiguous piece holds the initramfs
    #[error(
        "no contiguous piece of the partition's memory has {needed} left for the initramfs: give \
         it more memory, or 1 GiB pages"
    )]
    Initramfs {
        /// The initramfs.
        needed: Bytes,
    },
}

impl Layout {
    /// Lays out `segments` (ascending, not touching each other) for a kernel and an initramfs. The kernel
    /// comes no lower than where it is linked to be.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] where something has no room.
    pub fn new(
        segments: &[Segment],
        kernel: KernelShape,
        initramfs: Bytes,
    ) -> Result<Self, LayoutError> {
        let mailbox_size = protocol::mailbox::SIZE as u64;
        let main = segments
            .iter()
            .copied()
            .max_by_key(|segment| segment.size)
            .unwrap_or(Segment { start: PhysAddr(0), size: Bytes(0) });
        let above_tables = main.start.0.saturating_add(TABLES.0);
        let start = above_tables.max(kernel.linked_at.0);
        let start = start.checked_next_multiple_of(KERNEL_ALIGNMENT).unwrap_or(u64::MAX);
        // What an ELF kernel takes in memory includes all that it uses before it knows its memory map.
        let end = start.saturating_add(kernel.size.0).saturating_add(mailbox_size);
        if main.end().0 < end {
            let needed = Bytes(end - main.start.0);
            return Err(LayoutError::Kernel { largest: main.size, needed });
        }
        let kernel = Segment { start: PhysAddr(start), size: kernel.size };
        let mailbox =
            Segment { start: PhysAddr(main.end().0 - mailbox_size), size: Bytes(mailbox_size) };
        let size = initramfs.0.saturating_add(0xfff) & !0xfff;
        let fits_below = |end: PhysAddr, floor: PhysAddr| {
            let start = end.0.checked_sub(size)? & !0xfff;
            (start >= floor.0).then_some(Segment { start: PhysAddr(start), size: Bytes(size) })
        };
        let initramfs = fits_below(mailbox.start, kernel.end())
            .or_else(|| {
                segments
                    .iter()
                    .filter(|segment| **segment != main)
                    .find_map(|segment| fits_below(segment.end(), segment.start))
            })
            .ok_or(LayoutError::Initramfs { needed: initramfs })?;
        Ok(Self { segments: segments.to_vec(), main, kernel, initramfs, mailbox })
    }

    /// The zero page.
    pub fn boot_params(&self) -> PhysAddr {
        self.table(BOOT_PARAMS)
    }

    /// The kernel's command line, one page.
    pub fn command_line(&self) -> PhysAddr {
        self.table(COMMAND_LINE)
    }

    /// One page of `setup_data`.
    pub fn setup_data(&self) -> PhysAddr {
        self.table(SETUP_DATA)
    }

    /// The ACPI tables, at most [`ACPI_ROOM`] bytes.
    pub fn acpi(&self) -> PhysAddr {
        self.table(ACPI)
    }

    /// The page tables that the kernel is entered on, at most [`PAGE_TABLES_ROOM`] bytes.
    pub fn page_tables(&self) -> PhysAddr {
        self.table(PAGE_TABLES)
    }

    fn table(&self, offset: u64) -> PhysAddr {
        PhysAddr(self.main.start.0.saturating_add(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start_mib: u64, size_mib: u64) -> Segment {
        Segment { start: PhysAddr(start_mib << 20), size: Bytes::mib(size_mib) }
    }

    fn kernel(size: Bytes) -> KernelShape {
        KernelShape { linked_at: PhysAddr(16 << 20), size }
    }

    #[test]
    fn a_kernel_lies_no_lower_than_it_is_linked() {
        let low = Segment { start: PhysAddr(1 << 20), size: Bytes::mib(127) };
        let layout = Layout::new(&[low], kernel(Bytes::mib(60)), Bytes::mib(8)).unwrap();
        assert_eq!(layout.kernel.start, PhysAddr(16 << 20));
        let most = Layout::new(&[low], kernel(Bytes::mib(110)), Bytes(0)).unwrap();
        assert_eq!(most.kernel.end(), most.mailbox.start);
        let more = Layout::new(&[low], kernel(Bytes(Bytes::mib(110).0 + 1)), Bytes(0));
        assert!(matches!(more, Err(LayoutError::Kernel { .. })));
    }

    #[test]
    fn the_largest_segment_is_the_main_one() {
        let segments = [segment(64, 32), segment(256, 448), segment(1024, 32)];
        let layout = Layout::new(&segments, kernel(Bytes::mib(60)), Bytes::mib(8)).unwrap();
        assert_eq!(layout.main, segments[1]);
        assert_eq!(layout.kernel.start, PhysAddr(258 << 20));
        assert_eq!(layout.mailbox.end(), segments[1].end());
        assert_eq!(layout.initramfs.end(), layout.mailbox.start);
    }

    #[test]
    fn an_initramfs_goes_where_there_is_room() {
        let segments = [segment(64, 96), segment(256, 90)];
        let layout = Layout::new(&segments, kernel(Bytes::mib(60)), Bytes::mib(80)).unwrap();
        assert_eq!(layout.main, segments[0]);
        assert_eq!(layout.initramfs.end(), segments[1].end());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(matches!(
            Layout::new(&[segment(64, 62)], kernel(Bytes::mib(60)), Bytes::mib(1)),
            Err(LayoutError::Kernel { .. })
        ));
        assert!(matches!(
            Layout::new(&[segment(64, 96)], kernel(Bytes::mib(60)), Bytes::mib(64)),
            Err(LayoutError::Initramfs { .. })
        ));
        assert!(Layout::new(&[], kernel(Bytes(u64::MAX)), Bytes(u64::MAX)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn pieces_never_overlap(
            sizes in proptest::collection::vec(1u64..300, 1..8),
            kernel_mib in 1u64..100,
            initramfs_kib in 1u64..400_000,
        ) {
            let mut start = 16;
            let segments: Vec<_> = sizes
                .iter()
                .map(|size| {
                    let segment = segment(start, size * 2);
                    start += size * 2 + 2;
                    segment
                })
                .collect();
            let Ok(layout) =
                Layout::new(&segments, kernel(Bytes::mib(kernel_mib)), Bytes::kib(initramfs_kib))
            else {
                return Ok(());
            };
            let tables = Segment { start: layout.main.start, size: TABLES };
            let mut pieces = [tables, layout.kernel, layout.initramfs, layout.mailbox];
            pieces.sort();
            for pair in pieces.windows(2) {
                proptest::prop_assert!(pair[0].end() <= pair[1].start);
            }
            for piece in pieces {
                let inside = segments
                    .iter()
                    .any(|segment| segment.start <= piece.start && piece.end() <= segment.end());
                proptest::prop_assert!(inside);
            }
        }
    }
}
