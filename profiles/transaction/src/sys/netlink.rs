//! A netlink socket: one question, one answer.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::mem::size_of;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::network::Malformed;
use crate::network::message::{Part, Request, parts};

/// How long the kernel may take to say something: it answers what it was asked before it does anything
/// else, so this is for what cannot be.
const PATIENCE_SECONDS: i64 = 30;
/// Room for one datagram. Lists come in pieces of at most 32 KiB; a longer answer is refused, not cut.
const ROOM: usize = 128 * 1024;
/// The most that one answer may have: many devices with many queues each.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// How often a list is asked for that changes while it is told.
const TRIES: usize = 8;

/// `NETLINK_CAP_ACK` and `NETLINK_EXT_ACK` (include/uapi/linux/netlink.h): refusals without the question,
/// and with words.
const CAPPED: libc::c_int = 10;
const WORDS: libc::c_int = 11;

/// Which part of the kernel is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Route,
    Generic,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The kernel refuses: its error's number, and its words.
    Refused(i32, String),
    /// The socket failed.
    Socket(io::Error),
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl From<Malformed> for NoAnswer {
    fn from(_: Malformed) -> Self {
        Self::Socket(io::Error::new(ErrorKind::InvalidData, "the kernel's answer makes no sense"))
    }
}

/// One message of an answer: its kind, and its body.
pub(super) type Message = (u16, Vec<u8>);

/// A socket. Once it is open, it takes no more than `read` and `write`.
#[derive(Debug)]
pub(super) struct Socket {
    file: File,
    sequence: u32,
    room: Vec<u8>,
}

impl Socket {
    pub fn open(to: To) -> io::Result<Self> {
        let protocol = match to {
            To::Route => SockProtocol::NetlinkRoute,
            To::Generic => SockProtocol::NetlinkGeneric,
        };
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE_SECONDS))?;
        turn_on(&socket, CAPPED)?;
        turn_on(&socket, WORDS)?;
        Ok(Self { file: File::from(socket), sequence: 0, room: Vec::new() })
    }

    /// Asks, and waits for the whole answer.
    pub fn ask(&mut self, request: &Request) -> Result<Vec<Message>, NoAnswer> {
        for _ in 0..TRIES {
            if let Some(answer) = self.ask_once(request)? {
                return Ok(answer);
            }
        }
        Err(io::Error::new(ErrorKind::Interrupted, "it changes all the time").into())
    }

    /// None where something changed while it was told.
    fn ask_once(&mut self, request: &Request) -> Result<Option<Vec<Message>>, NoAnswer> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request.clone().into_bytes(self.sequence);
        // Without an address, a message goes to the kernel, whole.
        if self.file.write(&bytes)? != bytes.len() {
            return Err(io::Error::from(ErrorKind::WriteZero).into());
        }
        let (mut answer, mut size, mut has_changed) = (Vec::new(), 0_usize, false);
        loop {
            self.room.resize(ROOM, 0);
            let length = match self.file.read(&mut self.room) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                length => length?,
            };
            // What does not fit is cut without a word, so an answer that fills the room counts as cut.
            size = size.saturating_add(length);
            if length >= ROOM || size > MAX_ANSWER {
                return Err(io::Error::from(ErrorKind::FileTooLarge).into());
            }
            let datagram = self.room.get(..length).unwrap_or_default();
            for part in parts(datagram, self.sequence)? {
                match part {
                    Part::Body(kind, body) => answer.push((kind, body.to_vec())),
                    Part::Changed => has_changed = true,
                    Part::Refused(number, words) => return Err(NoAnswer::Refused(number, words)),
                    Part::End => return Ok((!has_changed).then_some(answer)),
                }
            }
        }
    }
}

fn turn_on(socket: &OwnedFd, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open; the value lives through the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast::<libc::c_void>(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
