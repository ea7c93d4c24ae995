//! What a virtual machine has besides CPUs and memory.
//!
//! A device is its registers and what they do. It knows neither KVM nor where it lies: interrupts and
//! whatever is outside are handed to it.

pub mod power;
pub mod rtc;
pub mod serial;

/// What was saved of a device makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was saved of a device makes no sense")]
pub struct Senseless;

/// Registers that a guest reads and writes.
pub trait Device: Send {
    /// Reads at `offset`; `data` holds all ones, which is what a width reads that the device does not have.
    fn read(&mut self, offset: u64, data: &mut [u8]);

    /// Writes at `offset`; a width that the device does not have is ignored.
    fn write(&mut self, offset: u64, data: &[u8]);

    /// What it is, for another to be; nothing where that is saved elsewhere.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Makes it what another was.
    ///
    /// # Errors
    ///
    /// [`Senseless`]; it is as it was then.
    fn restore(&mut self, saved: &[u8]) -> Result<(), Senseless> {
        if saved.is_empty() { Ok(()) } else { Err(Senseless) }
    }
}
