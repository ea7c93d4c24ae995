//! Which CPU touched which port and which device register, by QEMU's own trace events.
//!
//! Debian's QEMU is built with the `log` trace back end; the events `memory_region_ops_read` and
//! `memory_region_ops_write` give CPU, address, value and size of each access that reaches a device
//! model, ports included. `cpu_in` and `cpu_out` do not name the CPU and are not used. Accesses to
//! memory, and to the local APIC through MSRs, do not appear.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// The events, as QEMU's monitor takes them.
pub(crate) const EVENTS: &str = "memory_region_ops_*";

/// The part of their names that they share.
const EVENT: &str = "memory_region_ops_";

/// Ports are 0 to 0xffff. Device registers in memory lie above: on a PC the first 64 KiB are RAM.
const PORTS: u64 = 0x1_0000;

/// Which way the data went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// from the device
    Read,
    /// to the device
    Write,
}

/// Which address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// ports, reached by `in` and `out`
    Port,
    /// memory-mapped registers
    Memory,
}

/// One access to a device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// the CPU, numbered as QEMU does (as Linux does in a rig); absent where no CPU did it
    pub cpu: Option<u32>,
    /// which way
    pub direction: Direction,
    /// ports or memory
    pub space: Space,
    /// port number or physical address
    pub address: u64,
    /// bytes: 1, 2, 4 or 8
    pub size: u8,
    /// what was read or written
    pub value: u64,
    /// QEMU's name of what is there
    pub device: String,
}

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// the file
    #[error("cannot read the trace: {0}")]
    Read(#[from] io::Error),
    /// an event of another form: another version of QEMU
    #[error("line {line} of the trace is no access as this version of QEMU writes it: `{text}`")]
    Malformed {
        /// counted from 1
        line: usize,
        /// what stands there
        text: String,
    },
}

/// Reads what was traced so far. Lines that are no access are passed over.
///
/// # Errors
///
/// Where the file cannot be read or an access is not of the form that is known.
pub fn read(path: &Path) -> Result<Vec<Access>, TraceError> {
    let mut accesses = Vec::new();
    for (index, line) in BufReader::new(File::open(path)?).lines().enumerate() {
        let line = line?;
        let Some((_, event)) = line.split_once(EVENT) else { continue };
        match parse(event) {
            Some(access) => accesses.push(access),
            None => {
                let text = line.chars().take(200).collect();
                return Err(TraceError::Malformed { line: index + 1, text });
            }
        }
    }
    Ok(accesses)
}

/// `write cpu 0 mr 0x55d0c0ffee00 addr 0x3f8 value 0x41 size 1 name 'serial'`
/// (QEMU `softmmu/trace-events`, `system/trace-events`).
fn parse(event: &str) -> Option<Access> {
    let (direction, rest) = event.split_once(' ')?;
    let direction = match direction {
        "read" => Direction::Read,
        "write" => Direction::Write,
        _ => return None,
    };
    let (fields, name) = rest.split_once(" name ")?;
    let mut words = fields.split(' ');
    let mut field = |name| (words.next() == Some(name)).then(|| words.next()).flatten();
    let cpu: i64 = field("cpu")?.parse().ok()?;
    field("mr")?;
    let address = hexadecimal(field("addr")?)?;
    let value = hexadecimal(field("value")?)?;
    let size = field("size")?.parse().ok()?;
    Some(Access {
        cpu: u32::try_from(cpu).ok(),
        direction,
        space: if address < PORTS { Space::Port } else { Space::Memory },
        address,
        size,
        value,
        device: name.trim().trim_matches('\'').to_owned(),
    })
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_are_read_as_qemu_writes_them() {
        let access =
            parse("write cpu 2 mr 0x5581 addr 0x3f8 value 0x41 size 1 name 'serial'").unwrap();
        assert_eq!(
            access,
            Access {
                cpu: Some(2),
                direction: Direction::Write,
                space: Space::Port,
                address: 0x3f8,
                size: 1,
                value: 0x41,
                device: "serial".into(),
            }
        );
        let access =
            parse("read cpu -1 mr 0x5581 addr 0xfee00020 value 0x0 size 4 name 'apic-msi'")
                .unwrap();
        assert_eq!((access.cpu, access.space), (None, Space::Memory));
    }

    #[test]
    fn another_form_is_an_error_not_a_gap() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "some warning\nmemory_region_ops_write port 0x70\n").unwrap();
        assert!(matches!(read(file.path()), Err(TraceError::Malformed { line: 2, .. })));
    }
}
