//! The registers by which a kernel restarts its machine or switches it off (ACPI 6.5, 4.8.3.6 and 4.8.3.7).

use super::Device;
use crate::acpi::{RESET_VALUE, SLEEP};

/// Where they are. Nothing of a PC's is there.
pub const PORTS: u16 = 0x600;
/// How many.
pub const COUNT: u16 = 3;
/// The reset register, from [`PORTS`].
pub const RESET: u16 = 0;
/// The sleep control register.
pub const SLEEP_CONTROL: u16 = 1;
/// The sleep status register.
pub const SLEEP_STATUS: u16 = 2;

/// The keyboard controller of PCs, whose command port resets the machine as well; kernels use it where the
/// reset register did nothing, or where they are told to (`reboot=k`).
pub const KEYBOARD_PORTS: u16 = 0x60;
/// From the data port to the command port.
pub const KEYBOARD_COUNT: u16 = 5;
const KEYBOARD_COMMAND: u64 = 4;
/// Pulses the reset line.
const KEYBOARD_RESET: u8 = 0xfe;

/// What a kernel asks of its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To be started again.
    Restart,
    /// To be switched off.
    PowerOff,
}

/// The registers of ACPI.
pub struct Power {
    /// Hears what is asked.
    pub ask: Box<dyn Fn(Asked) + Send>,
}

impl Device for Power {
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        if data.len() == 1 {
            data.fill(0);
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        match (u16::try_from(offset), data) {
            (Ok(RESET), [RESET_VALUE]) => (self.ask)(Asked::Restart),
            (Ok(SLEEP_CONTROL), [value]) if value & SLEEP != 0 => (self.ask)(Asked::PowerOff),
            _ => {}
        }
    }
}

/// What is left of the keyboard controller.
pub struct KeyboardController {
    /// Hears what is asked.
    pub ask: Box<dyn Fn(Asked) + Send>,
}

impl Device for KeyboardController {
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        // Ready for a command: all ones would be "busy".
        data.fill(0);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if offset == KEYBOARD_COMMAND && data == [KEYBOARD_RESET] {
            (self.ask)(Asked::Restart);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn only_what_asks_is_heard() {
        let (tell, hear) = channel();
        let asking = |tell: &std::sync::mpsc::Sender<Asked>| {
            let tell = tell.clone();
            Box::new(move |asked| tell.send(asked).unwrap())
        };
        let mut power = Power { ask: asking(&tell) };
        power.write(0, &[RESET_VALUE ^ 1]);
        power.write(0, &[RESET_VALUE, 0]);
        power.write(1, &[5 << 2]);
        power.write(2, &[0x80]);
        power.write(u64::MAX, &[RESET_VALUE]);
        assert_eq!(hear.try_recv().ok(), None);
        power.write(1, &[5 << 2 | SLEEP]);
        power.write(0, &[RESET_VALUE]);
        let mut keyboard = KeyboardController { ask: asking(&tell) };
        keyboard.write(0, &[KEYBOARD_RESET]);
        keyboard.write(4, &[KEYBOARD_RESET]);
        drop((power, keyboard, tell));
        assert_eq!(
            hear.iter().collect::<Vec<_>>(),
            [Asked::PowerOff, Asked::Restart, Asked::Restart]
        );
    }
}
