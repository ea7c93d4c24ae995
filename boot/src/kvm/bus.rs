//! Which device answers at a port or an address of registers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::devices::{Device, Senseless};

/// Devices by where they are. Ports and addresses have a bus each.
#[derive(Default)]
pub struct Bus {
    devices: BTreeMap<u64, Place>,
}

struct Place {
    length: u64,
    device: Mutex<Box<dyn Device>>,
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, Box<dyn Device>> {
        // A device that panicked is a process that ended.
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There is something already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two devices at {0:#x}: this is a defect")]
pub struct Occupied(pub u64);

impl Bus {
    /// Puts a device at `start`.
    ///
    /// # Errors
    ///
    /// [`Occupied`]
    pub fn insert(
        &mut self,
        start: u64,
        length: u64,
        device: Box<dyn Device>,
    ) -> Result<(), Occupied> {
        let end = start.saturating_add(length);
        let before = self.devices.range(..end).next_back();
        if before.is_some_and(|(at, place)| at.saturating_add(place.length) > start) {
            return Err(Occupied(start));
        }
        self.devices.insert(start, Place { length, device: Mutex::new(device) });
        Ok(())
    }

    /// A guest reads. Where there is nothing, and beyond the end of a device, it reads all ones.
    pub fn read(&self, address: u64, data: &mut [u8]) {
        data.fill(0xff);
        self.at(address, data.len(), |device, offset| device.read(offset, data));
    }

    /// A guest writes. Where there is nothing, nothing happens.
    pub fn write(&self, address: u64, data: &[u8]) {
        self.at(address, data.len(), |device, offset| device.write(offset, data));
    }

    /// What its devices are, by where they are.
    pub fn save(&self) -> Vec<(u64, Vec<u8>)> {
        self.devices.iter().map(|(start, place)| (*start, place.lock().save())).collect()
    }

    /// Makes its devices what others were.
    ///
    /// # Errors
    ///
    /// [`Senseless`], also where others were there.
    pub fn restore(&self, saved: &[(u64, Vec<u8>)]) -> Result<(), Senseless> {
        if !saved.iter().map(|(start, _)| start).eq(self.devices.keys()) {
            return Err(Senseless);
        }
        let each = self.devices.values().zip(saved);
        each.into_iter().try_for_each(|(place, (_, saved))| place.lock().restore(saved))
    }

    fn at(&self, address: u64, width: usize, work: impl FnOnce(&mut dyn Device, u64)) {
        let Some((start, place)) = self.devices.range(..=address).next_back() else { return };
        let offset = address - start;
        if offset.checked_add(width as u64).is_some_and(|end| end <= place.length) {
            work(&mut **place.lock(), offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// What was written: where, and what.
    type Written = Vec<(u64, Vec<u8>)>;

    struct Recorder(Arc<Mutex<Written>>);

    impl Device for Recorder {
        fn read(&mut self, offset: u64, data: &mut [u8]) {
            data.fill(offset as u8);
        }

        fn write(&mut self, offset: u64, data: &[u8]) {
            self.0.lock().unwrap().push((offset, data.to_vec()));
        }
    }

    #[test]
    fn a_device_hears_what_is_within_it() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mut bus = Bus::default();
        bus.insert(0x3f8, 8, Box::new(Recorder(heard.clone()))).unwrap();
        bus.write(0x3f8, &[1]);
        bus.write(0x3ff, &[2]);
        bus.write(0x3ff, &[3, 4]);
        bus.write(0x400, &[5]);
        bus.write(0x3f7, &[6]);
        assert_eq!(*heard.lock().unwrap(), [(0, vec![1]), (7, vec![2])]);
        let read = |address| {
            let mut data = [0; 2];
            bus.read(address, &mut data);
            data
        };
        assert_eq!(read(0x3fa), [2, 2]);
        assert_eq!([read(0x3ff), read(0x400), read(0), read(u64::MAX)], [[0xff; 2]; 4]);
    }

    #[test]
    fn devices_do_not_overlap() {
        let mut bus = Bus::default();
        let device = || Box::new(Recorder(Arc::default()));
        bus.insert(8, 8, device()).unwrap();
        for start in [1, 8, 15] {
            assert_eq!(bus.insert(start, 8, device()), Err(Occupied(start)));
        }
        bus.insert(0, 8, device()).unwrap();
        bus.insert(16, 8, device()).unwrap();
    }
}
