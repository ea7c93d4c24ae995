//! The real-time clock of a PC (Motorola MC146818), for kernels that look for one whatever ACPI says.
//!
//! Ports that nobody answers at read all ones, which looks like a clock in the middle of an update: kernels
//! wait for its end for seconds.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Device, Senseless};

/// The index port; the data port follows.
pub const PORTS: u16 = 0x70;
/// How many.
pub const COUNT: u16 = 2;

/// Registers (MC146818A data sheet, figure 9; the century as PCs have it).
mod register {
    pub const SECONDS: u8 = 0;
    pub const MINUTES: u8 = 2;
    pub const HOURS: u8 = 4;
    pub const WEEKDAY: u8 = 6;
    pub const DAY: u8 = 7;
    pub const MONTH: u8 = 8;
    pub const YEAR: u8 = 9;
    pub const A: u8 = 0x0a;
    pub const B: u8 = 0x0b;
    pub const D: u8 = 0x0d;
    pub const CENTURY: u8 = 0x32;
}
/// Register A: 32.768 kHz; no update in progress.
const A_32_KHZ: u8 = 0x20;
/// Register B: hours from 0 to 23. Numbers are binary-coded decimal, as kernels expect it of PCs.
const B_24_HOURS: u8 = 0x02;
/// Register D: the battery is good.
const D_VALID: u8 = 0x80;

/// A clock that shows the host's time and cannot be set.
pub struct Clock {
    index: u8,
    now: fn() -> SystemTime,
}

impl Clock {
    /// One that shows what `now` says.
    pub fn new(now: fn() -> SystemTime) -> Self {
        Self { index: 0, now }
    }

    fn register(&self) -> u8 {
        use register::{A, B, CENTURY, D, DAY, HOURS, MINUTES, MONTH, SECONDS, WEEKDAY, YEAR};
        let since = (self.now)().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (days, second) = (since / 86_400, since % 86_400);
        let (year, month, day) = date(days);
        let value = match self.index {
            SECONDS => second % 60,
            MINUTES => second / 60 % 60,
            HOURS => second / 3600,
            // 1970 began on a Thursday; Sunday is 1.
            WEEKDAY => (days + 4) % 7 + 1,
            DAY => day,
            MONTH => month,
            YEAR => year % 100,
            CENTURY => year / 100 % 100,
            A => return A_32_KHZ,
            B => return B_24_HOURS,
            D => return D_VALID,
            _ => return 0,
        };
        (((value / 10) << 4) | (value % 10)) as u8
    }
}

/// Year, month and day of a day since 1970.
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the day that some have more is their last
    // (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days).
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day - (153 * shifted + 2) / 5 + 1)
}

impl Device for Clock {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        if let (1, [byte]) = (offset, data) {
            *byte = self.register();
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        // The highest bit of the index is a PC's mask for NMIs.
        if let (0, [byte]) = (offset, data) {
            self.index = byte & 0x7f;
        }
    }

    fn save(&self) -> Vec<u8> {
        vec![self.index]
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), Senseless> {
        let [index @ ..0x80] = saved else { return Err(Senseless) };
        self.index = *index;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_is_told_in_decimal() {
        // 2024-02-29 23:59:58, a Thursday.
        let mut clock = Clock::new(|| UNIX_EPOCH + Duration::from_secs(1_709_251_198));
        let mut read = |index: u8| {
            let mut data = [0xff];
            clock.write(0, &[index | 0x80]);
            clock.read(1, &mut data);
            data[0]
        };
        let told = [0, 2, 4, 6, 7, 8, 9, 0x32].map(&mut read);
        assert_eq!(told, [0x58, 0x59, 0x23, 5, 0x29, 0x02, 0x24, 0x20]);
        assert_eq!(read(0x0a) & 0x80, 0, "no update is in progress");
        assert_eq!(read(0x7f), 0);
    }

    #[test]
    fn odd_widths_read_all_ones() {
        let mut clock = Clock::new(SystemTime::now);
        let mut data = [0xff; 2];
        clock.read(0, &mut data);
        assert_eq!(data, [0xff; 2]);
    }

    #[test]
    fn dates_are_right() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(11_017), (2000, 3, 1));
        assert_eq!(date(20_819), (2027, 1, 1));
    }
}
