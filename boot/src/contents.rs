//! What a partition is given to run: its kernel and its initramfs, opened, measured, and copied.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use vm_memory::{Bytes as _, GuestAddress};

use crate::boot_params::{self, TooFragmented};
use crate::kernel::{self, KernelError, KernelShape};
use crate::kernel_log::{Anchor, AnchorError};
use crate::layout::{Layout, LayoutError};
use crate::memory::{PartitionMemory, Segment};
use crate::units::{Bytes, PhysAddr};

/// Why it cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// the kernel file
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// a part of the initramfs cannot be read
    #[error("the initramfs part {} cannot be read", path.display())]
    Initramfs {
        /// The part.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// no room
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// memory in too many pieces
    #[error(transparent)]
    Fragmented(#[from] TooFragmented),
}

/// Kernel and initramfs, opened and measured.
pub struct Contents {
    kernel: File,
    shape: KernelShape,
    parts: Vec<Part>,
    initramfs: Bytes,
}

struct Part {
    path: PathBuf,
    file: File,
    /// Where in the whole initramfs.
    at: u64,
    size: u64,
}

/// What lies where, once kernel and initramfs are loaded.
pub struct Loaded {
    /// Where everything lies.
    pub layout: Layout,
    /// Where the kernel was linked to be.
    pub linked_at: PhysAddr,
    /// Where the kernel is entered.
    pub entry: PhysAddr,
    /// The size of the initramfs.
    pub initramfs: Bytes,
    /// Where the kernel's file keeps its log.
    pub anchor: Result<Anchor, AnchorError>,
}

impl Contents {
    /// Opens the kernel, an uncompressed ELF file, and the archives of the initramfs.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] where one cannot be read, or the kernel is none.
    pub fn open(kernel: &Path, initramfs: &[PathBuf]) -> Result<Self, ContentsError> {
        let mut kernel = File::open(kernel).map_err(KernelError::Read)?;
        let shape = kernel::shape(&mut kernel)?;
        let mut parts = Vec::new();
        let mut end = 0_u64;
        for path in initramfs {
            let unreadable = |source| ContentsError::Initramfs { path: path.clone(), source };
            let file = File::open(path).map_err(unreadable)?;
            let size = file.metadata().map_err(unreadable)?.len();
            // Linux wants archives in an initramfs at multiples of four.
            let at = end.next_multiple_of(4);
            end = at.saturating_add(size);
            parts.push(Part { path: path.clone(), file, at, size });
        }
        Ok(Self { kernel, shape, parts, initramfs: Bytes(end) })
    }

    /// Where everything lies in memory of these segments.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] where something has no room.
    pub fn layout(&self, segments: &[Segment]) -> Result<Layout, ContentsError> {
        if segments.len() > boot_params::MAX_SEGMENTS {
            return Err(TooFragmented(segments.len()).into());
        }
        Ok(Layout::new(segments, self.shape, self.initramfs)?)
    }

    /// Copies kernel and initramfs to memory that is zero.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] where something has no room or cannot be read.
    pub fn load(
        self,
        memory: &PartitionMemory,
        segments: &[Segment],
    ) -> Result<Loaded, ContentsError> {
        let layout = self.layout(segments)?;
        let Self { kernel: mut file, shape, parts, initramfs } = self;
        let entry = kernel::load(memory, &mut file, shape, layout.kernel.start)?;
        for Part { path, file: mut part, at, size } in parts {
            let to = GuestAddress(layout.initramfs.start.0.saturating_add(at));
            memory.read_exact_volatile_from(to, &mut part, size as usize).map_err(|error| {
                ContentsError::Initramfs { path: path.clone(), source: io::Error::other(error) }
            })?;
        }
        let anchor = Anchor::find(&mut file);
        Ok(Loaded { layout, linked_at: shape.linked_at, entry, initramfs, anchor })
    }
}

/// Entropy for a kernel's random number generator.
///
/// # Errors
///
/// What open(2) and read(2) of `/dev/urandom` say.
pub fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}
