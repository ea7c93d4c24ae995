//! A QEMU of a known version, with all its libraries, run from a folder.

use std::path::{Path, PathBuf};

use images::progress::Progress;

use super::Qemu;
use crate::provide::{ProvideError, SUITE, source, unpacked};

/// Which QEMU plays the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QemuVersion {
    /// 7.2, of Debian 12. Its TCG has no x2APIC.
    V7,
    /// 10, of the backports to Debian 12. Its TCG has x2APIC.
    V10,
    /// this program
    System(PathBuf),
}

impl QemuVersion {
    /// What this version needs so that its machine is like a server of today: from QEMU 10 on the
    /// CPUs have x2APIC, which Linux uses only with interrupt remapping.
    pub fn arguments(&self) -> Vec<String> {
        match self {
            Self::V10 => {
                vec!["-device".to_owned(), "intel-iommu,intremap=on,eim=on".to_owned()]
            }
            Self::V7 | Self::System(_) => Vec::new(),
        }
    }
}

/// Folders with shared libraries, in the order in which they are searched.
const LIBRARIES: [&str; 3] =
    ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio"];

/// Folders with firmware. All must be named: without `linuxboot_dma.bin` QEMU loads the initramfs
/// through port I/O, which takes half a minute for 240 MB.
const FIRMWARE: [&str; 4] =
    ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu", "usr/share/ipxe"];

/// The version asked for, fetched and unpacked below `cache` where it is not there yet.
///
/// # Errors
///
/// Where its packages cannot be fetched or unpacked.
pub fn provide(
    version: &QemuVersion,
    cache: &Path,
    progress: &dyn Progress,
) -> Result<Qemu, ProvideError> {
    let (folder, suite) = match version {
        QemuVersion::V7 => ("qemu-7", SUITE),
        QemuVersion::V10 => ("qemu-10", "bookworm-backports"),
        QemuVersion::System(path) => return Ok(Qemu::system(path.clone())),
    };
    let root = cache.join(folder);
    if !root.is_dir() {
        let packages = source(cache).fetch_closure(&["qemu-system-x86"], suite, progress)?;
        unpacked(&root, &packages, progress)?;
    }
    in_folder(&root)
}

fn in_folder(root: &Path) -> Result<Qemu, ProvideError> {
    let text = root.to_str().filter(|text| !text.contains([':', ',']));
    let text = text.ok_or_else(|| ProvideError::Unusable(root.to_owned()))?;
    let program = format!("{text}/usr/bin/qemu-system-x86_64");
    // Called by its own name: the link in /lib64 leads out of the folder.
    let loader = format!("{text}/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
    let loader = if Path::new(&loader).is_file() {
        loader
    } else {
        format!("{text}/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    };
    for (what, path) in [("qemu-system-x86_64", &program), ("ld-linux-x86-64.so.2", &loader)] {
        if !Path::new(path).is_file() {
            return Err(ProvideError::Lacking { what, path: root.to_owned() });
        }
    }
    let libraries = LIBRARIES.map(|folder| format!("{text}/{folder}")).join(":");
    let mut command = vec![loader, "--library-path".into(), libraries, program];
    for folder in FIRMWARE {
        command.extend(["-L".into(), format!("{text}/{folder}")]);
    }
    let modules = format!("{text}/usr/lib/x86_64-linux-gnu/qemu");
    Ok(Qemu { program: command, environment: vec![("QEMU_MODULE_DIR".into(), modules)] })
}
