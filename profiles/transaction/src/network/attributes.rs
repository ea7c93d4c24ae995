//! Attributes: a length, a kind and bytes, one behind the other, aligned to four
//! (`Documentation/userspace-api/netlink/intro.rst`).

/// In front of each attribute's bytes: its length with this, and its kind, 16 bits each.
const HEADER: usize = 4;
/// `NLA_F_NESTED`: the bytes are attributes.
const NESTED: u16 = 1 << 15;
/// `NLA_TYPE_MASK`: the kind without flags.
const KIND: u16 = (1 << 14) - 1;

/// What came from the kernel is cut short, or has lengths that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Attributes that are being written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Attributes(Vec<u8>);

impl Attributes {
    /// Bytes as they are.
    #[must_use]
    pub fn bytes(self, kind: u16, value: &[u8]) -> Self {
        self.push(kind, value)
    }

    /// A byte.
    #[must_use]
    pub fn u8(self, kind: u16, value: u8) -> Self {
        self.push(kind, &[value])
    }

    /// 32 bits.
    #[must_use]
    pub fn u32(self, kind: u16, value: u32) -> Self {
        self.push(kind, &value.to_ne_bytes())
    }

    /// Text, with the NUL behind it that some of the kernel's readers need.
    #[must_use]
    pub fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.push(kind, &bytes)
    }

    /// Nothing: that it is there says it all.
    #[must_use]
    pub fn flag(self, kind: u16, is_set: bool) -> Self {
        if is_set { self.push(kind, &[]) } else { self }
    }

    /// Attributes within.
    #[must_use]
    pub fn nest(self, kind: u16, within: Self) -> Self {
        self.push(kind | NESTED, &within.0)
    }

    /// As they are sent.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Nothing that is sent here is anywhere near 64 KiB; what were, would be cut, and the kernel refuses.
    fn push(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(HEADER + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

/// Attributes that were received, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received<'b>(Vec<(u16, &'b [u8])>);

impl<'b> Received<'b> {
    /// Takes bytes apart.
    pub fn of(mut bytes: &'b [u8]) -> Result<Self, Malformed> {
        let mut found = Vec::new();
        // What is left behind the last one may be less than a header: padding.
        while bytes.len() >= HEADER {
            let (length, kind) = (u16_at(bytes, 0)?, u16_at(bytes, 2)?);
            let length = usize::from(length);
            let value = bytes.get(HEADER..length).ok_or(Malformed)?;
            found.push((kind & KIND, value));
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(Self(found))
    }

    /// All of them, in their order.
    pub fn all(&self) -> impl Iterator<Item = (u16, &'b [u8])> {
        self.0.iter().copied()
    }

    /// The bytes of the first of this kind.
    pub fn bytes(&self, kind: u16) -> Option<&'b [u8]> {
        self.0.iter().find(|(own, _)| *own == kind).map(|(_, value)| *value)
    }

    /// Those within, where it is there.
    pub fn nest(&self, kind: u16) -> Result<Option<Self>, Malformed> {
        self.bytes(kind).map(Self::of).transpose()
    }

    /// Text without its NUL.
    pub fn text(&self, kind: u16) -> Result<Option<&'b str>, Malformed> {
        let Some(bytes) = self.bytes(kind) else { return Ok(None) };
        let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        std::str::from_utf8(bytes).map(Some).map_err(|_| Malformed)
    }

    /// A whole number of one, two, four or eight bytes.
    pub fn number(&self, kind: u16) -> Result<Option<u64>, Malformed> {
        self.bytes(kind).map(number).transpose()
    }
}

/// A whole number of one, two, four or eight bytes, as this machine has them.
pub(crate) fn number(bytes: &[u8]) -> Result<u64, Malformed> {
    match *bytes {
        [one] => Ok(one.into()),
        [a, b] => Ok(u16::from_ne_bytes([a, b]).into()),
        [a, b, c, d] => Ok(u32::from_ne_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => Ok(u64::from_ne_bytes([a, b, c, d, e, f, g, h])),
        _ => Err(Malformed),
    }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    let end = at.checked_add(2).ok_or(Malformed)?;
    let bytes = bytes.get(at..end).ok_or(Malformed)?;
    bytes.try_into().map(u16::from_ne_bytes).map_err(|_| Malformed)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    let end = at.checked_add(4).ok_or(Malformed)?;
    let bytes = bytes.get(at..end).ok_or(Malformed)?;
    bytes.try_into().map(u32::from_ne_bytes).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let bytes = Attributes::default()
            .u8(1, 7)
            .text(2, "eth0")
            .nest(3, Attributes::default().u32(1, 9).flag(2, true).flag(3, false))
            .into_bytes();
        let all = Received::of(&bytes).unwrap();
        assert_eq!(all.number(1), Ok(Some(7)));
        assert_eq!(all.text(2), Ok(Some("eth0")));
        let nest = all.nest(3).unwrap().unwrap();
        assert_eq!(nest.number(1), Ok(Some(9)));
        assert_eq!((nest.bytes(2), nest.bytes(3)), (Some(&[][..]), None));
        assert_eq!(all.number(2), Err(Malformed));
    }

    #[test]
    fn lengths_that_cannot_be_are_told() {
        for bytes in [
            &[3, 0, 1, 0][..],
            &[0, 0, 1, 0],
            &[9, 0, 1, 0, 1, 2, 3, 4],
            &[0xff, 0xff, 1, 0, 1, 2, 3, 4],
        ] {
            assert_eq!(Received::of(bytes), Err(Malformed), "{bytes:?}");
        }
        // The last one need not be padded.
        assert_eq!(Received::of(&[5, 0, 1, 0, 8]).unwrap().number(1), Ok(Some(8)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(all) = Received::of(&bytes) {
                prop_assert!(all.all().map(|(_, value)| value.len() + HEADER).sum::<usize>() <= bytes.len());
            }
        }
    }
}
