//! Kernel files as distributions ship them, and everything that they can be packed with.

#![no_main]

use images::bzimage::{kernel_release, vmlinux};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match vmlinux(data) {
        Ok(kernel) => assert!(images::elf::kernel(&kernel).is_ok(), "given out unchecked"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(release) = kernel_release(data) {
        // It becomes a directory's name.
        assert!(release.starts_with(|first: char| first.is_ascii_digit()));
        assert!(release.len() < 65 && !release.contains(['/', '\0']));
    }
});
