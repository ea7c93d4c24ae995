//! The journal of transactions, and what a start makes of it; and plans, which stand in it.

#![no_main]

use std::collections::BTreeMap;
use std::io;

use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use transaction::journal::{Kind, Record, State, Storage, decode, encode, frame};
use transaction::plan::check_path;
use transaction::{Machine, Plan, Store, StoreError, Target, Unrecovered};

fuzz_target!(|data: &[u8]| {
    let Some((form, data)) = data.split_first() else { return };
    match form % 3 {
        0 => check(data),
        1 => check(&records(data)),
        _ => {
            if let Ok(plan) = Plan::from_json(data) {
                let bytes = plan.to_json().expect("what was read can be written");
                assert_eq!(Plan::from_json(&bytes).as_ref(), Ok(&plan));
            }
        }
    }
});

/// Records with these bodies and right checksums: none is found by chance.
fn records(data: &[u8]) -> Vec<u8> {
    let mut input = Input(data);
    let mut file = Vec::new();
    while !input.0.is_empty() {
        let kind = Kind::ALL[usize::from(input.u8()) % Kind::ALL.len()];
        let length = usize::from(input.u16());
        file.extend(frame(kind, input.bytes(length)));
    }
    file
}

fn check(bytes: &[u8]) {
    if let Ok(entry) = decode(bytes) {
        assert!(entry.end <= bytes.len());
        assert_eq!(entry.torn, entry.end < bytes.len());
        let again =
            encode(&Record::Begin(entry.begin.clone())).expect("what was read can be written");
        assert_eq!(decode(&again).map(|entry| entry.begin), Ok(entry.begin));
    }
    let disk = Disk(BTreeMap::from([("00000001.journal".to_owned(), bytes.to_vec())]));
    let machine = Machine { boot: "b".into(), release: None };
    let unrecovered = Unrecovered::open(disk, machine).expect("this disk does not fail");
    let (engine, recovery) =
        unrecovered.recover(&mut Kernel::default()).expect("nor does this kernel");
    for summary in engine.history() {
        assert!(!matches!(summary.state, State::Begun | State::Undoing));
    }
    assert_eq!(engine.history().len() + recovery.damaged.len(), 1);
}

/// Takes whatever it is given, as long as it is given it for a setting.
#[derive(Default)]
struct Kernel(BTreeMap<Target, String>);

impl Store for Kernel {
    fn reaches(&self, _: &Target) -> bool {
        true
    }

    fn read(&mut self, target: &Target) -> Result<String, StoreError> {
        self.0.get(target).cloned().ok_or(StoreError::Absent)
    }

    fn write(&mut self, target: &Target, value: &str) -> Result<(), StoreError> {
        if let Target::File(path) = target {
            check_path(path).expect("nothing else is ever written");
        }
        self.0.insert(target.clone(), value.to_owned());
        Ok(())
    }
}

struct Disk(BTreeMap<String, Vec<u8>>);

impl Disk {
    fn file(&mut self, name: &str) -> io::Result<&mut Vec<u8>> {
        self.0.get_mut(name).ok_or(io::ErrorKind::NotFound.into())
    }
}

impl Storage for Disk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.0.keys().cloned().collect())
    }
    fn read(&mut self, name: &str, _: usize) -> io::Result<Vec<u8>> {
        self.file(name).cloned()
    }
    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }
    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(name)?;
        file.truncate(at as usize);
        file.extend_from_slice(bytes);
        Ok(())
    }
    fn sync(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let bytes = self.0.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.0.insert(to.to_owned(), bytes);
        Ok(())
    }
    fn sync_directory(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.0.remove(name).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }
}
