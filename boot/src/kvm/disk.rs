//! Opening a partition's disks, for its process to have.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use super::message::Device;
use super::spec::DiskSpec;
use super::virtio::blk::SECTOR;
use crate::units::Bytes;

/// Why a disk cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// the file
    #[error("the disk {} cannot be {action}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// something else
    #[error("the disk {} is neither a file nor a block device", .0.display())]
    Kind(PathBuf),
    /// somebody else has it
    #[error(
        "the disk {} is in use: two kernels that write to one disk destroy what is on it (give each \
         its own, or say `read_only: true` to both)",
        .0.display()
    )]
    InUse(PathBuf),
    /// nothing there
    #[error("the disk {} is smaller than a sector of {SECTOR} bytes", .0.display())]
    Empty(PathBuf),
}

/// The unit of disks that are read and written past the page cache and do not take less.
const LARGE_BLOCK: u32 = 4096;

/// Opens a disk; nobody else gets it as long as the file is open, or only to be read.
///
/// # Errors
///
/// [`DiskError`]
pub fn open(disk: &DiskSpec) -> Result<(Device, File), DiskError> {
    let DiskSpec { name, path, read_only, direct } = disk;
    let failed = |action| move |source| DiskError::File { path: path.clone(), action, source };
    // Before it is opened: what is opened of a pipe or a terminal waits.
    let kind = std::fs::metadata(path).map_err(failed("opened"))?.file_type();
    if !kind.is_file() && !kind.is_block_device() {
        return Err(DiskError::Kind(path.clone()));
    }
    let mut options = File::options();
    options.read(true).write(!read_only);
    let flags = if *direct { libc::O_DIRECT } else { 0 };
    let file = options.custom_flags(flags | libc::O_NONBLOCK).open(path);
    let mut file = file.map_err(failed("opened"))?;
    let how = if *read_only { libc::LOCK_SH } else { libc::LOCK_EX };
    // SAFETY: no pointers are passed.
    if unsafe { libc::flock(file.as_raw_fd(), how | libc::LOCK_NB) } != 0 {
        let error = io::Error::last_os_error();
        return Err(match error.raw_os_error() {
            Some(libc::EWOULDBLOCK) => DiskError::InUse(path.clone()),
            _ => failed("locked")(error),
        });
    }
    let size = file.seek(SeekFrom::End(0)).map_err(failed("measured"))?;
    let block = if *direct { direct_block(&file) } else { SECTOR as u32 };
    let size = size - size % u64::from(block);
    if size == 0 {
        return Err(DiskError::Empty(path.clone()));
    }
    let device = kind.is_block_device();
    let (name, read_only) = (name.clone(), *read_only);
    Ok((Device::Disk { name, size: Bytes(size), block, device, read_only }, file))
}

/// The unit of a disk that is read past the page cache: found out by reading a sector.
fn direct_block(file: &File) -> u32 {
    #[repr(align(4096))]
    struct Aligned([u8; LARGE_BLOCK as usize]);
    let mut buffer = Aligned([0; LARGE_BLOCK as usize]);
    // SAFETY: the kernel writes no more than a sector into the buffer, which is larger.
    let read =
        unsafe { libc::pread(file.as_raw_fd(), buffer.0.as_mut_ptr().cast(), SECTOR as usize, 0) };
    if read == -1 { LARGE_BLOCK } else { SECTOR as u32 }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn spec(path: &Path, read_only: bool) -> DiskSpec {
        DiskSpec { name: "data".to_owned(), path: path.to_owned(), read_only, direct: false }
    }

    #[test]
    fn a_disk_has_one_owner_or_many_readers() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(open(&spec(file.path(), false)), Err(DiskError::Empty(_))));
        file.as_file().set_len(1300).unwrap();
        let (device, owner) = open(&spec(file.path(), false)).unwrap();
        assert!(matches!(device, Device::Disk { size: Bytes(1024), block: 512, .. }));
        for read_only in [false, true] {
            assert!(matches!(open(&spec(file.path(), read_only)), Err(DiskError::InUse(_))));
        }
        drop(owner);
        let (_, _one) = open(&spec(file.path(), true)).unwrap();
        let (_, _other) = open(&spec(file.path(), true)).unwrap();
        assert!(matches!(open(&spec(file.path(), false)), Err(DiskError::InUse(_))));
    }

    #[test]
    fn what_is_no_disk_is_refused() {
        assert!(matches!(open(&spec(Path::new("/dev/null"), true)), Err(DiskError::Kind(_))));
        assert!(matches!(open(&spec(Path::new("/"), true)), Err(DiskError::Kind(_))));
        let missing = open(&spec(Path::new("/nothing/there"), true));
        assert!(matches!(missing, Err(DiskError::File { action: "opened", .. })));
    }
}
