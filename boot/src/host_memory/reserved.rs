//! Memory that the host was booted without: reserved by `memmap=<size>$<start>`, or soft-reserved by
//! the firmware or by `memmap=<size>%<start>-1+0xefffffff`.
//!
//! The host's kernel has no page descriptors for it and lets `/dev/mem` map it, write-back, as long as
//! no driver has claimed it (`devmem_is_allowed`, arch/x86/mm/init.c; `iomem_is_exclusive`,
//! kernel/resource.c). What the `device_dax` driver has claimed is reached through its device.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::mapping::Piece;
use crate::iomem;
use crate::memory::Segment;
use crate::units::{Bytes, PhysAddr};

/// Why such memory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ReservedError {
    /// a file of the kernel's
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// the device cannot be opened
    #[error("{} cannot be opened", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// the host runs in it
    #[error(
        "the host itself uses memory at {start:?} ({what}), which was to be the partition's: take it \
         from the host first (for device DAX memory: unbind it from `kmem`)"
    )]
    InUse {
        /// Where the part that it uses begins.
        start: PhysAddr,
        /// What it uses it for.
        what: String,
    },
}

/// Ranges of such memory, each with the file that it is reached through.
#[derive(Debug)]
pub struct Reserved {
    ranges: Vec<(Segment, File, u64)>,
}

const IOMEM: &str = "/proc/iomem";
const DAX_DEVICES: &str = "/sys/bus/dax/devices";

impl Reserved {
    /// Finds the ways to ranges. Looks whether the host uses them, and touches nothing.
    ///
    /// # Errors
    ///
    /// [`ReservedError`].
    pub fn open(ranges: &[Segment]) -> Result<Self, ReservedError> {
        if ranges.is_empty() {
            return Ok(Self { ranges: Vec::new() });
        }
        let map = fs::read_to_string(IOMEM)
            .map_err(|source| ReservedError::Read { path: IOMEM.into(), source })?;
        let resources = iomem::parse(&map);
        let devices = dax_devices(Path::new(DAX_DEVICES));
        let open = |range: &Segment| {
            if let Some(used) = iomem::ram_in(&resources, *range) {
                let what = used.name.clone();
                return Err(ReservedError::InUse { start: used.place.start, what });
            }
            let device = devices.iter().find(|(_, place)| place.contains(*range));
            let (path, offset) = match device {
                Some((path, place)) => (path.clone(), range.start.0 - place.start.0),
                None => ("/dev/mem".into(), range.start.0),
            };
            let file = OpenOptions::new().read(true).write(true).open(&path);
            file.map(|file| (*range, file, offset))
                .map_err(|source| ReservedError::Open { path, source })
        };
        Ok(Self { ranges: ranges.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// The ranges as pieces of memory.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.ranges.iter().map(|(place, file, offset)| Piece {
            place: *place,
            file,
            offset: *offset,
            own: false,
        })
    }
}

/// The memory that the `device_dax` driver has, and the devices that it is reached through.
fn dax_devices(folder: &Path) -> Vec<(PathBuf, Segment)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let device = |entry: io::Result<fs::DirEntry>| {
        let path = entry.ok()?.path();
        let driver = fs::read_link(path.join("driver")).ok()?;
        let number = |name: &str| {
            let text = fs::read_to_string(path.join(name)).ok()?;
            match text.trim().strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok(),
                None => text.trim().parse().ok(),
            }
        };
        let place = Segment { start: PhysAddr(number("resource")?), size: Bytes(number("size")?) };
        let is_device = driver.file_name().is_some_and(|name| name == "device_dax");
        is_device.then_some((Path::new("/dev").join(path.file_name()?), place))
    };
    entries.filter_map(device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_device_dax_is_found_by_its_driver() {
        let folder = std::env::temp_dir().join(format!("dax-devices-{}", std::process::id()));
        for (name, driver) in [("dax0.0", "device_dax"), ("dax1.0", "kmem"), ("dax2.0", "")] {
            let device = folder.join(name);
            fs::create_dir_all(&device).unwrap();
            fs::write(device.join("resource"), "0x140000000\n").unwrap();
            fs::write(device.join("size"), "1073741824\n").unwrap();
            if !driver.is_empty() {
                let _ = std::os::unix::fs::symlink(
                    format!("../../drivers/{driver}"),
                    device.join("driver"),
                );
            }
        }
        let place = Segment { start: PhysAddr(0x1_4000_0000), size: Bytes::gib(1) };
        assert_eq!(dax_devices(&folder), [("/dev/dax0.0".into(), place)]);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(dax_devices(&folder), []);
    }
}
