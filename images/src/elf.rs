//! ELF files (System V ABI, x86-64 supplement): just as much as kernels and their modules need.

/// Why a file is not an ELF file that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// The magic number is missing.
    #[error("not an ELF file")]
    NotElf,
    /// 32 bits, another byte order or another processor.
    #[error("not an ELF file for x86-64")]
    OtherMachine,
    /// A table or segment lies outside the file.
    #[error("damaged ELF file: {0} lies outside the file")]
    Outside(&'static str),
    /// A segment contradicts itself.
    #[error("damaged ELF file: segment {index}: {what}")]
    Segment {
        /// Its index in the program header table.
        index: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Nothing to load.
    #[error("ELF file without anything to load")]
    Empty,
    /// The kernel would begin where nothing is loaded.
    #[error("damaged ELF file: its entry point {0:#x} lies in no loaded segment")]
    Entry(u64),
}

/// A part of the file that is loaded into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in the file, in bytes.
    pub file_offset: u64,
    /// Bytes in the file.
    pub file_size: u64,
    /// Physical address that it is linked for.
    pub physical: u64,
    /// Virtual address that it is linked for.
    pub virtual_address: u64,
    /// Bytes in memory, never less than `file_size`; the rest is zero.
    pub memory_size: u64,
}

/// A kernel as an ELF file, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelElf {
    /// Physical address of the 64-bit entry point; inside a segment.
    pub entry: u64,
    /// What to load, in the file's order; each lies within the file.
    pub segments: Vec<Segment>,
}

const MACHINE_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PROGRAM_HEADER: u64 = 56;
const SECTION_HEADER: u64 = 64;
/// More than any kernel has; bounds the work.
const MAX_SEGMENTS: u16 = 64;

fn field<const N: usize>(bytes: &[u8], offset: u64) -> Option<[u8; N]> {
    let start = usize::try_from(offset).ok()?;
    bytes.get(start..start.checked_add(N)?)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], offset: u64) -> Option<u16> {
    field(bytes, offset).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], offset: u64) -> Option<u32> {
    field(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: u64) -> Option<u64> {
    field(bytes, offset).map(u64::from_le_bytes)
}

fn range(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    bytes.get(start..end)
}

/// Whether a program asks for a dynamic linker.
///
/// # Errors
///
/// [`ElfError`] where it is no ELF file for x86-64, or its program headers lie outside it.
pub fn needs_interpreter(bytes: &[u8]) -> Result<bool, ElfError> {
    const PT_INTERP: u32 = 3;
    identify(bytes)?;
    let outside = ElfError::Outside("the program header table");
    let (Some(table), Some(count)) = (u64_at(bytes, 32), u16_at(bytes, 56)) else {
        return Err(ElfError::Outside("the ELF header"));
    };
    for index in 0..u64::from(count) {
        let at = table.checked_add(index * PROGRAM_HEADER).ok_or(outside.clone())?;
        if u32_at(bytes, at).ok_or(outside.clone())? == PT_INTERP {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Checks the first 64 bytes.
fn identify(bytes: &[u8]) -> Result<(), ElfError> {
    if !bytes.starts_with(b"\x7fELF") {
        return Err(ElfError::NotElf);
    }
    // EI_CLASS 2: 64 bits; EI_DATA 1: little-endian.
    let class = bytes.get(4..6);
    if class != Some(&[2, 1]) || u16_at(bytes, 18) != Some(MACHINE_X86_64) {
        return Err(ElfError::OtherMachine);
    }
    Ok(())
}

/// Reads a kernel and checks everything that loading it relies on.
///
/// # Errors
///
/// Every variant of [`ElfError`].
pub fn kernel(bytes: &[u8]) -> Result<KernelElf, ElfError> {
    identify(bytes)?;
    let outside = ElfError::Outside("the program header table");
    let header = (u64_at(bytes, 24), u64_at(bytes, 32), u16_at(bytes, 54), u16_at(bytes, 56));
    let (Some(entry), Some(table), Some(size), Some(count)) = header else {
        return Err(ElfError::Outside("the ELF header"));
    };
    if u64::from(size) != PROGRAM_HEADER || count > MAX_SEGMENTS {
        return Err(outside);
    }
    let mut segments = Vec::new();
    for index in 0..usize::from(count) {
        let start = table.checked_add(index as u64 * PROGRAM_HEADER).ok_or(outside.clone())?;
        let header = range(bytes, start, PROGRAM_HEADER).ok_or(outside.clone())?;
        if u32_at(header, 0) != Some(PT_LOAD) {
            continue;
        }
        let read = |offset| u64_at(header, offset).ok_or(outside.clone());
        let segment = Segment {
            file_offset: read(8)?,
            virtual_address: read(16)?,
            physical: read(24)?,
            file_size: read(32)?,
            memory_size: read(40)?,
        };
        check(bytes, index, &segment)?;
        segments.push(segment);
    }
    if segments.is_empty() {
        return Err(ElfError::Empty);
    }
    let loaded = |segment: &Segment| {
        entry.checked_sub(segment.physical).is_some_and(|into| into < segment.file_size)
    };
    if !segments.iter().any(loaded) {
        return Err(ElfError::Entry(entry));
    }
    Ok(KernelElf { entry, segments })
}

fn check(bytes: &[u8], index: usize, segment: &Segment) -> Result<(), ElfError> {
    let wrong = |what| Err(ElfError::Segment { index, what });
    if range(bytes, segment.file_offset, segment.file_size).is_none() {
        return Err(ElfError::Outside("a segment"));
    }
    if segment.memory_size < segment.file_size {
        return wrong("it takes less memory than it has bytes");
    }
    if segment.physical.checked_add(segment.memory_size).is_none()
        || segment.virtual_address.checked_add(segment.memory_size).is_none()
    {
        return wrong("it ends beyond the last address");
    }
    Ok(())
}

/// The contents of the first section called `name`, `None` where there is none.
///
/// # Errors
///
/// [`ElfError`] where `bytes` is no ELF file for x86-64, or a table lies outside it.
pub fn section<'a>(bytes: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, ElfError> {
    identify(bytes)?;
    let outside = ElfError::Outside("the section header table");
    let header = (u64_at(bytes, 40), u16_at(bytes, 58), u16_at(bytes, 60), u16_at(bytes, 62));
    let (Some(table), Some(size), Some(count), Some(names)) = header else {
        return Err(ElfError::Outside("the ELF header"));
    };
    if u64::from(size) != SECTION_HEADER {
        return Err(outside);
    }
    // Offset and size of a section's contents.
    let section = |index: u16| -> Option<(u32, u64, u64)> {
        let start = table.checked_add(u64::from(index) * SECTION_HEADER)?;
        let header = range(bytes, start, SECTION_HEADER)?;
        Some((u32_at(header, 0)?, u64_at(header, 24)?, u64_at(header, 32)?))
    };
    let (_, strings, length) = section(names).ok_or(outside.clone())?;
    let strings = range(bytes, strings, length).ok_or(ElfError::Outside("the section names"))?;
    for index in 0..count {
        let (at, offset, size) = section(index).ok_or(outside.clone())?;
        let found = strings.get(at as usize..).unwrap_or_default();
        if found.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)) {
            let contents = range(bytes, offset, size);
            return contents.map(Some).ok_or(ElfError::Outside("a section"));
        }
    }
    Ok(None)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A kernel of one segment at 16 MiB that holds `code`.
    pub(crate) fn small_kernel(code: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64 + PROGRAM_HEADER as usize, 0);
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(16, &2_u16.to_le_bytes());
        put(18, &MACHINE_X86_64.to_le_bytes());
        put(24, &0x100_0000_u64.to_le_bytes());
        put(32, &64_u64.to_le_bytes());
        put(54, &(PROGRAM_HEADER as u16).to_le_bytes());
        put(56, &1_u16.to_le_bytes());
        put(64, &PT_LOAD.to_le_bytes());
        put(64 + 8, &120_u64.to_le_bytes());
        put(64 + 16, &0xffff_ffff_8100_0000_u64.to_le_bytes());
        put(64 + 24, &0x100_0000_u64.to_le_bytes());
        put(64 + 32, &(code.len() as u64).to_le_bytes());
        put(64 + 40, &(code.len() as u64 + 4096).to_le_bytes());
        bytes.extend_from_slice(code);
        bytes
    }

    #[test]
    fn a_kernel_is_read() {
        let read = kernel(&small_kernel(b"code")).unwrap();
        assert_eq!(read.entry, 0x100_0000);
        assert_eq!(read.segments.len(), 1);
        assert_eq!(read.segments[0].memory_size, 4100);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let good = small_kernel(b"code");
        let broken = |at: usize, value: &[u8]| {
            let mut bytes = good.clone();
            bytes[at..at + value.len()].copy_from_slice(value);
            kernel(&bytes).unwrap_err()
        };
        assert_eq!(broken(0, b"x"), ElfError::NotElf);
        assert_eq!(broken(4, &[1]), ElfError::OtherMachine);
        assert_eq!(broken(24, &[0xff]), ElfError::Entry(0x100_00ff));
        assert!(matches!(broken(64 + 8, &[0xff; 8]), ElfError::Outside(_)));
        assert!(matches!(broken(64 + 40, &[0; 8]), ElfError::Segment { .. }));
        assert!(matches!(broken(64 + 40, &[0xff; 8]), ElfError::Segment { .. }));
        assert_eq!(broken(64, &[0]), ElfError::Empty);
        assert!(kernel(&good[..good.len() - 1]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, at: proptest::sample::Index) {
            let _ = section(&bytes, ".modinfo");
            let mut whole = small_kernel(b"code");
            let at = at.index(whole.len());
            for (to, from) in whole.iter_mut().skip(at).zip(&bytes) {
                *to = *from;
            }
            let _ = kernel(&whole);
            let _ = needs_interpreter(&whole);
            let _ = section(&whole, ".modinfo");
        }
    }
}
