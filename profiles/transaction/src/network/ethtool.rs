//! What ethtool reads and sets (`Documentation/networking/ethtool-netlink.rst`,
//! `include/uapi/linux/ethtool_netlink.h`).

use super::attributes::Received;
use super::{Attributes, Malformed};

/// `GENL_ID_CTRL`: where families are asked for by name.
const CONTROL: u16 = 0x10;
/// `CTRL_CMD_GETFAMILY`
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// The header that each message of ethtool's has within.
pub(super) const HEADER: u16 = 1;
const DEVICE_NAME: u16 = 2;
const FLAGS: u16 = 3;
/// `ETHTOOL_FLAG_OMIT_REPLY`: what came of it is read afterwards.
const OMIT_REPLY: u32 = 2;

/// In front of the attributes of a generic message: its command, its version, and two bytes of nothing.
pub(super) const GENERIC: usize = 4;

/// A number that a driver keeps: which message reads it, which one sets it, and its attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    pub get: u8,
    pub set: u8,
    attribute: u16,
    /// Whether it is a byte, which holds no more than yes and no.
    is_flag: bool,
}

/// A group of numbers that are read and set together.
struct Group {
    name: &'static str,
    get: u8,
    set: u8,
    /// Name, attribute, and whether it is a flag.
    numbers: &'static [(&'static str, u16, bool)],
}

/// Names are those of `Documentation/netlink/specs/ethtool.yaml`.
static GROUPS: [Group; 5] = [
    Group {
        name: "rings",
        get: 15,
        set: 16,
        numbers: &[
            ("rx", 6, false),
            ("rx-mini", 7, false),
            ("rx-jumbo", 8, false),
            ("tx", 9, false),
        ],
    },
    Group {
        name: "channels",
        get: 17,
        set: 18,
        numbers: &[
            ("rx-count", 6, false),
            ("tx-count", 7, false),
            ("other-count", 8, false),
            ("combined-count", 9, false),
        ],
    },
    Group {
        name: "coalesce",
        get: 19,
        set: 20,
        numbers: &[
            ("rx-usecs", 2, false),
            ("rx-max-frames", 3, false),
            ("rx-usecs-irq", 4, false),
            ("rx-max-frames-irq", 5, false),
            ("tx-usecs", 6, false),
            ("tx-max-frames", 7, false),
            ("tx-usecs-irq", 8, false),
            ("tx-max-frames-irq", 9, false),
            ("stats-block-usecs", 10, false),
            ("use-adaptive-rx", 11, true),
            ("use-adaptive-tx", 12, true),
        ],
    },
    Group {
        name: "pause",
        get: 21,
        set: 22,
        numbers: &[("autoneg", 2, true), ("rx", 3, true), ("tx", 4, true)],
    },
    Group {
        name: "eee",
        get: 23,
        set: 24,
        numbers: &[("enabled", 5, true), ("tx-lpi-enabled", 6, true), ("tx-lpi-timer", 7, false)],
    },
];

/// The number of a name such as `rings.rx`.
pub(crate) fn number(name: &str) -> Option<Number> {
    let (group, name) = name.split_once('.')?;
    let group = GROUPS.iter().find(|own| own.name == group)?;
    let (_, attribute, is_flag) = group.numbers.iter().find(|(own, ..)| *own == name)?;
    Some(Number { get: group.get, set: group.set, attribute: *attribute, is_flag: *is_flag })
}

impl Number {
    /// What a text says, as its attribute; none where the attribute holds no such number.
    pub fn attribute(self, text: &str) -> Option<Attributes> {
        let number: u32 = text.parse().ok()?;
        match self.is_flag {
            true if number <= 1 => Some(Attributes::default().u8(self.attribute, number as u8)),
            true => None,
            false => Some(Attributes::default().u32(self.attribute, number)),
        }
    }

    /// What an answer's body says; none where the driver has no such thing.
    pub fn read(self, body: &[u8]) -> Result<Option<String>, Malformed> {
        let number = received(body)?.number(self.attribute)?;
        Ok(number.map(|number| number.to_string()))
    }
}

/// The attributes of a generic message.
pub(super) fn received(body: &[u8]) -> Result<Received<'_>, Malformed> {
    Received::of(body.get(GENERIC..).ok_or(Malformed)?)
}

fn generic(command: u8, version: u8, attributes: Attributes) -> Vec<u8> {
    let mut body = vec![command, version, 0, 0];
    body.extend(attributes.into_bytes());
    body
}

/// Asks for the number of the family called so: the kind of message, and its body.
pub(crate) fn family(name: &str) -> (u16, Vec<u8>) {
    (CONTROL, generic(GET_FAMILY, 1, Attributes::default().text(FAMILY_NAME, name)))
}

/// The family's number.
pub(crate) fn family_number(body: &[u8]) -> Result<u16, Malformed> {
    let number = received(body)?.number(FAMILY_ID)?.ok_or(Malformed)?;
    u16::try_from(number).map_err(|_| Malformed)
}

/// Asks for what a message reads of a device.
pub(crate) fn get(command: u8, device: &str) -> Vec<u8> {
    let header = Attributes::default().text(DEVICE_NAME, device);
    generic(command, 1, Attributes::default().nest(HEADER, header))
}

/// Sets something of a device.
pub(crate) fn set(command: u8, device: &str, what: Attributes) -> Vec<u8> {
    let header = Attributes::default().text(DEVICE_NAME, device).u32(FLAGS, OMIT_REPLY);
    let mut body = generic(command, 1, Attributes::default().nest(HEADER, header));
    body.extend(what.into_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_of_the_size_that_the_kernel_takes() {
        let rings = number("rings.rx").unwrap();
        let bytes = rings.attribute("256").unwrap().into_bytes();
        assert_eq!(bytes, [8, 0, 6, 0, 0, 1, 0, 0]);
        let adaptive = number("coalesce.use-adaptive-rx").unwrap();
        assert_eq!(adaptive.attribute("1").unwrap().into_bytes(), [5, 0, 11, 0, 1, 0, 0, 0]);
        for (name, text) in [
            ("coalesce.use-adaptive-rx", "2"),
            ("rings.rx", "-1"),
            ("rings.rx", "4294967296"),
            ("rings.rx", "max"),
            ("rings.rx", ""),
        ] {
            assert_eq!(number(name).unwrap().attribute(text), None, "{name} {text}");
        }
    }

    #[test]
    fn what_a_driver_does_not_have_is_none() {
        let answer = |attributes| generic(1, 1, attributes);
        let rings = number("rings.tx").unwrap();
        assert_eq!(rings.read(&answer(Attributes::default().u32(9, 256))), Ok(Some("256".into())));
        assert_eq!(rings.read(&answer(Attributes::default().u32(6, 256))), Ok(None));
        assert_eq!(rings.read(&answer(Attributes::default().bytes(9, &[1, 2, 3]))), Err(Malformed));
        assert_eq!(rings.read(&[1, 1]), Err(Malformed));
    }
}
