//! What a virtual machine's process tells of itself: a small file that both sides have open.
//!
//! Its process writes, whoever keeps the partition reads. The reader maps nothing: a file that the writer cut
//! short ends a read, and would kill a process that has it mapped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

pub use super::virtio::mmio::Counts;

/// Words of eight bytes: [`State`], length of the message, the message, and counters from [`COUNTERS`] on,
/// [`PER_CPU`] for each virtual CPU, then [`PER_DEVICE`] for each device.
const STATE: u64 = 0;
const MESSAGE_LENGTH: u64 = 8;
const MESSAGE: u64 = 16;
const MESSAGE_ROOM: usize = 240;
const COUNTERS: u64 = 256;
/// A cache line, so that CPUs do not disturb each other.
const PER_CPU: usize = 8;
/// The transport's, then the device's own.
const PER_DEVICE: usize = 16;
const OF_TRANSPORT: usize = 3;

/// How a virtual machine is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It is being made.
    #[default]
    Starting,
    /// Its CPUs run.
    Running,
    /// Its kernel asks to be started again.
    Restart,
    /// Its kernel has switched it off.
    PowerOff,
    /// It cannot go on.
    Failed(String),
}

impl State {
    fn word(&self) -> u64 {
        match self {
            Self::Starting => 0,
            Self::Running => 1,
            Self::Restart => 2,
            Self::PowerOff => 3,
            Self::Failed(_) => 4,
        }
    }
}

/// Why it cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// the file
    #[error("what the virtual machine tells of itself cannot be read")]
    Read(#[from] io::Error),
    /// a state that there is not
    #[error("what the virtual machine tells of itself makes no sense: state {0}")]
    State(u64),
}

/// Why virtual CPUs came out of their guest, as numbers since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Reads of ports.
    pub port_reads: u64,
    /// Writes to ports.
    pub port_writes: u64,
    /// Reads of registers in memory.
    pub register_reads: u64,
    /// Writes to registers in memory.
    pub register_writes: u64,
    /// Signals.
    pub signals: u64,
    /// Anything else.
    pub others: u64,
}

/// What a virtual machine has done since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Exits of each virtual CPU.
    pub cpus: Vec<Counters>,
    /// Its devices, in the order of their places.
    pub devices: Vec<DeviceActivity>,
}

/// What a device has done since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceActivity {
    /// What it is: `rng`, `disk data`.
    pub name: String,
    /// Of every device.
    #[serde(flatten)]
    pub counts: Counts,
    /// Of its kind.
    #[serde(flatten)]
    pub own: BTreeMap<String, u64>,
}

/// Counts the exits of one virtual CPU.
#[derive(Debug, Default)]
pub struct Counting([AtomicU64; PER_CPU]);

/// Kinds of exit, as the words of a CPU.
#[derive(Clone, Copy, Debug)]
pub enum Exit {
    /// As [`Counters::port_reads`], and so on.
    PortRead,
    /// See above.
    PortWrite,
    /// See above.
    RegisterRead,
    /// See above.
    RegisterWrite,
    /// See above.
    Signal,
    /// See above.
    Other,
}

impl Counting {
    /// One more.
    pub fn count(&self, exit: Exit) {
        if let Some(word) = self.0.get(exit as usize) {
            // Only this CPU's thread counts here.
            word.store(word.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        let of =
            |exit: Exit| self.0.get(exit as usize).map_or(0, |word| word.load(Ordering::Relaxed));
        Counters {
            port_reads: of(Exit::PortRead),
            port_writes: of(Exit::PortWrite),
            register_reads: of(Exit::RegisterRead),
            register_writes: of(Exit::RegisterWrite),
            signals: of(Exit::Signal),
            others: of(Exit::Other),
        }
    }
}

/// Makes the file what it is before anything has happened.
///
/// # Errors
///
/// What pwrite(2) says.
pub fn prepare(file: &File, cpus: usize, devices: usize) -> io::Result<()> {
    file.set_len(0)?;
    file.set_len(device_at(cpus, devices))
}

/// Where the counters of a device are.
fn device_at(cpus: usize, device: usize) -> u64 {
    COUNTERS + ((cpus * PER_CPU + device * PER_DEVICE) * 8) as u64
}

/// The writer's side: tells how it is.
///
/// # Errors
///
/// What pwrite(2) says.
pub fn tell(file: &File, state: &State) -> io::Result<()> {
    if let State::Failed(message) = state {
        let bytes = message.as_bytes();
        let bytes = bytes.get(..MESSAGE_ROOM).unwrap_or(bytes);
        file.write_all_at(bytes, MESSAGE)?;
        file.write_all_at(&(bytes.len() as u64).to_le_bytes(), MESSAGE_LENGTH)?;
    }
    // Last: who sees it sees the rest.
    file.write_all_at(&state.word().to_le_bytes(), STATE)
}

/// The writer's side: tells what was counted.
///
/// # Errors
///
/// What pwrite(2) says.
pub fn tell_counters(
    file: &File,
    cpus: &[std::sync::Arc<Counting>],
    devices: &[(Counts, Vec<u64>)],
) -> io::Result<()> {
    let cpus = cpus.iter().flat_map(|cpu| cpu.0.iter()).map(|word| word.load(Ordering::Relaxed));
    let devices = devices.iter().flat_map(|(counts, own)| {
        let Counts { served, requests, interrupts } = *counts;
        let own = own.iter().copied().chain(std::iter::repeat(0));
        [served, requests, interrupts].into_iter().chain(own).take(PER_DEVICE)
    });
    let bytes: Vec<u8> = cpus.chain(devices).flat_map(u64::to_le_bytes).collect();
    file.write_all_at(&bytes, COUNTERS)
}

/// The reader's side: how the virtual machine is.
///
/// # Errors
///
/// [`StatusError`] where its process has spoilt the file.
pub fn state(file: &File) -> Result<State, StatusError> {
    Ok(match word(file, STATE)? {
        0 => State::Starting,
        1 => State::Running,
        2 => State::Restart,
        3 => State::PowerOff,
        4 => {
            let length = word(file, MESSAGE_LENGTH)?.min(MESSAGE_ROOM as u64);
            let mut message = vec![0; length as usize];
            file.read_exact_at(&mut message, MESSAGE)?;
            State::Failed(String::from_utf8_lossy(&message).into_owned())
        }
        other => return Err(StatusError::State(other)),
    })
}

/// The reader's side: what was counted, for `cpus` virtual CPUs.
///
/// # Errors
///
/// [`StatusError`] where its process has spoilt the file.
pub fn counters(file: &File, cpus: usize) -> Result<Vec<Counters>, StatusError> {
    (0..cpus)
        .map(|cpu| {
            let at = |index: usize| word(file, COUNTERS + ((cpu * PER_CPU + index) * 8) as u64);
            Ok(Counters {
                port_reads: at(Exit::PortRead as usize)?,
                port_writes: at(Exit::PortWrite as usize)?,
                register_reads: at(Exit::RegisterRead as usize)?,
                register_writes: at(Exit::RegisterWrite as usize)?,
                signals: at(Exit::Signal as usize)?,
                others: at(Exit::Other as usize)?,
            })
        })
        .collect()
}

/// The reader's side: what was counted of a device, `own` numbers of its own among it.
///
/// # Errors
///
/// [`StatusError`] where its process has spoilt the file.
pub fn device(
    file: &File,
    cpus: usize,
    device: usize,
    own: usize,
) -> Result<(Counts, Vec<u64>), StatusError> {
    let at = |index: usize| word(file, device_at(cpus, device) + (index * 8) as u64);
    let counts = Counts { served: at(0)?, requests: at(1)?, interrupts: at(2)? };
    let own = (0..own.min(PER_DEVICE - OF_TRANSPORT)).map(|index| at(OF_TRANSPORT + index));
    Ok((counts, own.collect::<Result<_, _>>()?))
}

fn word(file: &File, at: u64) -> io::Result<u64> {
    let mut word = [0; 8];
    file.read_exact_at(&mut word, at)?;
    Ok(u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn file() -> File {
        let name = c"status";
        nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::empty()).unwrap().into()
    }

    #[test]
    fn what_is_told_is_heard() {
        let file = file();
        prepare(&file, 2, 2).unwrap();
        assert_eq!(state(&file).unwrap(), State::Starting);
        let long = State::Failed("x".repeat(1000));
        tell(&file, &long).unwrap();
        assert_eq!(state(&file).unwrap(), State::Failed("x".repeat(MESSAGE_ROOM)));
        tell(&file, &State::PowerOff).unwrap();
        assert_eq!(state(&file).unwrap(), State::PowerOff);
        let cpus = [Arc::new(Counting::default()), Arc::new(Counting::default())];
        cpus[1].count(Exit::RegisterWrite);
        cpus[1].count(Exit::RegisterWrite);
        let counts = Counts { served: 1, requests: 2, interrupts: 3 };
        let devices = [(Counts::default(), vec![9; 20]), (counts, vec![7])];
        tell_counters(&file, &cpus, &devices).unwrap();
        assert_eq!(device(&file, 2, 0, 20).unwrap(), (Counts::default(), vec![9; 13]));
        assert_eq!(device(&file, 2, 1, 2).unwrap(), (counts, vec![7, 0]));
        let heard = counters(&file, 2).unwrap();
        assert_eq!(heard[0], Counters::default());
        assert_eq!(heard[1], Counters { register_writes: 2, ..Counters::default() });
    }

    #[test]
    fn a_spoilt_file_is_an_error() {
        let file = file();
        prepare(&file, 1, 1).unwrap();
        file.write_all_at(&7_u64.to_le_bytes(), STATE).unwrap();
        assert!(matches!(state(&file), Err(StatusError::State(7))));
        file.write_all_at(&4_u64.to_le_bytes(), STATE).unwrap();
        file.write_all_at(&u64::MAX.to_le_bytes(), MESSAGE_LENGTH).unwrap();
        assert!(matches!(state(&file), Ok(State::Failed(_))));
        file.set_len(4).unwrap();
        assert!(state(&file).is_err());
        assert!(counters(&file, 1).is_err());
    }
}
