//! The mount points of huge pages.

use std::path::{Path, PathBuf};
use std::{fs, io};

use boot::host_memory::PageSize;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Huge pages cannot be mounted.
#[derive(Debug, thiserror::Error)]
#[error("hugetlbfs cannot be mounted at {}", path.display())]
pub struct MountError {
    /// Where.
    pub path: PathBuf,
    /// What the kernel said.
    pub source: io::Error,
}

/// Mounts huge pages of `size` at `path`, unless that has been done.
///
/// # Errors
///
/// [`MountError`].
pub fn mount_hugetlbfs(path: &Path, size: PageSize) -> Result<(), MountError> {
    let failed = |source| MountError { path: path.to_owned(), source };
    if is_mounted(path) {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(failed)?;
    let options = format!("pagesize={}M,mode=0700", size.bytes().0 >> 20);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("hugetlbfs"), path, Some("hugetlbfs"), flags, Some(options.as_str()))
        .map_err(|error| failed(error.into()))
}

/// Takes a mount point of ours away; nothing happens where it is gone. A keeper that is on its way
/// out may still have files of it open, so it goes with the last of them.
pub fn unmount(path: &Path) {
    if is_mounted(path) && umount2(path, MntFlags::MNT_DETACH).is_ok() {
        let _ = fs::remove_dir(path);
    }
}

fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1).map(Path::new) == Some(path))
}
