//! What the process of a virtual machine is told before it begins, and what it answers.
//!
//! Both go over one socket: the description with the descriptors that it is about, to the end of that
//! direction; then one line back.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::{Deserialize, Serialize};

use super::filters::Mode;
use super::topology::Topology;
use crate::memory::Segment;
use crate::units::{Bytes, CpuId, MacAddress, PhysAddr};

/// What a virtual machine is made of, besides the descriptors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The host's CPU of each virtual one.
    pub cpus: Vec<CpuId>,
    /// Whether each stays there; else they run wherever the host has time.
    pub pinned: bool,
    /// How the virtual ones belong together.
    pub topology: Topology,
    /// How much memory its file holds.
    pub memory: Bytes,
    /// Where the file is a snapshot's, and what is written to it its process's own: the piece that is not, the
    /// mailbox, which has a file of its own.
    pub shared: Option<Segment>,
    /// Where the kernel is entered.
    pub entry: PhysAddr,
    /// Where the page tables are that it is entered on.
    pub page_tables: PhysAddr,
    /// Where the zero page is.
    pub boot_params: PhysAddr,
    /// The user that its process becomes; nobody else's.
    pub user: u32,
    /// What happens to a thread that does what it is not for.
    pub filter: Mode,
    /// Whether it goes on where another was held; what that was comes with it.
    pub restored: bool,
    /// Its devices, in the order of their places.
    pub devices: Vec<Device>,
}

/// A virtio device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Device {
    /// Entropy.
    Rng,
    /// A disk; its file comes with it.
    Disk {
        /// What its guest knows it by.
        name: String,
        /// How large it is.
        size: Bytes,
        /// The unit in which it is read and written.
        block: u32,
        /// Whether it is a block device.
        device: bool,
        /// Whether nothing is written to it.
        read_only: bool,
    },
    /// A network; its tap comes with it.
    Net {
        /// The guest's address.
        mac: MacAddress,
        /// The largest packet, in bytes, as the tap has it.
        mtu: u16,
    },
}

impl std::fmt::Display for Device {
    /// What its guest would miss if it were otherwise.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rng => f.write_str("rng"),
            Self::Disk { name, size, block, read_only, .. } => {
                let how = if *read_only { "read-only" } else { "written" };
                write!(f, "disk {name} ({size}, {how}, in units of {block})")
            }
            Self::Net { mtu, .. } => write!(f, "network (MTU {mtu})"),
        }
    }
}

/// The descriptors that come with a [`Description`], in this order.
#[derive(Debug)]
pub struct Descriptors<T> {
    /// `/dev/kvm`.
    pub kvm: T,
    /// The file of its memory.
    pub memory: T,
    /// The file where it tells how it is.
    pub status: T,
    /// The socket where it is asked while it runs; it listens already.
    pub control: T,
    /// What another machine was, where this one goes on.
    pub state: Option<T>,
    /// The file of the piece of memory that is shared, where only one is.
    pub shared: Option<T>,
    /// Those of its devices that have one, in their order.
    pub devices: Vec<T>,
}

/// How many come at most: the kernel's own limit is 253.
const MOST: usize = 64;

/// No description is longer: one of 255 CPUs has some 3 KiB.
const LONGEST: u64 = 1 << 20;

/// Sends a description.
///
/// # Errors
///
/// What sendmsg(2) says.
pub fn send(
    mut to: &UnixStream,
    description: &Description,
    with: &Descriptors<BorrowedFd<'_>>,
) -> io::Result<()> {
    let text = serde_json::to_vec(description)?;
    let first = [&with.kvm, &with.memory, &with.status, &with.control];
    let all = first.into_iter().chain(&with.state).chain(&with.shared).chain(&with.devices);
    let numbers: Vec<_> = all.map(|fd| fd.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let pieces = [IoSlice::new(&text)];
    let sent = sendmsg::<()>(to.as_raw_fd(), &pieces, &rights, MsgFlags::MSG_NOSIGNAL, None)?;
    to.write_all(text.get(sent..).unwrap_or_default())?;
    to.shutdown(Shutdown::Write)
}

/// Receives a description.
///
/// # Errors
///
/// What recvmsg(2) says; [`io::ErrorKind::InvalidData`] where it is none.
pub fn receive(from: &UnixStream) -> io::Result<(Description, Descriptors<OwnedFd>)> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut text = vec![0; 64 << 10];
    let mut control = nix::cmsg_space!([std::os::fd::RawFd; MOST]);
    let mut pieces = [IoSliceMut::new(&mut text)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(from.as_raw_fd(), &mut pieces, Some(&mut control), flags)?;
    let mut descriptors = Vec::new();
    for message in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = message {
            // SAFETY: the kernel has just made them for this process, and nobody else knows of them.
            descriptors.extend(numbers.iter().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) }));
        }
    }
    let length = message.bytes;
    text.truncate(length);
    from.take(LONGEST).read_to_end(&mut text)?;
    let description: Description = serde_json::from_slice(&text)?;
    let mut descriptors = descriptors.into_iter();
    let mut next = || descriptors.next().ok_or_else(|| invalid("a descriptor did not come"));
    let (kvm, memory, status, control) = (next()?, next()?, next()?, next()?);
    let state = if description.restored { Some(next()?) } else { None };
    let shared = if description.shared.is_some() { Some(next()?) } else { None };
    let devices = descriptors.collect();
    Ok((description, Descriptors { kvm, memory, status, control, state, shared, devices }))
}

/// Answers whether the virtual machine runs, and hangs up.
///
/// # Errors
///
/// What write(2) and shutdown(2) say.
pub fn answer(mut to: &UnixStream, result: &Result<(), String>) -> io::Result<()> {
    let mut line = serde_json::to_vec(result)?;
    line.push(b'\n');
    to.write_all(&line)?;
    // It is our standard input, too: who listens would wait for the end of that.
    to.shutdown(Shutdown::Both)
}

/// Waits for the answer.
///
/// # Errors
///
/// What read(2) says; [`io::ErrorKind::UnexpectedEof`] where the process ended without one.
pub fn hear(from: &UnixStream) -> io::Result<Result<(), String>> {
    let mut text = Vec::new();
    from.take(LONGEST).read_to_end(&mut text)?;
    match text.strip_suffix(b"\n") {
        Some(line) => Ok(serde_json::from_slice(line)?),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;

    use super::*;

    fn description() -> Description {
        Description {
            cpus: (0..255).map(CpuId).collect(),
            pinned: true,
            topology: Topology::flat(255),
            memory: Bytes::gib(1),
            shared: Some(Segment { start: PhysAddr(0), size: Bytes::kib(4) }),
            entry: PhysAddr(1 << 24),
            page_tables: PhysAddr(1),
            boot_params: PhysAddr(2),
            user: 1,
            filter: Mode::Log,
            restored: true,
            devices: vec![Device::Rng],
        }
    }

    #[test]
    fn a_description_arrives_with_its_descriptors() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let file = File::open("/proc/self/exe").unwrap();
        let fd = file.as_fd();
        let with = Descriptors {
            kvm: fd,
            memory: fd,
            status: fd,
            control: fd,
            state: Some(fd),
            shared: Some(fd),
            devices: vec![fd; 17],
        };
        send(&ours, &description(), &with).unwrap();
        let (heard, descriptors) = receive(&theirs).unwrap();
        assert_eq!(heard, description());
        let here = nix::sys::stat::fstat(&file).unwrap().st_ino;
        let there = nix::sys::stat::fstat(&descriptors.status).unwrap().st_ino;
        assert_eq!((here, descriptors.devices.len()), (there, 17));
        let still_open = theirs.try_clone().unwrap();
        answer(&theirs, &Err("no".to_owned())).unwrap();
        assert_eq!(hear(&ours).unwrap(), Err("no".to_owned()));
        drop(still_open);
    }

    #[test]
    fn what_is_no_description_is_an_error() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"{}").unwrap();
        drop(ours);
        assert!(receive(&theirs).is_err());
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(hear(&ours).is_err(), "the process ended");
    }
}
