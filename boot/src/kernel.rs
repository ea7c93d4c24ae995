//! Loading an ELF kernel (`vmlinux`).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use linux_loader::loader::KernelLoader;
use linux_loader::loader::elf::Elf;
use vm_memory::GuestAddress;

use crate::memory::PartitionMemory;
use crate::units::{Bytes, PhysAddr};

/// What an ELF kernel needs to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelShape {
    /// The physical address that it is linked for (`CONFIG_PHYSICAL_START`, as a rule 16 MiB).
    pub linked_at: PhysAddr,
    /// From its first to its last byte in memory.
    pub size: Bytes,
}

/// Why a file cannot be loaded as a kernel.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// the file cannot be read
    #[error("the kernel cannot be read")]
    Read(#[from] io::Error),
    /// not a 64-bit x86 ELF file
    #[error("the kernel is no 64-bit x86 ELF file: build its image again")]
    NotElf,
    /// a header that contradicts itself or the file
    #[error("the kernel's ELF headers contradict themselves ({0}): build its image again")]
    Contradiction(&'static str),
    /// linux-loader refused it
    #[error("the kernel cannot be loaded: {0}")]
    Load(#[from] linux_loader::loader::Error),
}

const ELF64_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const PT_LOAD: u32 = 1;
const EM_X86_64: u16 = 62;

/// A kernel has a handful of program headers; more than this is not one.
const MAX_PROGRAM_HEADERS: u16 = 64;

/// Reads the headers of an ELF kernel and checks them against each other and the file's length.
///
/// # Errors
///
/// [`KernelError`] where it is no kernel that can be loaded.
pub fn shape<F: Read + Seek>(file: &mut F) -> Result<KernelShape, KernelError> {
    let length = file.seek(SeekFrom::End(0))?;
    let header: [u8; ELF64_HEADER] = read_at(file, 0)?;
    // 64-bit, little-endian (System V ABI, figure 4-4).
    if !header.starts_with(b"\x7fELF\x02\x01") || u16_at(&header, 18) != EM_X86_64 {
        return Err(KernelError::NotElf);
    }
    let entry = u64_at(&header, 24);
    let table = u64_at(&header, 32);
    let count = u16_at(&header, 56);
    if u16_at(&header, 54) as usize != PROGRAM_HEADER {
        return Err(KernelError::Contradiction("size of a program header"));
    }
    if count > MAX_PROGRAM_HEADERS {
        return Err(KernelError::Contradiction("number of program headers"));
    }
    let (mut first, mut last, mut entry_is_inside) = (u64::MAX, 0, false);
    for index in 0..u64::from(count) {
        let at = table
            .checked_add(index * PROGRAM_HEADER as u64)
            .ok_or(KernelError::Contradiction("place of the program headers"))?;
        let header: [u8; PROGRAM_HEADER] = read_at(file, at)?;
        if u32_at(&header, 0) != PT_LOAD {
            continue;
        }
        let (offset, start) = (u64_at(&header, 8), u64_at(&header, 24));
        let (in_file, in_memory) = (u64_at(&header, 32), u64_at(&header, 40));
        if in_file > in_memory {
            return Err(KernelError::Contradiction("a segment larger in the file than in memory"));
        }
        if offset.checked_add(in_file).is_none_or(|end| end > length) {
            return Err(KernelError::Contradiction("a segment beyond the end of the file"));
        }
        let end = start
            .checked_add(in_memory)
            .ok_or(KernelError::Contradiction("a segment beyond the address space"))?;
        first = first.min(start);
        last = last.max(end);
        entry_is_inside |= (start..end).contains(&entry);
    }
    if first >= last {
        return Err(KernelError::Contradiction("no segment to load"));
    }
    if !entry_is_inside {
        return Err(KernelError::Contradiction("an entry outside of every segment"));
    }
    Ok(KernelShape { linked_at: PhysAddr(first), size: Bytes(last - first) })
}

/// Loads an ELF kernel so that its first byte lies at `to`, and returns its entry point. The memory
/// must be zero before, or at least where the kernel expects zeros.
///
/// # Errors
///
/// [`KernelError::Load`] where it does not fit or cannot be read.
pub fn load(
    memory: &PartitionMemory,
    file: &mut File,
    shape: KernelShape,
    to: PhysAddr,
) -> Result<PhysAddr, KernelError> {
    let offset =
        to.0.checked_sub(shape.linked_at.0)
            .ok_or(KernelError::Contradiction("linked above the memory it is loaded to"))?;
    let loaded = Elf::load(memory, Some(GuestAddress(offset)), file, None)?;
    Ok(PhysAddr(loaded.kernel_load.0))
}

fn read_at<const N: usize, F: Read + Seek>(file: &mut F, at: u64) -> Result<[u8; N], KernelError> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => KernelError::NotElf,
        _ => KernelError::Read(error),
    })?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    little_endian::<2>(bytes, at) as u16
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    little_endian::<4>(bytes, at) as u32
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    little_endian::<8>(bytes, at)
}

fn little_endian<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + N)
        .unwrap_or_default()
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// A file of one program header and `body` bytes.
    fn elf(change: impl FnOnce(&mut Vec<u8>)) -> Cursor<Vec<u8>> {
        let mut file = vec![0; ELF64_HEADER + PROGRAM_HEADER + 256];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18] = EM_X86_64 as u8;
        file[24..32].copy_from_slice(&0x100_0000_u64.to_le_bytes());
        file[32] = ELF64_HEADER as u8;
        file[54] = PROGRAM_HEADER as u8;
        file[56] = 1;
        let header = &mut file[ELF64_HEADER..ELF64_HEADER + PROGRAM_HEADER];
        header[0] = 1;
        header[8] = (ELF64_HEADER + PROGRAM_HEADER) as u8;
        header[24..32].copy_from_slice(&0x100_0000_u64.to_le_bytes());
        header[32..40].copy_from_slice(&256_u64.to_le_bytes());
        header[40..48].copy_from_slice(&4096_u64.to_le_bytes());
        change(&mut file);
        Cursor::new(file)
    }

    #[test]
    fn a_kernel_tells_its_shape() {
        assert_eq!(
            shape(&mut elf(|_| ())).unwrap(),
            KernelShape { linked_at: PhysAddr(0x100_0000), size: Bytes(4096) }
        );
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |change: fn(&mut Vec<u8>)| shape(&mut elf(change)).unwrap_err();
        assert!(matches!(refused(|file| file[4] = 1), KernelError::NotElf));
        assert!(matches!(refused(|file| file.truncate(40)), KernelError::NotElf));
        for change in [
            (|file| file.truncate(300)) as fn(&mut Vec<u8>),
            |file| file[27] = 0,
            |file| file[56] = 0,
            |file| file[57] = 1,
            |file| file[39] = 0xff,
            |file| file[ELF64_HEADER + 39] = 0xff,
            |file| file[ELF64_HEADER + 41] = 0,
        ] {
            let mut broken = elf(change);
            assert!(shape(&mut broken).is_err(), "{:02x?}", broken.into_inner());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(mut bytes: Vec<u8>, tail: Vec<u8>) {
            let _ = shape(&mut Cursor::new(bytes.clone()));
            bytes.splice(..0, b"\x7fELF\x02\x01".iter().copied());
            bytes.resize(18, 0);
            bytes.extend_from_slice(&[62, 0]);
            bytes.extend(tail);
            let _ = shape(&mut Cursor::new(bytes));
        }
    }
}
