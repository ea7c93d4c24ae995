//! Programs that come with `partitiond`: guest-init, which goes into images, and the rig's agent.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::exit::Failure;

/// Names a directory with these programs, where they are not in a usual place.
pub const VARIABLE: &str = "PARTITIOND_LIBEXEC";

/// PID 1 of partitions.
pub const GUEST_INIT: &str = "guest-init";

/// PID 1 of rigs.
pub const RIG_AGENT: &str = "rig-agent";

/// This program.
pub fn own() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::failed(format_args!("cannot find my own program: {error}")))
}

/// The program of this name, which must be linked statically: it runs where no libraries are.
pub fn find(name: &str) -> Result<PathBuf, Failure> {
    let own = own()?;
    let places = places(&own, std::env::var_os(VARIABLE).map(PathBuf::from));
    let found = places.iter().map(|place| place.join(name)).find(|path| path.is_file());
    let Some(path) = found else {
        let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        return Err(Failure::failed(format_args!(
            "cannot find `{name}`, which comes with partitiond; looked in {}",
            places.join(", ")
        ))
        .hint(format!("`make build` builds it; or set {VARIABLE} to the directory that has it")));
    };
    must_be_static(&path)?;
    Ok(path)
}

/// Where they are: beside this program, installed, or built by cargo with a profile of their own.
fn places(own: &Path, variable: Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(place) = variable {
        return vec![place];
    }
    let beside = own.parent().unwrap_or(Path::new("/"));
    ["", "../lib/partitiond", "../guest"].map(|place| beside.join(place)).to_vec()
}

/// Refuses a program that needs libraries.
pub fn must_be_static(path: &Path) -> Result<(), Failure> {
    let head = || -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        File::open(path)?.take(HEAD).read_to_end(&mut head)?;
        Ok(head)
    };
    let head = head().map_err(|error| {
        Failure::failed(format_args!("cannot read {}: {error}", path.display()))
    })?;
    match has_interpreter(&head) {
        Some(false) => Ok(()),
        Some(true) => Err(Failure::failed(format_args!(
            "{} is linked dynamically, and there are no libraries where it is to run",
            path.display()
        ))
        .hint(
            "build it with RUSTFLAGS=\"-C target-feature=+crt-static\" and \
             --target x86_64-unknown-linux-gnu, as `make build` does",
        )),
        None => Err(Failure::failed(format_args!("{} is no x86-64 program", path.display()))),
    }
}

/// How much of a program is read: its program headers are in there, as every linker has it.
const HEAD: u64 = 64 * 1024;

/// Whether an ELF file has a PT_INTERP; `None` where these bytes do not begin one of 64 bits, little
/// endian (System V ABI, "ELF header" and "program header").
fn has_interpreter(head: &[u8]) -> Option<bool> {
    const MAGIC: &[u8] = b"\x7fELF\x02\x01";
    const PT_INTERP: u32 = 3;
    if !head.starts_with(MAGIC) {
        return None;
    }
    let half = |at: usize| Some(u16::from_le_bytes(*head.get(at..)?.first_chunk()?));
    let word = |at: usize| Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?));
    let long = |at: usize| Some(u64::from_le_bytes(*head.get(at..)?.first_chunk()?));
    let (offset, size, count) = (usize::try_from(long(32)?).ok()?, half(54)?, half(56)?);
    let mut found = false;
    for index in 0..usize::from(count) {
        let at = offset.checked_add(index.checked_mul(usize::from(size))?)?;
        found |= word(at)? == PT_INTERP;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_told_from_a_text() {
        // Whatever else it is, the test's own program is one of the two.
        let mut head = Vec::new();
        File::open(own().unwrap()).unwrap().take(HEAD).read_to_end(&mut head).unwrap();
        assert_eq!(has_interpreter(&head), Some(!cfg!(target_feature = "crt-static")));
        assert_eq!(has_interpreter(b"#!/bin/sh"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            has_interpreter(&[b"\x7fELF\x02\x01", &*bytes].concat());
        }
    }
}
