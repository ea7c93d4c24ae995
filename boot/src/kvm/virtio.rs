//! virtio devices (Virtual I/O Device, version 1.2).
//!
//! A [`Device`] is what it does with requests. How its driver reaches it is the business of a transport
//! ([`mmio`]), which has the queues and hands them to the device whenever there is something to do; and what
//! is outside reaches it through descriptors that one thread watches for all of them ([`service`]).

pub mod blk;
pub mod buffers;
pub mod mmio;
pub mod net;
mod queues;
pub mod rng;
pub mod service;
#[cfg(test)]
mod testing;

use std::os::fd::RawFd;

pub use queues::{Queues, Spoilt};

/// What a device is to its driver.
pub trait Device: Send {
    /// The number of its kind (section 5).
    fn kind(&self) -> u32;

    /// What it can do, as bits; besides those of the transport.
    fn features(&self) -> u64 {
        0
    }

    /// The most descriptors that each of its queues holds; powers of two.
    fn queue_sizes(&self) -> &[u16];

    /// Reads its configuration from `offset` on. Beyond its end, `data` is left as it is: zero.
    fn read_config(&self, _offset: u64, _data: &mut [u8]) {}

    /// Writes its configuration.
    fn write_config(&mut self, _offset: u64, _data: &[u8]) {}

    /// Its driver is ready, and uses these features of those that were offered.
    fn activate(&mut self, _features: u64) {}

    /// There may be requests in this queue. All are to be taken.
    ///
    /// # Errors
    ///
    /// [`Spoilt`] where the driver's queue makes no sense: the device stops until it is reset.
    fn serve(&mut self, queue: u16, queues: &mut Queues<'_>) -> Result<(), Spoilt>;

    /// Descriptors outside that are watched for it. They stay the same, and open, while it lives.
    fn watched(&self) -> Vec<RawFd> {
        Vec::new()
    }

    /// Something has changed at the descriptor of this number: it can be read or written, or its other end is
    /// gone. That is said once for each change, and only while the driver is ready: so the device goes on until
    /// nothing is left, and looks again when it is activated and when its driver makes room.
    ///
    /// # Errors
    ///
    /// As [`Device::serve`].
    fn changed(&mut self, _watched: usize, _queues: &mut Queues<'_>) -> Result<(), Spoilt> {
        Ok(())
    }

    /// What it has done since the start, as numbers whose names belong to its kind.
    fn counts(&self) -> Vec<u64> {
        Vec::new()
    }

    /// Finishes what is being worked on: then all that the device is lies in its queues, and in what
    /// [`Device::save`] tells. Its driver is held meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Device::serve`].
    fn settle(&mut self, _queues: &mut Queues<'_>) -> Result<(), Spoilt> {
        Ok(())
    }

    /// What it is besides its queues and its configuration.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Makes it what another was, before it is activated.
    ///
    /// # Errors
    ///
    /// [`Spoilt`] where that makes no sense.
    fn restore(&mut self, saved: &[u8]) -> Result<(), Spoilt> {
        if saved.is_empty() { Ok(()) } else { Err(Spoilt) }
    }

    /// Its driver starts over. When this returns nothing touches the guest's memory any more that an earlier
    /// request named.
    fn reset(&mut self) {}
}
