//! Messages: a header, and a body of the kind that it names
//! (`Documentation/userspace-api/netlink/intro.rst`).

use super::Malformed;
use super::attributes::{Received, u16_at, u32_at};

/// In front of each message: length, kind, flags, sequence and port.
const HEADER: usize = 16;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NLM_F_ACK`: an answer comes also where all is well.
const ACK: u16 = 4;
/// `NLM_F_DUMP`: all there are.
const DUMP: u16 = 0x300;
/// `NLM_F_MULTI`: one of a list.
const MULTIPART: u16 = 2;
/// `NLM_F_DUMP_INTR`: something changed while they were being told.
const INTERRUPTED: u16 = 0x10;
/// `NLM_F_REPLACE`: instead of what is there.
const REPLACE: u16 = 0x100;
/// `NLM_F_CREATE`: where nothing is there.
const CREATE: u16 = 0x400;
/// `NLM_F_CAPPED` and `NLM_F_ACK_TLVS`: an answer without the question's body, and with attributes.
const CAPPED: u16 = 0x100;
const ACK_ATTRIBUTES: u16 = 0x200;
/// `NLMSGERR_ATTR_MSG`: what is wrong, in words.
const WORDS: u16 = 1;

const NOOP: u16 = 1;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Request {
    /// One thing.
    pub fn one(kind: u16, body: Vec<u8>) -> Self {
        Self { kind, flags: REQUEST | ACK, body }
    }

    /// All things of a kind.
    pub fn all(kind: u16, body: Vec<u8>) -> Self {
        Self { kind, flags: REQUEST | DUMP, body }
    }

    /// Make it, or change what is there.
    pub fn put(kind: u16, body: Vec<u8>) -> Self {
        Self { kind, flags: REQUEST | ACK | CREATE | REPLACE, body }
    }

    /// As it is sent.
    pub fn into_bytes(self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(HEADER + self.body.len()).unwrap_or(u32::MAX);
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend(self.flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.body);
        bytes
    }
}

/// One message of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part<'b> {
    /// What was asked for.
    Body(u16, &'b [u8]),
    /// There is no more.
    End,
    /// Something changed while a list was told: it is to be asked for again once it ends.
    Changed,
    /// It is refused: the error's number, and the kernel's words.
    Refused(i32, String),
}

/// Takes a datagram apart; what answers other questions is left out.
pub(crate) fn parts(mut bytes: &[u8], sequence: u32) -> Result<Vec<Part<'_>>, Malformed> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let length = usize::try_from(u32_at(bytes, 0)?).map_err(|_| Malformed)?;
        let (kind, flags) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?);
        let body = bytes.get(HEADER..length).ok_or(Malformed)?;
        let ours = u32_at(bytes, 8)? == sequence;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        if !ours {
            continue;
        }
        // On an answer to one question this bit means something else.
        if flags & INTERRUPTED != 0 && kind != ERROR && flags & MULTIPART != 0 {
            parts.push(Part::Changed);
        }
        match kind {
            NOOP => {}
            ERROR => match error(body, flags)? {
                (0, _) => parts.push(Part::End),
                (number, words) => parts.push(Part::Refused(number, words)),
            },
            // Behind the end of a list may stand an error's number.
            DONE => match u32_at(body, 0).map(u32::cast_signed) {
                Ok(number) if number < 0 => {
                    parts.push(Part::Refused(number.saturating_neg(), String::new()));
                }
                _ => parts.push(Part::End),
            },
            kind => parts.push(Part::Body(kind, body)),
        }
    }
    Ok(parts)
}

/// The number of an error and the kernel's words.
fn error(body: &[u8], flags: u16) -> Result<(i32, String), Malformed> {
    let number = u32_at(body, 0)?.cast_signed().saturating_neg();
    if flags & ACK_ATTRIBUTES == 0 {
        return Ok((number, String::new()));
    }
    // Behind the number, the question: its header, and its body where that is not left out.
    let asked = match flags & CAPPED {
        0 => usize::try_from(u32_at(body, 4)?).map_err(|_| Malformed)?.next_multiple_of(4),
        _ => HEADER,
    };
    let rest = asked.checked_add(4).and_then(|at| body.get(at..)).ok_or(Malformed)?;
    let words = Received::of(rest)?.text(WORDS)?.unwrap_or_default();
    let words = words.chars().filter(|char| !char.is_control()).take(200).collect();
    Ok((number, words))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::network::Attributes;

    fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        Request { kind, flags, body: body.to_vec() }.into_bytes(sequence)
    }

    #[test]
    fn answers_of_others_are_left_out() {
        let mut bytes = message(20, 0, 7, b"ours");
        bytes.extend(message(20, 0, 8, b"not!"));
        bytes.extend(message(DONE, 0, 7, &[0; 4]));
        assert_eq!(parts(&bytes, 7), Ok(vec![Part::Body(20, b"ours"), Part::End]));
    }

    #[test]
    fn refusals_have_numbers_and_words() {
        let mut body = (-22_i32).to_ne_bytes().to_vec();
        body.extend(message(15, REQUEST, 7, &[]));
        body.extend(Attributes::default().text(WORDS, "too\nmany").into_bytes());
        let bytes = message(ERROR, CAPPED | ACK_ATTRIBUTES, 7, &body);
        assert_eq!(parts(&bytes, 7), Ok(vec![Part::Refused(22, "toomany".into())]));
        let bytes = message(ERROR, 0, 7, &[0; 20]);
        assert_eq!(parts(&bytes, 7), Ok(vec![Part::End]));
        let bytes = message(DONE, 0, 7, &(-5_i32).to_ne_bytes());
        assert_eq!(parts(&bytes, 7), Ok(vec![Part::Refused(5, String::new())]));
        let bytes = message(DONE, INTERRUPTED | MULTIPART, 7, &[0; 4]);
        assert_eq!(parts(&bytes, 7), Ok(vec![Part::Changed, Part::End]));
    }

    #[test]
    fn what_is_cut_short_is_told() {
        let bytes = message(20, 0, 7, b"body");
        for length in 1..bytes.len() {
            assert_eq!(parts(&bytes[..length], 7), Err(Malformed), "{length}");
        }
        let mut bytes = bytes;
        bytes[..4].copy_from_slice(&8_u32.to_ne_bytes());
        assert_eq!(parts(&bytes, 7), Err(Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0_u16..4) {
            let _ = parts(&bytes, 0);
            let _ = parts(&message(kind, ACK_ATTRIBUTES, 0, &bytes), 0);
        }
    }
}
