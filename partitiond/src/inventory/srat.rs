//! Which physical memory lies on which node: the System Resource Affinity Table (ACPI 6.5, 5.2.16).

use boot::memory::Segment;
use boot::units::{Bytes, NodeId, PhysAddr};

/// Bytes before the first structure (ACPI 6.5, table 5.43).
const HEADER: usize = 48;

/// Types of structures (ACPI 6.5, 5.2.16).
mod kind {
    pub const LOCAL_APIC: u8 = 0;
    pub const MEMORY: u8 = 1;
    pub const X2APIC: u8 = 2;
}

/// Bit 0 of every structure's flags.
const ENABLED: u32 = 1;

/// The memory of each node, as the table has it.
///
/// Linux numbers nodes in the order in which it meets their proximity domains: first in the structures
/// of CPUs, then in those of memory (`acpi_numa_init`, drivers/acpi/numa/srat.c).
pub fn memory(table: &[u8]) -> Vec<(Segment, NodeId)> {
    let structures: Vec<&[u8]> = structures(table).collect();
    let mut domains: Vec<u32> = Vec::new();
    let mut node_of = |domain: u32| {
        let known = domains.iter().position(|known| *known == domain);
        NodeId(known.unwrap_or_else(|| {
            domains.push(domain);
            domains.len() - 1
        }) as u32)
    };
    for structure in &structures {
        let found = match structure.first() {
            Some(&kind::LOCAL_APIC) => local_apic(structure),
            Some(&kind::X2APIC) => flags(structure, 12).and_then(|()| word(structure, 4)),
            _ => None,
        };
        if let Some(domain) = found {
            node_of(domain);
        }
    }
    let memory = structures.iter().filter(|structure| structure.first() == Some(&kind::MEMORY));
    let range = |structure: &&[u8]| {
        flags(structure, 28)?;
        let long =
            |at| Some(u64::from(word(structure, at)?) | u64::from(word(structure, at + 4)?) << 32);
        let place = Segment { start: PhysAddr(long(8)?), size: Bytes(long(16)?) };
        Some((place, word(structure, 2)?))
    };
    memory.filter_map(range).map(|(place, domain)| (place, node_of(domain))).collect()
}

/// The structures, each from its type on; ends where a length makes no sense.
fn structures(table: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = table.get(HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(*rest.get(1)?);
        let structure = rest.get(..length).filter(|_| length >= 2)?;
        rest = rest.get(length..)?;
        Some(structure)
    })
}

/// The domain of a local APIC: its lowest byte stands apart from the others.
fn local_apic(structure: &[u8]) -> Option<u32> {
    flags(structure, 4)?;
    let low = u32::from(*structure.get(2)?);
    Some(low | (word(structure, 8)? & 0xffff_ff00))
}

/// Something where the structure, whose flags stand at `at`, is enabled.
fn flags(structure: &[u8], at: usize) -> Option<()> {
    (word(structure, at)? & ENABLED != 0).then_some(())
}

fn word(structure: &[u8], at: usize) -> Option<u32> {
    let bytes = structure.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(domain: u8, flags: u32) -> Vec<u8> {
        let mut bytes = vec![kind::LOCAL_APIC, 16, domain, 0];
        bytes.extend(flags.to_le_bytes());
        bytes.extend([0; 8]);
        bytes
    }

    fn range(domain: u32, start: u64, size: u64, flags: u32) -> Vec<u8> {
        let mut bytes = vec![kind::MEMORY, 40];
        bytes.extend(domain.to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(start.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(flags.to_le_bytes());
        bytes.extend([0; 8]);
        bytes
    }

    #[test]
    fn nodes_are_numbered_as_linux_meets_them() {
        let parts = [
            range(7, 0, 1 << 30, 1),
            range(3, 4 << 30, 2 << 30, 1),
            range(5, 6 << 30, 1 << 30, 1),
            range(3, 8 << 30, 1 << 30, 0),
            cpu(9, 0),
            cpu(3, 1),
            cpu(7, 1),
        ];
        let table = [vec![0; HEADER], parts.concat()].concat();
        let place = |start: u64, size: u64| Segment {
            start: PhysAddr(start << 30),
            size: Bytes::gib(size),
        };
        let expected =
            [(place(0, 1), NodeId(1)), (place(4, 2), NodeId(0)), (place(6, 1), NodeId(2))];
        assert_eq!(memory(&table), expected);
    }

    proptest::proptest! {
        #[test]
        fn no_table_panics(table: Vec<u8>, kind in 0_u8..3, length: u8) {
            memory(&table);
            memory(&[&[0; HEADER][..], &[kind, length], &table].concat());
        }
    }
}
