//! The file that distributions call `vmlinuz`: setup code around a packed kernel.
//!
//! Offsets are those of the kernel's `Documentation/arch/x86/boot.rst`.

use crate::compress::{self, CompressError, Compression};
use crate::elf::{self, ElfError};

/// The largest kernel, unpacked, in bytes.
pub const MAX_KERNEL: u64 = 1 << 30;

/// Why a file is not a kernel that can be booted.
#[derive(Debug, thiserror::Error)]
pub enum BzImageError {
    /// Neither a bzImage nor an ELF file.
    #[error("not a Linux kernel: neither a bzImage nor an ELF file")]
    NotAKernel,
    /// The boot protocol is older than what tells a 64-bit entry point.
    #[error("a kernel with boot protocol {}.{}: 2.12 (Linux 3.8) or later is needed", .0 >> 8, .0 & 0xff)]
    TooOld(u16),
    /// A 32-bit kernel.
    #[error("a kernel without a 64-bit entry point: take one built for amd64")]
    Not64Bit,
    /// The file ends before its contents do.
    #[error("truncated kernel: {needed} bytes are needed and {found} are there; fetch it again")]
    Truncated {
        /// Bytes that the header promises.
        needed: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The kernel inside cannot be unpacked.
    #[error("the packed kernel cannot be unpacked: {0}")]
    Payload(#[from] CompressError),
    /// The payload's first bytes are no known magic number.
    #[error("the packed kernel has an unknown format (it begins with {0:02x?})")]
    UnknownPayload(Vec<u8>),
    /// What was unpacked is no proper ELF file.
    #[error("the unpacked kernel cannot be loaded: {0}")]
    Elf(#[from] ElfError),
    /// The version string is missing.
    #[error("a kernel that does not tell its version, so its modules cannot be found")]
    NoRelease,
}

/// The size of the header that is read here, in bytes.
const HEADER_END: usize = 0x250;
const SECTOR: u64 = 512;

struct Header {
    /// Bytes of the setup code, the boot sector included.
    setup: u64,
    version_offset: u16,
    payload_offset: u32,
    payload_length: u32,
}

fn header(bytes: &[u8]) -> Result<Header, BzImageError> {
    let magic = (bytes.get(0x1fe..0x200), bytes.get(0x202..0x206));
    match magic {
        (Some(&[0x55, 0xaa]), Some(b"HdrS")) => {}
        _ => return Err(BzImageError::NotAKernel),
    }
    let truncated =
        || BzImageError::Truncated { needed: HEADER_END as u64, found: bytes.len() as u64 };
    let u16_at = |at: usize| -> Result<u16, BzImageError> {
        let field = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or_else(truncated)?;
        Ok(u16::from_le_bytes(*field))
    };
    let u32_at = |at: usize| -> Result<u32, BzImageError> {
        let field = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or_else(truncated)?;
        Ok(u32::from_le_bytes(*field))
    };
    let version = u16_at(0x206)?;
    if version < 0x020c {
        return Err(BzImageError::TooOld(version));
    }
    // XLF_KERNEL_64: the kernel has an entry point at 0x200 of its protected-mode part.
    if u16_at(0x236)? & 1 == 0 {
        return Err(BzImageError::Not64Bit);
    }
    // Zero stands for four, from times before the field.
    let sectors = match bytes.get(0x1f1) {
        None | Some(0) => 4,
        Some(sectors) => *sectors,
    };
    Ok(Header {
        setup: (u64::from(sectors) + 1) * SECTOR,
        version_offset: u16_at(0x20e)?,
        payload_offset: u32_at(0x248)?,
        payload_length: u32_at(0x24c)?,
    })
}

/// The kernel as an ELF file, out of a bzImage or as it is, checked with [`elf::kernel`].
///
/// # Errors
///
/// Every variant of [`BzImageError`] but `NoRelease`.
pub fn vmlinux(bytes: &[u8]) -> Result<Vec<u8>, BzImageError> {
    if bytes.starts_with(b"\x7fELF") {
        elf::kernel(bytes)?;
        return Ok(bytes.to_vec());
    }
    let header = header(bytes)?;
    let start = header.setup + u64::from(header.payload_offset);
    let end = start + u64::from(header.payload_length);
    let truncated = BzImageError::Truncated { needed: end, found: bytes.len() as u64 };
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let payload = range.and_then(|(start, end)| bytes.get(start..end)).ok_or(truncated)?;
    let kernel = match Compression::detect(payload) {
        Compression::None if payload.starts_with(b"\x7fELF") => payload.to_vec(),
        Compression::None => {
            return Err(BzImageError::UnknownPayload(payload.iter().take(6).copied().collect()));
        }
        _ => compress::decompress(payload, MAX_KERNEL)?,
    };
    elf::kernel(&kernel)?;
    Ok(kernel)
}

/// `uname -r` of a kernel, from its bzImage's header or, in an ELF file, from the banner that it
/// prints when it starts.
///
/// # Errors
///
/// [`BzImageError::NoRelease`] where it has none; as [`vmlinux`] where it is no kernel.
pub fn kernel_release(bytes: &[u8]) -> Result<String, BzImageError> {
    let text = if bytes.starts_with(b"\x7fELF") {
        const BANNER: &[u8] = b"Linux version ";
        let mut rest = bytes;
        loop {
            let at = rest.windows(BANNER.len()).position(|window| window == BANNER);
            rest =
                at.and_then(|at| rest.get(at + BANNER.len()..)).ok_or(BzImageError::NoRelease)?;
            // The same words stand in format strings, with `%s` behind them.
            if rest.first().is_some_and(u8::is_ascii_digit) {
                break rest;
            }
        }
    } else {
        let header = header(bytes)?;
        let at = usize::from(header.version_offset);
        let text = bytes.get(0x200 + at..).filter(|_| at != 0);
        text.ok_or(BzImageError::NoRelease)?
    };
    let release: String = text
        .iter()
        .take(128)
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"+-._~".contains(byte))
        .map(|byte| char::from(*byte))
        .collect();
    // The release becomes a directory's name.
    let usable = release.starts_with(|first: char| first.is_ascii_digit()) && release.len() < 65;
    if usable { Ok(release) } else { Err(BzImageError::NoRelease) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::small_kernel;
    use std::io::Write as _;

    fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0x1f1, &[1]);
        put(0x1fe, &[0x55, 0xaa]);
        put(0x202, b"HdrS");
        put(0x206, &[0x0f, 2]);
        put(0x20e, &0x180_u16.to_le_bytes());
        put(0x236, &[1]);
        put(0x248, &0_u32.to_le_bytes());
        put(0x24c, &(payload.len() as u32).to_le_bytes());
        put(0x380, b"6.1.0-56-cloud-amd64 (builder) #1\0");
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn every_packing_that_debian_used_is_unpacked() {
        let kernel = small_kernel(&[7; 100_000]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&kernel).unwrap();
        // As Linux packs: an x86 branch filter before LZMA2, and the size behind it all.
        let mut filters = liblzma::stream::Filters::new();
        filters.x86();
        filters.lzma2(&liblzma::stream::LzmaOptions::new_preset(1).unwrap());
        let stream =
            liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32)
                .unwrap();
        let mut xz = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        xz.write_all(&kernel).unwrap();
        let mut xz = xz.finish().unwrap();
        xz.extend((kernel.len() as u32).to_le_bytes());
        let mut zstd = ruzstd::encoding::compress_to_vec(
            &kernel[..],
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        zstd.extend((kernel.len() as u32).to_le_bytes());
        let block = lz4_flex::block::compress(&kernel);
        let mut lz4 = 0x184c_2102_u32.to_le_bytes().to_vec();
        lz4.extend((block.len() as u32).to_le_bytes());
        lz4.extend(block);
        lz4.extend((kernel.len() as u32).to_le_bytes());
        let packed = [gzip.finish().unwrap(), xz, zstd, lz4, kernel.clone()];
        for payload in packed {
            let first = payload[..4].to_vec();
            assert_eq!(vmlinux(&bzimage(&payload)).unwrap(), kernel, "{first:x?}");
            if payload != kernel {
                let cut = bzimage(&payload[..payload.len() - 30]);
                assert!(vmlinux(&cut).is_err(), "{first:x?}");
            }
        }
    }

    #[test]
    fn what_cannot_boot_is_refused() {
        let good = bzimage(&small_kernel(b"code"));
        assert!(vmlinux(&good).is_ok());
        let cut = &good[..good.len() - 1];
        assert!(matches!(vmlinux(cut), Err(BzImageError::Truncated { .. })));
        assert!(matches!(vmlinux(&good[..0x210]), Err(BzImageError::Truncated { .. })));
        let mut not_64 = good.clone();
        not_64[0x236] = 0;
        assert!(matches!(vmlinux(&not_64), Err(BzImageError::Not64Bit)));
        let mut old = good.clone();
        old[0x206] = 0x0a;
        assert!(matches!(vmlinux(&old), Err(BzImageError::TooOld(0x020a))));
        assert!(matches!(vmlinux(b"hello"), Err(BzImageError::NotAKernel)));
        let bzip2 = bzimage(b"BZh9....");
        assert!(matches!(vmlinux(&bzip2), Err(BzImageError::Payload(_))));
        assert!(matches!(vmlinux(&bzimage(b"????")), Err(BzImageError::UnknownPayload(_))));
    }

    #[test]
    fn the_release_is_told() {
        assert_eq!(kernel_release(&bzimage(b"")).unwrap(), "6.1.0-56-cloud-amd64");
        let banner = b"Linux version %s\0Linux version 6.12.1+deb-rt (x)";
        assert_eq!(kernel_release(&small_kernel(banner)).unwrap(), "6.12.1+deb-rt");
        assert!(matches!(kernel_release(&small_kernel(b"")), Err(BzImageError::NoRelease)));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, at: proptest::sample::Index) {
            let mut whole = bzimage(&small_kernel(b"code"));
            let at = at.index(whole.len());
            for (to, from) in whole.iter_mut().skip(at).zip(&bytes) {
                *to = *from;
            }
            let _ = vmlinux(&whole);
            let _ = kernel_release(&whole);
        }

        #[test]
        fn no_payload_panics(bytes: Vec<u8>, magic in 0..4_usize) {
            let magics: [&[u8]; 4] =
                [&[0x1f, 0x8b, 8], b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x02\x21\x4c\x18"];
            let payload = [magics[magic], &bytes].concat();
            let _ = vmlinux(&bzimage(&payload));
        }
    }
}
