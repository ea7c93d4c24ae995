//! `attacker SECONDS SEED` does everything that a guest can do to the process of its virtual machine, in any
//! order: reads and writes ports and registers of devices in all widths, sets up queues that make sense and
//! queues that make none, and puts requests into them that name its own memory, other memory, and what is no
//! memory. It spares only what switches the machine off or restarts it, as that would be an end in order.
//!
//! It needs root, and a kernel that was booted with `iomem=relaxed`.

#![allow(clippy::print_stdout, reason = "it tells what it did")]

mod devices;
mod memory;
mod ports;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use devices::Devices;
use memory::Memory;

/// Numbers that follow from a seed (Marsaglia, "Xorshift RNGs", 2003).
pub struct Random(u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One of the numbers below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// Whatever ends it before its time.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("attacker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let mut number =
        || words.next().ok_or("usage: attacker SECONDS SEED")?.parse().map_err(Failure::from);
    let (seconds, seed): (u64, u64) = (number()?, number()?);
    let mut random = Random(seed | 1);
    ports::allow()?;
    let memory = Memory::take()?;
    let mut devices = Devices::open()?;
    println!("{} devices, {} pages of memory", devices.count(), memory.pages());
    let begun = Instant::now();
    let (mut at_ports, mut at_devices) = (0_u64, 0_u64);
    let mut told = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        // What it did, for when it does not come to its end: it may well hit itself.
        if told.elapsed() >= Duration::from_secs(1) {
            println!("{} attacks", at_ports + at_devices);
            told = Instant::now();
        }
        for _ in 0..64 {
            match random.below(4) {
                0 => {
                    ports::attack(&mut random);
                    at_ports += 1;
                }
                _ => {
                    devices.attack(&memory, &mut random);
                    at_devices += 1;
                }
            }
        }
    }
    // Devices write to memory that is ours no more when we have gone: they are started over.
    devices.reset();
    println!("{at_ports} attacks at ports, {at_devices} at devices");
    Ok(())
}
