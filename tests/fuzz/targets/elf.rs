//! ELF files: kernels as images hold them and as the back ends load them, and modules.

#![no_main]

use std::fs::File;
use std::io::{Cursor, Write};
use std::os::unix::fs::FileExt;

use boot::kernel::{load, shape};
use boot::kernel_log::Anchor;
use boot::memory::PartitionMemory;
use boot::units::PhysAddr;
use libfuzzer_sys::fuzz_target;
use vm_memory::GuestAddress;

const MEMORY: u64 = 4 << 20;
const LOADED_AT: u64 = 64 << 20;

thread_local! {
    static FILE: File = match fuzz::scratch() {
        Some(directory) => tempfile::tempfile_in(directory),
        None => tempfile::tempfile(),
    }
    .expect("a temporary file can be made");
    static GUEST: PartitionMemory =
        PartitionMemory::from_ranges(&[(GuestAddress(LOADED_AT), MEMORY as usize)])
            .expect("memory can be mapped");
}

fuzz_target!(|data: &[u8]| {
    let _ = images::elf::needs_interpreter(data);
    let _ = images::elf::section(data, ".modinfo");
    let _ = images::modules::parse_modinfo(data);
    let _ = Anchor::find(&mut Cursor::new(data));
    let shape = shape(&mut Cursor::new(data));
    if let Ok(kernel) = images::elf::kernel(data) {
        assert!(
            kernel.segments.iter().all(|one| one.file_offset + one.file_size <= data.len() as u64)
        );
        assert!(shape.is_ok(), "in an image and cannot be loaded: {shape:?}");
    }
    let Ok(shape) = shape else { return };
    if shape.size.0 > MEMORY || shape.linked_at.0 > LOADED_AT {
        return;
    }
    FILE.with(|file| {
        file.set_len(0).expect("a file can be emptied");
        file.write_all_at(data, 0).expect("a file can be written");
        let mut file = file.try_clone().expect("a file can be shared");
        file.flush().expect("nothing is held back");
        GUEST.with(|guest| {
            if let Ok(entry) = load(guest, &mut file, shape, PhysAddr(LOADED_AT)) {
                assert!((LOADED_AT..LOADED_AT + MEMORY).contains(&entry.0), "{entry:?}");
            }
        });
    });
});
