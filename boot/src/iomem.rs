//! The kernel's map of physical addresses, `/proc/iomem`: which of them are memory, and whose.

use crate::memory::Segment;
use crate::units::{Bytes, PhysAddr};

/// A line of the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// How many lines it is inside of.
    pub depth: usize,
    /// Where it lies.
    pub place: Segment,
    /// What it is.
    pub name: String,
}

/// Reads a map. Lines that make no sense are left out, and so are all where the kernel hides
/// addresses: to everybody but root they are zero.
pub fn parse(text: &str) -> Vec<Resource> {
    let resource = |line: &str| {
        let inner = line.trim_start_matches(' ');
        let (range, name) = inner.split_once(" : ")?;
        let (first, last) = range.split_once('-')?;
        let first = u64::from_str_radix(first.trim(), 16).ok()?;
        let last = u64::from_str_radix(last.trim(), 16).ok()?;
        let size = last.checked_sub(first)?.checked_add(1)?;
        // One byte at address zero is what is shown in place of everything.
        (last > 0).then(|| Resource {
            depth: (line.len() - inner.len()) / 2,
            place: Segment { start: PhysAddr(first), size: Bytes(size) },
            name: name.trim_end().to_owned(),
        })
    };
    text.lines().filter_map(resource).collect()
}

/// Memory that the kernel runs in, also where it is deep inside of something else (as
/// `System RAM (kmem)` is inside of `Soft Reserved`).
pub fn is_ram(resource: &Resource) -> bool {
    resource.name == "System RAM" || resource.name.starts_with("System RAM (")
}

/// The first memory in `range` that the kernel runs in.
pub fn ram_in(map: &[Resource], range: Segment) -> Option<&Resource> {
    map.iter().find(|resource| is_ram(resource) && resource.place.overlaps(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "00000000-00000fff : Reserved\n\
        00001000-0009fbff : System RAM\n\
        100000000-13fffffff : System RAM\n\
        \x20 10a000000-10affffff : Kernel code\n\
        140000000-17fffffff : Reserved\n\
        180000000-1bfffffff : Soft Reserved\n\
        \x20 180000000-1bfffffff : hmem.0\n\
        \x20   180000000-1bfffffff : dax0.0\n\
        \x20     180000000-18fffffff : System RAM (kmem)\n";

    fn range(start: u64, size: Bytes) -> Segment {
        Segment { start: PhysAddr(start), size }
    }

    #[test]
    fn every_line_is_read() {
        let map = parse(MAP);
        assert_eq!(map.len(), 9);
        assert_eq!(map[1].place, range(0x1000, Bytes(0x9ec00)));
        assert_eq!((map[3].depth, map[3].name.as_str()), (1, "Kernel code"));
        assert_eq!(map[8].depth, 3);
    }

    #[test]
    fn ram_is_found_wherever_it_stands() {
        let map = parse(MAP);
        let found = |start, size| ram_in(&map, range(start, size)).map(|ram| ram.name.as_str());
        assert_eq!(found(0x1_4000_0000, Bytes::gib(1)), None);
        assert_eq!(found(0x1_3fe0_0000, Bytes::mib(4)), Some("System RAM"));
        assert_eq!(found(0x1_8000_0000, Bytes::mib(2)), Some("System RAM (kmem)"));
        assert_eq!(found(0x1_a000_0000, Bytes::mib(2)), None);
    }

    #[test]
    fn a_map_without_addresses_is_empty() {
        let hidden = "00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n";
        assert_eq!(parse(hidden), []);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String, first: u64, last: u64) {
            parse(&text);
            parse(&format!("{first:x}-{last:x} : {text}"));
        }
    }
}
