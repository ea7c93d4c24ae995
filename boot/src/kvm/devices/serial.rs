//! The serial port of a PC (16550A), for kernels that are told to use one (`console=ttyS0`).
//!
//! Every byte is an exit, so ours are not told to: their log is read out of their memory.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use vm_superio::serial::{NoEvents, SerialState};
use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::EventFd;

use super::{Device, Senseless};

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
    hear: Arc<Mutex<F>>,
}

impl<F: FnMut(&[u8])> Write for Lines<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
            }
            if *byte == b'\n' || self.line.len() == LONGEST {
                // Whoever panicked there is a process that ended.
                (self.hear.lock().unwrap_or_else(PoisonError::into_inner))(&self.line);
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
pub struct Port<F: FnMut(&[u8])> {
    serial: Serial<Interrupt, NoEvents, Lines<F>>,
    interrupt: EventFd,
    hear: Arc<Mutex<F>>,
}

/// Registers, in the order in which they are saved; what was received and not read stands behind them.
const REGISTERS: usize = 9;

impl<F: FnMut(&[u8])> Port<F> {
    /// One that hands what is written to it to `hear`, line by line.
    ///
    /// # Errors
    ///
    /// What dup(2) says of the interrupt.
    pub fn new(interrupt: EventFd, hear: F) -> io::Result<Self> {
        let hear = Arc::new(Mutex::new(hear));
        let lines = Lines { line: Vec::new(), hear: hear.clone() };
        let serial = Serial::new(Interrupt(interrupt.try_clone()?), lines);
        Ok(Self { serial, interrupt, hear })
    }
}

impl<F: FnMut(&[u8]) + Send> Device for Port<F> {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        if let ([byte], Ok(offset)) = (data, u8::try_from(offset)) {
            *byte = self.serial.read(offset);
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let ([byte], Ok(offset)) = (data, u8::try_from(offset)) {
            // It fails where the interrupt cannot be raised, which nobody here can mend.
            let _ = self.serial.write(offset, *byte);
        }
    }

    fn save(&self) -> Vec<u8> {
        let state = self.serial.state();
        let registers: [u8; REGISTERS] = [
            state.baud_divisor_low,
            state.baud_divisor_high,
            state.interrupt_enable,
            state.interrupt_identification,
            state.line_control,
            state.line_status,
            state.modem_control,
            state.modem_status,
            state.scratch,
        ];
        [registers.as_slice(), &state.in_buffer].concat()
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), Senseless> {
        let Some((registers, in_buffer)) = saved.split_first_chunk::<REGISTERS>() else {
            return Err(Senseless);
        };
        let [low, high, enable, identification, line, status, modem, modem_status, scratch] =
            *registers;
        let state = SerialState {
            baud_divisor_low: low,
            baud_divisor_high: high,
            interrupt_enable: enable,
            interrupt_identification: identification,
            line_control: line,
            line_status: status,
            modem_control: modem,
            modem_status,
            scratch,
            in_buffer: in_buffer.to_vec(),
        };
        let interrupt = Interrupt(self.interrupt.try_clone().map_err(|_| Senseless)?);
        let lines = Lines { line: Vec::new(), hear: self.hear.clone() };
        // It raises its interrupt again where something waits to be told: a driver that waits for it would wait
        // for ever.
        self.serial =
            Serial::from_state(&state, interrupt, NoEvents, lines).map_err(|_| Senseless)?;
        Ok(())
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
        })
        .unwrap();
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

    /// firecracker#5764: a driver waited for an interrupt that the port had raised before it was saved.
    #[test]
    fn a_restored_port_raises_what_its_driver_waits_for() {
        let (before, after) = (EventFd::new(0).unwrap(), EventFd::new(libc::EFD_NONBLOCK).unwrap());
        let mut port = Port::new(before, |_: &[u8]| ()).unwrap();
        // Interrupts when there is room, and room at once.
        port.write(1, &[2]);
        port.write(0, b"x");
        let saved = port.save();
        let mut other = Port::new(after.try_clone().unwrap(), |_: &[u8]| ()).unwrap();
        other.restore(&saved).unwrap();
        assert_eq!(other.save(), saved);
        assert_eq!(after.read().unwrap(), 1);
        for senseless in [&saved[..8], &[&saved[..], &[0; 100]].concat()] {
            assert_eq!(other.restore(senseless), Err(Senseless));
        }
    }
}
