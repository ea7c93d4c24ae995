//! Addresses of network devices.

use super::*;

/// The address of a network device (IEEE 802, "MAC address"): of one device, not of a group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MacAddress([u8; 6]);

/// Why a text is no such address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseMacError {
    /// something else
    #[error("`{0}` is not an address: expected six bytes such as \"02:00:00:00:00:01\"")]
    Form(String),
    /// of many devices
    #[error("the address {0} is one of a group: the last bit of its first byte has to be 0")]
    Group(String),
    /// of none
    #[error("an address of nothing but zeros is no device's")]
    Zero,
}

/// The bit of the first byte that says "given by whoever runs the network".
const LOCAL: u8 = 2;
/// The bit that says "of a group".
const GROUP: u8 = 1;

impl MacAddress {
    /// The address that something of this name has: always the same, and hardly ever another's.
    pub fn of_name(name: &str) -> Self {
        // FNV-1a (draft-eastlake-fnv): names do not have to be safe from each other.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let [_, _, a, b, c, d, e, f] = hash.to_be_bytes();
        Self([a & !GROUP | LOCAL, b, c, d, e, f])
    }

    /// Its bytes, in the order in which they are written.
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseMacError::Form(quantity::quoted(text));
        let two = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        let parts: Vec<u8> = text
            .split(':')
            .map(|part| two(part).then(|| u8::from_str_radix(part, 16).ok()).flatten())
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        let bytes: [u8; 6] = parts.try_into().map_err(|_| wrong())?;
        match bytes {
            [first, ..] if first & GROUP != 0 => Err(ParseMacError::Group(text.to_owned())),
            [0, 0, 0, 0, 0, 0] => Err(ParseMacError::Zero),
            bytes => Ok(Self(bytes)),
        }
    }
}

serde_as_text!(MacAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let address: MacAddress = "02:0a:FF:00:00:01".parse().unwrap();
        assert_eq!(address.bytes(), [2, 10, 255, 0, 0, 1]);
        assert_eq!(address.to_string(), "02:0a:ff:00:00:01");
        assert!(matches!("03:00:00:00:00:01".parse::<MacAddress>(), Err(ParseMacError::Group(_))));
        assert_eq!("00:00:00:00:00:00".parse::<MacAddress>(), Err(ParseMacError::Zero));
        for text in [
            "",
            "02",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
            "2:0:0:0:0:1",
            "+2:00:00:00:00:01",
            "02-00-00-00-00-01",
        ] {
            assert!(matches!(text.parse::<MacAddress>(), Err(ParseMacError::Form(_))), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_name_has_an_address_of_one_device(name in ".*") {
            let address = MacAddress::of_name(&name);
            proptest::prop_assert_eq!(address.to_string().parse::<MacAddress>(), Ok(address));
            proptest::prop_assert_eq!(address.bytes()[0] & 3, 2);
        }
    }
}
