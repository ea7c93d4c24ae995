//! What rtnetlink says of a network device (`include/uapi/linux/rtnetlink.h`, `if_link.h`).

use super::attributes::{Received, u32_at};
use super::{Attributes, Malformed};

/// `RTM_GETLINK`, `RTM_SETLINK`.
pub(crate) const GET: u16 = 18;
pub(crate) const SET: u16 = 19;

/// `struct ifinfomsg`: in front of the attributes; the device's number stands at 4.
const HEADER: usize = 16;
const NUMBER_AT: usize = 4;

const NAME: u16 = 3;
const MTU: u16 = 4;
const QDISC: u16 = 6;

/// What is known of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its number.
    pub number: u32,
    /// The largest packet, in bytes.
    pub mtu: u64,
    /// The kind of its queueing discipline, in a word.
    pub qdisc: String,
}

/// Names a device.
pub(crate) fn named(device: &str) -> Vec<u8> {
    body(Attributes::default().text(NAME, device))
}

/// Sets a device's MTU; none where the text is no number.
pub(crate) fn mtu(device: &str, text: &str) -> Option<Vec<u8>> {
    Some(body(Attributes::default().text(NAME, device).u32(MTU, text.parse().ok()?)))
}

fn body(attributes: Attributes) -> Vec<u8> {
    let mut body = vec![0; HEADER];
    body.extend(attributes.into_bytes());
    body
}

/// What an answer says.
pub(crate) fn read(body: &[u8]) -> Result<Link, Malformed> {
    let number = u32_at(body, NUMBER_AT)?;
    let all = Received::of(body.get(HEADER..).ok_or(Malformed)?)?;
    Ok(Link {
        number,
        mtu: all.number(MTU)?.ok_or(Malformed)?,
        qdisc: all.text(QDISC)?.unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_link_is_read() {
        let mut bytes = vec![0; HEADER];
        bytes[NUMBER_AT] = 3;
        bytes.extend(
            Attributes::default().text(NAME, "eth0").u32(MTU, 1500).text(QDISC, "fq").into_bytes(),
        );
        assert_eq!(read(&bytes), Ok(Link { number: 3, mtu: 1500, qdisc: "fq".into() }));
        assert_eq!(read(&bytes[..HEADER]), Err(Malformed));
        assert_eq!(mtu("eth0", "1500 "), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
