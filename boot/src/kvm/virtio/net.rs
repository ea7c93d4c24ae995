//! A network device (virtio 1.2, section 5.1), whose other end is a tap on the host.
//!
//! Packets go straight between the tap and the guest's memory. Those that come while the driver has no room wait
//! in the tap, and go on when it makes some; what the tap does not take waits here, one packet of it.

mod receive;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};

use super::buffers::{self, Buffer};
use super::{Device, Queues, Spoilt};
use receive::{Receiver, Room};

/// The number of its kind.
const KIND: u32 = 1;
/// Its queues: packets to the driver, and from it.
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
const QUEUE: u16 = 256;

/// What stands before each packet: `struct virtio_net_hdr` with its number of buffers (section 5.1.6).
pub const HEADER: usize = 12;
/// The largest packet that segmentation is left for, with an Ethernet header and a tag, and what stands before it.
const LARGEST: usize = HEADER + 18 + 65_535;

/// Features (section 5.1.3).
mod feature {
    pub const CHECKSUM: u64 = 1 << 0;
    pub const GUEST_CHECKSUM: u64 = 1 << 1;
    pub const MTU: u64 = 1 << 3;
    pub const MAC: u64 = 1 << 5;
    pub const GUEST_TSO4: u64 = 1 << 7;
    pub const GUEST_TSO6: u64 = 1 << 8;
    pub const GUEST_ECN: u64 = 1 << 9;
    pub const HOST_TSO4: u64 = 1 << 11;
    pub const HOST_TSO6: u64 = 1 << 12;
    pub const HOST_ECN: u64 = 1 << 13;
    pub const MERGED_BUFFERS: u64 = 1 << 15;
}

/// What a tap may leave to whoever reads it (include/uapi/linux/if_tun.h, `TUN_F_`).
mod offload {
    pub const CHECKSUM: u32 = 1;
    pub const TSO4: u32 = 2;
    pub const TSO6: u32 = 4;
    pub const ECN: u32 = 8;
}

/// The configuration (section 5.1.4): address, status, pairs of queues, MTU.
const CONFIG: usize = 12;

/// What it has done, since the start.
#[derive(Debug, Default)]
struct Counts {
    rx_packets: u64,
    rx_bytes: u64,
    tx_packets: u64,
    tx_bytes: u64,
    /// Requests that were no packets, and packets that the tap refused.
    dropped: u64,
}

/// The names of what it counts, in their order.
pub const COUNTS: [&str; 5] = ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "dropped"];

/// The device.
pub struct Net {
    tap: File,
    mac: [u8; 6],
    mtu: u16,
    receiver: Receiver,
    /// A packet that the tap did not take.
    waiting: Option<Buffer>,
    counts: Counts,
}

impl Net {
    /// One on a tap that is read and written without waiting, with headers of 12 bytes before packets of at most
    /// `mtu` bytes behind their Ethernet header.
    pub fn new(tap: File, mac: [u8; 6], mtu: u16) -> Self {
        let counts = Counts::default();
        Self { tap, mac, mtu, receiver: Receiver::default(), waiting: None, counts }
    }

    /// Takes packets from the tap until there are no more, or there is no room.
    fn receive(&mut self, queues: &mut Queues<'_>) -> Result<(), Spoilt> {
        loop {
            match self.receiver.make_room(RECEIVE, queues, &mut self.counts.dropped)? {
                Room::None => return Ok(()),
                Room::Enough => {}
            }
            let read = self.receiver.read(&self.tap);
            let length = match read {
                Ok(length @ HEADER..) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Nothing more for now; or the tap is gone, or down, and says so whenever it is asked.
                Ok(_) | Err(_) => return Ok(()),
            };
            self.counts.rx_packets += 1;
            self.counts.rx_bytes += (length - HEADER) as u64;
            self.receiver.hand_over(RECEIVE, length, queues)?;
        }
    }

    /// Gives packets to the tap until there are no more, or it takes no more.
    fn transmit(&mut self, queues: &mut Queues<'_>) -> Result<(), Spoilt> {
        if let Some(buffer) = self.waiting.take()
            && !self.send(buffer, queues)?
        {
            return Ok(());
        }
        loop {
            queues.tell_of_new(TRANSMIT, false)?;
            while let Some(chain) = queues.next_chain(TRANSMIT)? {
                let sent = match Buffer::new(chain, queues.memory()) {
                    Ok(buffer) => self.send(buffer, queues)?,
                    Err(wrong) => {
                        self.counts.dropped += 1;
                        queues.done(TRANSMIT, wrong.head, 0)?;
                        true
                    }
                };
                if !sent {
                    return Ok(());
                }
            }
            if !queues.tell_of_new(TRANSMIT, true)? {
                return Ok(());
            }
        }
    }

    /// Whether the tap took a packet, or never will; else it waits.
    fn send(&mut self, buffer: Buffer, queues: &mut Queues<'_>) -> Result<bool, Spoilt> {
        let length = buffers::length(&buffer.readable);
        if !(HEADER + 1..=LARGEST).contains(&length) {
            self.counts.dropped += 1;
            return queues.done(TRANSMIT, buffer.head, 0).map(|()| true);
        }
        let written = loop {
            let (pieces, count) = (buffer.readable.as_ptr().cast(), buffer.readable.len() as i32);
            // SAFETY: the pieces are in mappings that last, and nobody makes references to what is there.
            let written = unsafe { libc::writev(self.tap.as_raw_fd(), pieces, count) };
            match io::Error::last_os_error().kind() {
                io::ErrorKind::Interrupted if written < 0 => {}
                io::ErrorKind::WouldBlock if written < 0 => {
                    self.waiting = Some(buffer);
                    return Ok(false);
                }
                _ => break written,
            }
        };
        match written {
            // A header that makes no sense, or a tap that is down.
            ..0 => self.counts.dropped += 1,
            _ => {
                self.counts.tx_packets += 1;
                self.counts.tx_bytes += (length - HEADER) as u64;
            }
        }
        queues.done(TRANSMIT, buffer.head, 0).map(|()| true)
    }

    /// Tells the tap what it may leave to the guest. One that refuses does all of it itself, which a guest does
    /// not notice.
    fn set_offload(&self, features: u64) {
        let mut wanted = 0;
        for (feature, offload) in [
            (feature::GUEST_CHECKSUM, offload::CHECKSUM),
            (feature::GUEST_TSO4, offload::TSO4),
            (feature::GUEST_TSO6, offload::TSO6),
            (feature::GUEST_ECN, offload::ECN),
        ] {
            if features & feature != 0 {
                wanted |= offload;
            }
        }
        // All others build on it.
        if wanted & offload::CHECKSUM == 0 {
            wanted = 0;
        }
        // SAFETY: the number is given by value, and no memory is touched.
        let _ = unsafe { libc::ioctl(self.tap.as_raw_fd(), libc::TUNSETOFFLOAD as _, wanted) };
    }

    fn config(&self) -> [u8; CONFIG] {
        let [a, b, c, d, e, f] = self.mac;
        let [low, high] = self.mtu.to_le_bytes();
        // No status is offered, and one pair of queues.
        [a, b, c, d, e, f, 0, 0, 1, 0, low, high]
    }
}

impl Device for Net {
    fn kind(&self) -> u32 {
        KIND
    }

    fn features(&self) -> u64 {
        feature::CHECKSUM
            | feature::GUEST_CHECKSUM
            | feature::MTU
            | feature::MAC
            | feature::GUEST_TSO4
            | feature::GUEST_TSO6
            | feature::GUEST_ECN
            | feature::HOST_TSO4
            | feature::HOST_TSO6
            | feature::HOST_ECN
            | feature::MERGED_BUFFERS
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE, QUEUE]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let config = self.config();
        let bytes = usize::try_from(offset).ok().and_then(|offset| config.get(offset..));
        for (to, from) in data.iter_mut().zip(bytes.unwrap_or_default()) {
            *to = *from;
        }
    }

    fn activate(&mut self, features: u64) {
        self.set_offload(features);
        let segments = feature::GUEST_TSO4 | feature::GUEST_TSO6;
        let largest = match features & segments {
            // An Ethernet header with a tag stands before what the MTU counts.
            0 => HEADER + 18 + usize::from(self.mtu),
            _ => LARGEST,
        };
        self.receiver = Receiver::new(largest, features & feature::MERGED_BUFFERS != 0);
    }

    fn serve(&mut self, queue: u16, queues: &mut Queues<'_>) -> Result<(), Spoilt> {
        match queue {
            RECEIVE => self.receive(queues),
            TRANSMIT => self.transmit(queues),
            _ => Ok(()),
        }
    }

    fn watched(&self) -> Vec<RawFd> {
        vec![self.tap.as_raw_fd()]
    }

    fn changed(&mut self, _watched: usize, queues: &mut Queues<'_>) -> Result<(), Spoilt> {
        self.transmit(queues)?;
        self.receive(queues)
    }

    fn counts(&self) -> Vec<u64> {
        let Counts { rx_packets, rx_bytes, tx_packets, tx_bytes, dropped } = self.counts;
        vec![rx_packets, rx_bytes, tx_packets, tx_bytes, dropped]
    }

    fn settle(&mut self, queues: &mut Queues<'_>) -> Result<(), Spoilt> {
        // What was taken and not used is as if it had not been taken.
        queues.untake(RECEIVE, self.receiver.forget())?;
        queues.untake(TRANSMIT, u16::from(self.waiting.take().is_some()))
    }

    fn reset(&mut self) {
        self.set_offload(0);
        self.receiver = Receiver::default();
        self.waiting = None;
    }
}

#[cfg(test)]
mod tests;
