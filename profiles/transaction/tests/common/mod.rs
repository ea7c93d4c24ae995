//! What the tests share: a kernel that lies, a disk that loses power, and plans.
#![allow(dead_code)]

pub mod disk;
pub mod model;
pub mod mortal;
pub mod plans;

use transaction::engine::Recovery;
use transaction::{Engine, Machine, Store, Unrecovered};

use disk::Disk;

/// A machine in its `boot`th boot.
pub fn machine(boot: u32) -> Machine {
    Machine { boot: format!("boot-{boot}"), release: Some("6.12.0-test".into()) }
}

/// An engine with nothing to recover.
pub fn engine() -> Engine<Disk> {
    start(&Disk::default(), 1, &mut model::Model::default()).0
}

/// An engine on this disk, recovered.
pub fn start(disk: &Disk, boot: u32, store: &mut dyn Store) -> (Engine<Disk>, Recovery) {
    Unrecovered::open(disk.clone(), machine(boot)).unwrap().recover(store).unwrap()
}
