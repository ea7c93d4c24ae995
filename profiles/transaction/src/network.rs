//! Settings of network devices that are no files: what is said to the kernel over netlink, and back. Pure.
//!
//! | target | messages | values |
//! |---|---|---|
//! | `Ethtool("rings.rx")` and the like | ethtool over generic netlink, Linux 5.6 and later | numbers |
//! | `Ethtool("features.NAME")` | the same | `1` and `0`, see [`features`] |
//! | `Link("mtu")` | rtnetlink, `RTM_SETLINK` | bytes |
//! | `Link("qdisc")` | rtnetlink, `RTM_NEWQDISC` | see [`Discipline`] |
//!
//! All that comes from the kernel is looked at as if it came from anybody: lengths are checked, and what
//! does not fit is an error.

mod attributes;
mod discipline;
pub(crate) mod ethtool;
pub(crate) mod features;
pub(crate) mod link;
pub(crate) mod message;
pub(crate) mod queueing;

pub(crate) use attributes::{Attributes, Malformed};
pub use discipline::{Discipline, DisciplineError, KINDS};

use crate::plan::Target;

/// The longest name of a network device, in bytes: `IFNAMSIZ` (include/uapi/linux/if.h) less its NUL.
const MAX_NAME: usize = 15;

/// What of a network device a target means; none where it is unknown here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meant<'t> {
    /// The largest packet, in bytes.
    Mtu,
    /// How packets wait to be sent.
    Qdisc,
    /// Whether a feature is on.
    Feature(&'t str),
    /// A number that the driver keeps.
    Number(ethtool::Number),
}

impl<'t> Meant<'t> {
    /// By a target's kind and attribute, with the device.
    pub(crate) fn by(target: &'t Target) -> Option<(&'t str, Self)> {
        match target {
            Target::Link { device, attribute } => {
                let meant = match attribute.as_str() {
                    "mtu" => Self::Mtu,
                    "qdisc" => Self::Qdisc,
                    _ => return None,
                };
                Some((device, meant))
            }
            Target::Ethtool { device, attribute } => {
                let meant = match attribute.strip_prefix("features.") {
                    Some(name) => features::is_name(name).then_some(Self::Feature(name))?,
                    None => Self::Number(ethtool::number(attribute)?),
                };
                Some((device, meant))
            }
            _ => None,
        }
    }
}

/// Whether something can be a setting of a network device that is known here.
pub fn is_known(target: &Target) -> bool {
    Meant::by(target).is_some_and(|(device, _)| is_device(device))
}

/// Whether a network device can be called so (`dev_valid_name` in net/core/dev.c).
pub fn is_device(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.bytes().any(|byte| {
            byte == b'/' || byte == b':' || byte.is_ascii_whitespace() || byte.is_ascii_control()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_meant() {
        let ethtool = |attribute: &str| {
            let target = Target::Ethtool { device: "eth0".into(), attribute: attribute.into() };
            Meant::by(&target).is_some()
        };
        for known in ["rings.rx", "channels.combined-count", "coalesce.rx-usecs", "features.rx-gro"]
        {
            assert!(ethtool(known), "{known}");
        }
        for unknown in ["rings.rx-max", "rings", "features.", "features.rx gro", "wol.modes"] {
            assert!(!ethtool(unknown), "{unknown}");
        }
    }

    #[test]
    fn names_are_those_that_the_kernel_takes() {
        for good in ["eth0", "enp3s0f1np1", "wg-a.1", "é"] {
            assert!(is_device(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "eth0:1", "two words", "sixteen-letters!", "a\u{7f}"] {
            assert!(!is_device(bad), "{bad}");
        }
    }
}
