//! What a rig is made of.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use boot::units::Bytes;
use serde::{Deserialize, Serialize};

use crate::qemu::Qemu;

/// The name of a rig: 1 to 32 lower-case letters, digits and dashes, a letter or digit first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RigName(String);

/// Why a text is no name of a rig.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a name for a rig: use 1 to 32 lower-case letters, digits and dashes, a letter or digit first"
)]
pub struct InvalidName(String);

impl FromStr for RigName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let valid = text.len() <= 32
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|byte| plain(byte) || byte == b'-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName(text.chars().take(40).collect()))
        }
    }
}

impl TryFrom<String> for RigName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<RigName> for String {
    fn from(name: RigName) -> Self {
        name.0
    }
}

impl fmt::Display for RigName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// CPUs and how they are arranged. They fill threads, then cores, then sockets; NUMA nodes are equal
/// runs of CPU numbers with equal shares of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// CPUs in all, 1 to 255
    pub cpus: u32,
    /// sockets
    pub sockets: u32,
    /// threads of one core
    pub threads: u32,
    /// NUMA nodes
    pub nodes: u32,
}

/// Why CPUs cannot be arranged so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopology {
    /// outside what QEMU's q35 machine and 8-bit APIC ids hold
    #[error("{0} CPUs: a rig has 1 to 255")]
    Cpus(u32),
    /// a part would be empty or unequal
    #[error(
        "{cpus} CPUs cannot be arranged in {sockets} sockets with {threads} threads per core: \
         the number of CPUs must be a multiple of sockets × threads"
    )]
    Cores {
        /// CPUs asked for
        cpus: u32,
        /// sockets asked for
        sockets: u32,
        /// threads per core asked for
        threads: u32,
    },
    /// nodes would be empty or unequal
    #[error(
        "{cpus} CPUs and {memory} cannot be divided into {nodes} equal NUMA nodes of whole MiB"
    )]
    Nodes {
        /// CPUs asked for
        cpus: u32,
        /// memory asked for
        memory: Bytes,
        /// nodes asked for
        nodes: u32,
    },
}

impl Topology {
    /// One socket, one node, no threads.
    pub fn flat(cpus: u32) -> Self {
        Self { cpus, sockets: 1, threads: 1, nodes: 1 }
    }

    /// Checks that the machine can be built.
    ///
    /// # Errors
    ///
    /// Which rule is broken.
    pub fn check(self, memory: Bytes) -> Result<(), InvalidTopology> {
        let Self { cpus, sockets, threads, nodes } = self;
        if !(1..=255).contains(&cpus) {
            return Err(InvalidTopology::Cpus(cpus));
        }
        let per_core_row = sockets.saturating_mul(threads);
        if per_core_row == 0 || !cpus.is_multiple_of(per_core_row) {
            return Err(InvalidTopology::Cores { cpus, sockets, threads });
        }
        let node_unit = u64::from(nodes) << 20;
        if nodes == 0
            || !cpus.is_multiple_of(nodes)
            || memory.0 == 0
            || !memory.0.is_multiple_of(node_unit)
        {
            return Err(InvalidTopology::Nodes { cpus, memory, nodes });
        }
        Ok(())
    }
}

/// A kernel as its Debian package lays it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFiles {
    /// vmlinuz
    pub image: PathBuf,
    /// as `uname -r` prints it
    pub release: String,
    /// the folder `lib/modules/RELEASE`
    pub modules: PathBuf,
}

/// A file or a folder of this machine that the rig gets in its initramfs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFile {
    /// where inside, absolute
    pub guest: PathBuf,
    /// where it is on this machine; a folder goes with all that is in it
    pub host: PathBuf,
    /// permission bits, the host file's own when absent; not for folders
    pub mode: Option<u32>,
}

/// All that makes a rig.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RigSpec {
    /// its name, one at a time for each user
    pub name: RigName,
    /// CPUs, sockets, nodes
    pub topology: Topology,
    /// memory, a multiple of 1 MiB
    pub memory: Bytes,
    /// the kernel that plays the host
    pub kernel: KernelFiles,
    /// the whole kernel command line; see [`RigSpec::COMMAND_LINE`]
    pub command_line: String,
    /// modules to load before anything runs, each with parameters behind it as for `modprobe`:
    /// `"kvm_amd nested=1"`. What they depend on comes by itself.
    pub modules: Vec<String>,
    /// what the caller wants inside
    pub files: Vec<GuestFile>,
    /// further initramfs archives (cpio, compressed or not) that go behind ours as they are: the
    /// fast way for files that do not change from rig to rig
    pub archives: Vec<PathBuf>,
    /// QEMU, see [`crate::qemu::provide`]
    pub qemu: Qemu,
    /// the CPU model, as `-cpu` takes it
    pub cpu_model: String,
    /// further arguments for QEMU: disks, network devices, serial ports
    pub qemu_args: Vec<String>,
    /// the static `rig-agent` binary
    pub agent: PathBuf,
    /// a static busybox
    pub busybox: PathBuf,
    /// how long the machine may take from power-on until its agent answers
    pub boot_timeout: Duration,
}

impl RigSpec {
    /// The command line that a rig has when nothing else is asked for: messages on the first serial
    /// port; a panic ends the machine; IPIs are not broadcast, which partitions need of their host; and
    /// a timer that is late, as on a busy machine, is not taken for a broken one.
    pub const COMMAND_LINE: &str =
        "console=ttyS0,115200 panic=5 loglevel=6 no_ipi_broadcast=1 no_timer_check";

    /// The CPU model that a rig has when nothing else is asked for: all that TCG knows, less what it
    /// does byte by byte. With `erms` and `fsrm` a kernel clears and copies memory by one long
    /// instruction that takes TCG eight times as long as eight-byte steps.
    pub const CPU_MODEL: &str = "max,-erms,-fsrm";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for bad in ["", "..", "a/b", "-a", "A", "a b", &"a".repeat(33)] {
            assert!(bad.parse::<RigName>().is_err(), "{bad}");
        }
        assert!("demo-2".parse::<RigName>().is_ok());
    }

    #[test]
    fn unequal_parts_are_refused() {
        let topology = Topology { cpus: 8, sockets: 2, threads: 2, nodes: 2 };
        assert_eq!(topology.check(Bytes::gib(2)), Ok(()));
        assert!(Topology { sockets: 3, ..topology }.check(Bytes::gib(2)).is_err());
        assert!(Topology { nodes: 3, ..topology }.check(Bytes::gib(2)).is_err());
        assert!(Topology { cpus: 0, ..topology }.check(Bytes::gib(2)).is_err());
        assert!(topology.check(Bytes::mib(3)).is_err());
        assert!(Topology { threads: 0, ..topology }.check(Bytes::gib(2)).is_err());
    }
}
