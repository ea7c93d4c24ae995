//! The serial port of a PC (16550A), for kernels that are told to use one (`console=ttyS0`).
//!
//! Every byte is an exit, so ours are not told to: their log is read out of their memory.

use std::io::{self, Write};

use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::EventFd;

use super::Device;

/// Where the first serial port of a PC is.
pub const PORTS: u16 = 0x3f8;
/// How many registers it has.
pub const COUNT: u16 = 8;
/// The interrupt of the first serial port of a PC.
pub const INTERRUPT: u32 = 4;

/// A line is cut here, so that a guest that never ends one takes no more of our memory.
const LONGEST: usize = 1024;

/// Raises the interrupt.
pub struct Interrupt(pub EventFd);

impl Trigger for Interrupt {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

/// Hands whole lines on.
pub struct Lines<F> {
    line: Vec<u8>,
    hear: F,
}

impl<F: FnMut(&[u8])> Write for Lines<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
            }
            if *byte == b'\n' || self.line.len() == LONGEST {
                (self.hear)(&self.line);
                self.line.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The port.
pub struct Port<F: FnMut(&[u8])>(Serial<Interrupt, NoEvents, Lines<F>>);

impl<F: FnMut(&[u8])> Port<F> {
    /// One that hands what is written to it to `hear`, line by line.
    pub fn new(interrupt: EventFd, hear: F) -> Self {
        Self(Serial::new(Interrupt(interrupt), Lines { line: Vec::new(), hear }))
    }
}

impl<F: FnMut(&[u8]) + Send> Device for Port<F> {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        if let ([byte], Ok(offset)) = (data, u8::try_from(offset)) {
            *byte = self.0.read(offset);
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let ([byte], Ok(offset)) = (data, u8::try_from(offset)) {
            // It fails where the interrupt cannot be raised, which nobody here can mend.
            let _ = self.0.write(offset, *byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrive_whole_and_bounded() {
        let (tell, hear) = std::sync::mpsc::channel();
        let mut port = Port::new(EventFd::new(0).unwrap(), move |line: &[u8]| {
            tell.send(line.len()).unwrap();
        });
        for byte in *b"one\ntwo" {
            port.write(0, &[byte]);
        }
        port.write(0, b"xy");
        port.write(8, b"x");
        for _ in 0..LONGEST {
            port.write(0, b"x");
        }
        drop(port);
        assert_eq!(hear.iter().collect::<Vec<_>>(), [3, LONGEST]);
    }
}
