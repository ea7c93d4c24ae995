//! Landlock: from here on only these files can be opened (`Documentation/userspace-api/landlock.rst`).

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

// include/uapi/linux/landlock.h
const CREATE_RULESET_VERSION: libc::c_ulong = 1 << 0;
const RULE_PATH_BENEATH: libc::c_ulong = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const TRUNCATE: u64 = 1 << 14;
/// All rights over files that each version of the interface knows, from version 1 (Linux 5.13).
const ALL_RIGHTS: [u64; 5] =
    [(1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1, (1 << 15) - 1, (1 << 16) - 1];
/// Binding and connecting TCP sockets, from version 4.
const ALL_NET: u64 = 0b11;
/// Abstract sockets of, and signals to, processes outside, from version 6.
const ALL_SCOPES: u64 = 0b11;

/// `struct landlock_ruleset_attr`
#[repr(C)]
struct RulesetAttributes {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// A file that can be opened to be read, and perhaps to be written; of a directory, all within.
#[derive(Debug)]
pub(super) struct Rule<'a> {
    pub file: &'a File,
    pub write: bool,
}

/// Gives up all other files, for this thread; says with which version of the interface.
pub(super) fn restrict(rules: &[Rule<'_>]) -> io::Result<u32> {
    let version = version()?;
    let at = (version.max(1) as usize - 1).min(ALL_RIGHTS.len() - 1);
    let rights = ALL_RIGHTS.get(at).copied().unwrap_or_default();
    let attributes = RulesetAttributes {
        handled_access_fs: rights,
        handled_access_net: if version >= 4 { ALL_NET } else { 0 },
        scoped: if version >= 6 { ALL_SCOPES } else { 0 },
    };
    // Older kernels refuse fields that they do not know, unless they are zero.
    // SAFETY: the attributes live through the call, and their size is given.
    let ruleset = check(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const attributes,
            size_of::<RulesetAttributes>(),
            0 as libc::c_ulong,
        )
    })?;
    // SAFETY: just opened, and nobody else knows it.
    let ruleset = unsafe { OwnedFd::from_raw_fd(ruleset) };
    for rule in rules {
        let write = if rule.write { (WRITE_FILE | TRUNCATE) & rights } else { 0 };
        let beneath =
            PathBeneath { allowed_access: READ_FILE | write, parent_fd: rule.file.as_raw_fd() };
        // SAFETY: the rule lives through the call; both descriptors are open.
        check(unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                ruleset.as_raw_fd(),
                RULE_PATH_BENEATH,
                &raw const beneath,
                0 as libc::c_ulong,
            )
        })?;
    }
    // SAFETY: the descriptor is open; no memory is involved.
    check(unsafe {
        libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0 as libc::c_ulong)
    })?;
    Ok(version)
}

/// The version of the interface that this kernel has.
fn version() -> io::Result<u32> {
    // SAFETY: asking for the version takes no memory.
    let version = check(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<RulesetAttributes>(),
            0 as libc::size_t,
            CREATE_RULESET_VERSION,
        )
    })
    .map_err(|error| match error.raw_os_error() {
        Some(libc::ENOSYS) => io::Error::other("this kernel has no Landlock"),
        Some(libc::EOPNOTSUPP) => io::Error::other("Landlock was not turned on at boot (lsm=)"),
        _ => error,
    })?;
    u32::try_from(version).map_err(io::Error::other)
}

fn check(result: libc::c_long) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        i32::try_from(result).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Rights are given up by a thread, so a test can do it in one of its own.
    #[test]
    fn only_the_files_of_the_rules_are_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["both", "read", "none"] {
            fs::write(path(name), "old").unwrap();
        }
        fs::create_dir(path("folder")).unwrap();
        let rules = [("both", true), ("read", false), ("folder", true)]
            .map(|(name, write)| (File::open(path(name)).unwrap(), write));
        let seen = std::thread::spawn({
            let path = folder.path().to_owned();
            move || {
                nix::sys::prctl::set_no_new_privs().unwrap();
                let rules: Vec<Rule<'_>> =
                    rules.iter().map(|(file, write)| Rule { file, write: *write }).collect();
                if let Err(error) = restrict(&rules) {
                    println!("not tried: {error}");
                    return None;
                }
                let opens = |name: &str, write: bool| {
                    File::options().read(!write).write(write).open(path.join(name)).is_ok()
                };
                Some([
                    opens("both", false),
                    opens("both", true),
                    opens("read", false),
                    opens("read", true),
                    opens("none", false),
                    opens("none", true),
                    File::create(path.join("new")).is_ok(),
                    fs::remove_file(path.join("both")).is_ok(),
                    fs::rename(path.join("none"), path.join("folder/none")).is_ok(),
                    fs::read_dir("/").is_ok(),
                    std::process::Command::new("/bin/true").spawn().is_ok(),
                ])
            }
        })
        .join()
        .unwrap();
        let Some(seen) = seen else { return };
        assert_eq!(
            seen,
            [true, true, true, false, false, false, false, false, false, false, false]
        );
        // Only that thread gave anything up.
        fs::write(path("none"), "new").unwrap();
    }
}
