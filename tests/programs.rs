//! The programs under test, built as they are shipped: static, optimised.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Where the programs are.
#[derive(Debug)]
pub struct Programs {
    /// The command.
    pub partitiond: PathBuf,
    /// PID 1 of partitions.
    pub guest_init: PathBuf,
    /// PID 1 of rigs.
    pub rig_agent: PathBuf,
    /// A program that attacks the process of its virtual machine.
    pub attacker: PathBuf,
    /// The loads that profiles are measured with; `make bench-profiles` builds them.
    pub load: PathBuf,
}

/// The programs, built on the first call of a process (which does little where nothing changed).
pub fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        // Already built elsewhere: the `target/x86_64-unknown-linux-gnu` of some checkout.
        if let Some(built) = std::env::var_os("PARTITIOND_PROGRAMS") {
            return Programs::in_folder(Path::new(&built));
        }
        let status = Command::new("make").arg("-C").arg(&root).arg("programs").status();
        assert!(
            status.as_ref().is_ok_and(|status| status.success()),
            "`make programs` failed: {status:?}"
        );
        Programs::in_folder(&root.join("target").join(TARGET))
    })
}

impl Programs {
    fn in_folder(built: &Path) -> Self {
        Self {
            partitiond: built.join("release/partitiond"),
            guest_init: built.join("guest/guest-init"),
            rig_agent: built.join("guest/rig-agent"),
            attacker: built.join("guest/attacker"),
            load: built.join("guest/load"),
        }
    }
}
