//! Features of devices, which are on or off (`Documentation/networking/netdev-features.rst`).
//!
//! A feature has two states: what was asked for, and what is in force, which others that it needs may
//! keep it from. It reads `1` or `0` where the two agree, and `0 wanted 1` where they do not, so that
//! writing what was read brings both back. What the driver does not let anybody change is *fixed*.

use super::attributes::Received;
use super::{Attributes, Malformed, ethtool};

/// Messages.
pub(crate) const GET: u8 = 11;
pub(crate) const SET: u8 = 12;

/// Attributes of the answer.
const CHANGEABLE: u16 = 2;
const WANTED: u16 = 3;
const ACTIVE: u16 = 4;
const NEVER: u16 = 5;

/// Attributes of a set of bits by name.
const BITS: u16 = 3;
const BIT: u16 = 1;
const NAME: u16 = 2;
const VALUE: u16 = 3;

/// The longest name: `ETH_GSTRING_LEN` (include/uapi/linux/ethtool.h) less its NUL.
const MAX_NAME: usize = 31;

/// What a feature is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Feature {
    /// No feature of that name is known to this kernel.
    Unknown,
    /// The driver never changes it; whether it is on.
    Fixed(bool),
    /// It reads so.
    Reads(String),
}

/// Whether a feature can be called so.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// What an answer says of a feature.
pub(crate) fn read(body: &[u8], name: &str) -> Result<Feature, Malformed> {
    let all = ethtool::received(body)?;
    // This set alone has all names there are; the others have those that are on.
    let Some(changeable) = bit(&all, CHANGEABLE, name)? else { return Ok(Feature::Unknown) };
    let is_on = |set| bit(&all, set, name).map(|bit| bit.is_some_and(|bit| bit.is_set));
    let (active, wanted, never) = (is_on(ACTIVE)?, is_on(WANTED)?, is_on(NEVER)?);
    if !changeable.is_set || never {
        return Ok(Feature::Fixed(active));
    }
    let digit = |is: bool| if is { "1" } else { "0" };
    Ok(Feature::Reads(match active == wanted {
        true => digit(active).to_owned(),
        false => format!("{} wanted {}", digit(active), digit(wanted)),
    }))
}

struct Bit {
    is_set: bool,
}

fn bit(all: &Received<'_>, set: u16, name: &str) -> Result<Option<Bit>, Malformed> {
    let Some(set) = all.nest(set)? else { return Ok(None) };
    // A set that nothing is in may come without its list.
    let Some(bits) = set.nest(BITS)? else { return Ok(None) };
    // Without a mask, as most sets are, what is listed is on.
    let is_list = set.bytes(1).is_some();
    for (kind, bytes) in bits.all() {
        if kind != BIT {
            continue;
        }
        let bit = Received::of(bytes)?;
        if bit.text(NAME)? == Some(name) {
            return Ok(Some(Bit { is_set: is_list || bit.bytes(VALUE).is_some() }));
        }
    }
    Ok(None)
}

/// The attributes that ask for what a text says; none where it says neither.
pub(crate) fn wanted(name: &str, text: &str) -> Option<Attributes> {
    let is_on = match text {
        "1" | "0 wanted 1" => true,
        "0" | "1 wanted 0" => false,
        _ => return None,
    };
    let bit = Attributes::default().text(NAME, name).flag(VALUE, is_on);
    let bits = Attributes::default().nest(BIT, bit);
    Some(Attributes::default().nest(WANTED, Attributes::default().nest(BITS, bits)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(list: bool, bits: &[(&str, bool)]) -> Attributes {
        let bits = bits.iter().fold(Attributes::default(), |all, (name, on)| {
            all.nest(
                BIT,
                Attributes::default().u32(1, 0).text(NAME, name).flag(VALUE, *on && !list),
            )
        });
        Attributes::default().flag(1, list).u32(2, 64).nest(BITS, bits)
    }

    fn answer() -> Vec<u8> {
        let mut body = vec![11, 1, 0, 0];
        let all = [("gro", true), ("tso", true), ("lro", true), ("local", false), ("vlan", true)];
        body.extend(
            Attributes::default()
                .nest(CHANGEABLE, set(false, &all))
                .nest(WANTED, set(true, &[("gro", true), ("tso", true)]))
                .nest(ACTIVE, set(true, &[("gro", true), ("local", true), ("vlan", true)]))
                .nest(NEVER, set(true, &[("vlan", true)]))
                .into_bytes(),
        );
        body
    }

    #[test]
    fn both_states_are_told() {
        let reads = |text: &str| Ok(Feature::Reads(text.to_owned()));
        let answer = answer();
        assert_eq!(read(&answer, "gro"), reads("1"));
        assert_eq!(read(&answer, "lro"), reads("0"));
        assert_eq!(read(&answer, "tso"), reads("0 wanted 1"));
        assert_eq!(read(&answer, "local"), Ok(Feature::Fixed(true)));
        assert_eq!(read(&answer, "vlan"), Ok(Feature::Fixed(true)));
        assert_eq!(read(&answer, "warp"), Ok(Feature::Unknown));
    }

    #[test]
    fn what_was_read_can_be_written() {
        assert_eq!(wanted("tso", "0 wanted 1"), wanted("tso", "1"));
        assert_eq!(wanted("tso", "1 wanted 0"), wanted("tso", "0"));
        assert_ne!(wanted("tso", "1"), wanted("tso", "0"));
        assert_eq!(wanted("tso", "2"), None);
    }

    proptest! {
        #[test]
        fn no_answer_panics(at in 0_usize..400, to in any::<u8>(), cut in 0_usize..400) {
            let mut bytes = answer();
            let (at, cut) = (at % bytes.len(), cut % bytes.len());
            bytes[at] = to;
            let _ = read(&bytes, "tso");
            let _ = read(&bytes[..cut], "tso");
        }
    }
}
