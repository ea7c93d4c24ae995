//! guest-init's own messages: they go into the kernel log, which the keeper reads.

use std::fs::File;
use std::io::Write;

/// The prefix of every message.
pub const PREFIX: &str = "guest-init: ";

/// `KERN_WARNING` and `KERN_INFO` (the kernel's `include/linux/kern_levels.h`).
const WARNING: u8 = 4;
const INFO: u8 = 6;
/// `KERN_EMERG`.
const EMERGENCY: u8 = 0;

/// The longest record that the kernel takes (`LOG_LINE_MAX`, less the prefix).
const RECORD: usize = 900;

fn write(level: u8, text: &str) {
    let mut end = text.len().min(RECORD);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let record = format!("<{level}>{PREFIX}{}\n", text.get(..end).unwrap_or_default());
    // There is nobody to tell that the log cannot be written.
    let _ = File::options()
        .write(true)
        .open("/dev/kmsg")
        .and_then(|mut file| file.write_all(record.as_bytes()));
}

/// Something that happened.
pub fn info(text: &str) {
    write(INFO, text);
}

/// Something that could not be done.
pub fn warning(text: &str) {
    write(WARNING, text);
}

/// Writes the reason for a panic, which as PID 1's becomes the kernel's, where it can be read.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| write(EMERGENCY, &format!("{panic}"))));
}
