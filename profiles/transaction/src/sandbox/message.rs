//! What parent and child say to each other: JSON, with its length in front.

use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::compare::Compare;
use crate::plan::Reach;
use crate::store::{Changed, Confinement, StoreError};

/// The longest message, in bytes.
const MAX_MESSAGE: usize = 32 * 1024 * 1024;

/// What the child may do, said once, at first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    /// What stands in for `/`; none for the kernel's own files.
    pub base: Option<PathBuf>,
    /// Everything that it may read and write.
    pub reach: Vec<Reach>,
}

/// The child's first answer.
pub(super) type Ready = Result<Confinement, StoreError>;

/// What the child is to do. Settings go by their number in the task.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    Read(Vec<u32>),
    Write(u32, String),
    /// As [`change_all`](crate::store::Store::change_all) does it.
    Change(Vec<Change>),
}

/// A [change](crate::store::Change) of a setting, by its number.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Change {
    pub at: u32,
    pub value: String,
    pub compare: Compare,
    pub before: Option<String>,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Read(Vec<Result<String, StoreError>>),
    Written(Result<(), StoreError>),
    Changed(Vec<Changed>),
}

pub(super) fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    if length > MAX_MESSAGE {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let length = u32::try_from(length).map_err(|_| ErrorKind::FileTooLarge)?;
    bytes.splice(..4, length.to_le_bytes());
    to.write_all(&bytes)?;
    to.flush()
}

/// The next message; none where the other side has ended.
pub(super) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length);
    if usize::try_from(length).map_or(true, |length| length > MAX_MESSAGE) {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let mut body = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut body)?;
    if body.len() as u64 != u64::from(length) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(serde_json::from_slice(&body)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_whole_or_not_at_all() {
        let mut bytes = Vec::new();
        send(&mut bytes, &Request::Write(3, "a\u{e9}".into())).unwrap();
        let Some(Request::Write(3, text)) = receive(&mut bytes.as_slice()).unwrap() else {
            panic!("another message")
        };
        assert_eq!(text, "a\u{e9}");
        assert!(receive::<Request>(&mut [].as_slice()).unwrap().is_none());
        assert!(receive::<Request>(&mut &bytes[..bytes.len() - 1]).is_err());
        assert!(receive::<Request>(&mut [0xff; 8].as_slice()).is_err());
        assert!(receive::<Request>(&mut [2, 0, 0, 0, b'{', b'}'].as_slice()).is_err());
    }
}
