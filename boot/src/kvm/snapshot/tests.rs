use std::os::unix::fs::symlink;

use super::*;
use crate::memory::Segment;

const SIZE: Bytes = Bytes::mib(5);

fn memory() -> PartitionMemory {
    PartitionMemory::from_ranges(&[(GuestAddress(0), SIZE.0 as usize)]).unwrap()
}

fn machine() -> Machine {
    let place = |start| Segment { start: PhysAddr(start), size: Bytes::mib(1) };
    Machine {
        topology: Topology::flat(1),
        memory: SIZE,
        devices: vec![Device::Rng],
        layout: Layout {
            segments: vec![place(0)],
            main: place(0),
            kernel: place(1 << 20),
            initramfs: place(2 << 20),
            mailbox: place(3 << 20),
        },
        linked_at: PhysAddr(1 << 24),
        log: None,
        command_line: "quiet".to_owned(),
    }
}

/// A snapshot of memory that begins and ends with something.
fn written(folder: &Path) -> PathBuf {
    let (path, memory) = (folder.join("snapshot"), memory());
    memory.write_slice(b"begin", GuestAddress(0)).unwrap();
    memory.write_slice(b"end", GuestAddress(SIZE.0 - 3)).unwrap();
    let mut told = Vec::new();
    write(&path, &machine(), b"state", &memory, &mut |behind| told.push(behind)).unwrap();
    assert_eq!(told, [Bytes::mib(2), Bytes::mib(4), SIZE]);
    path
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let snapshot = Snapshot::open(&path).unwrap();
    assert_eq!(snapshot.machine, machine());
    let mut state = String::new();
    snapshot.state().try_clone().unwrap().read_to_string(&mut state).unwrap();
    assert_eq!(state, "state");
    let memory = memory();
    snapshot.load(&memory).unwrap();
    assert_eq!(memory.read_obj::<[u8; 6]>(GuestAddress(0)).unwrap(), *b"begin\0");
    assert_eq!(memory.read_obj::<[u8; 3]>(GuestAddress(SIZE.0 - 3)).unwrap(), *b"end");
    // What is all zeros takes no room.
    let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(path.join(MEMORY)).unwrap());
    assert!(blocks * 512 <= 4 << 20, "{blocks}");
    let again = write(&path, &machine(), b"", &memory, &mut |_| ());
    assert!(matches!(again, Err(SnapshotError::Exists(_))));
    assert!(Snapshot::open(&path).is_ok(), "it is still there");
}

/// GHSA-875g-mfp6-g7f9: a snapshot is what somebody wrote.
#[test]
fn a_piece_is_checked_with_what_is_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let snapshot = Snapshot::open(&path).unwrap();
    let piece = |start, size| snapshot.piece(Segment { start: PhysAddr(start), size: Bytes(size) });
    assert_eq!(piece(2, 3).unwrap(), b"gin");
    let end = piece(SIZE.0 - (2 << 20), 2 << 20).unwrap();
    assert_eq!((end.len(), end.ends_with(b"\0end")), (2 << 20, true), "of two chunks");
    assert!(matches!(piece(SIZE.0 - 1, 2), Err(SnapshotError::None { .. })), "beyond its end");
    assert!(matches!(piece(u64::MAX, 2), Err(SnapshotError::None { .. })));
    snapshot.check_memory().unwrap();
    let file = File::options().write(true).open(path.join(MEMORY)).unwrap();
    file.write_all_at(b"E", SIZE.0 - 3).unwrap();
    assert_eq!(piece(0, 5).unwrap(), b"begin", "in another chunk");
    for damaged in [piece(4 << 20, 1).map(drop), snapshot.check_memory()] {
        assert!(matches!(damaged, Err(SnapshotError::Damaged { at: Some(0x40_0000), .. })));
    }
}

#[test]
fn what_was_damaged_or_is_something_else_is_refused() {
    type Spoil = fn(&Path);
    let spoilt: [(&str, Spoil); 13] = [
        ("no manifest", |path| fs::remove_file(path.join(MANIFEST)).unwrap()),
        ("no state", |path| fs::remove_file(path.join(STATE)).unwrap()),
        ("another state", |path| fs::write(path.join(STATE), b"State").unwrap()),
        ("a longer state", |path| {
            let file = File::options().write(true).open(path.join(STATE)).unwrap();
            file.set_len(LONGEST_STATE + 1).unwrap();
        }),
        ("other chunks", |path| fs::write(path.join(CHUNKS), [0; 96]).unwrap()),
        ("more chunks", |path| {
            let mut chunks = fs::read(path.join(CHUNKS)).unwrap();
            chunks.extend([0; HASH]);
            fs::write(path.join(CHUNKS), chunks).unwrap();
        }),
        ("another byte of memory", |path| {
            let file = File::options().write(true).open(path.join(MEMORY)).unwrap();
            file.write_all_at(b"x", 3 << 20).unwrap();
        }),
        ("less memory", |path| {
            let file = File::options().write(true).open(path.join(MEMORY)).unwrap();
            file.set_len(SIZE.0 - 1).unwrap();
        }),
        ("no JSON", |path| fs::write(path.join(MANIFEST), b"\xff").unwrap()),
        ("a later form", |path| replace(path, "\"version\": 1", "\"version\": 2")),
        ("more memory in the manifest", |path| replace(path, "\"5MiB\"", "\"16777215TiB\"")),
        ("a link", |path| {
            fs::remove_file(path.join(MEMORY)).unwrap();
            symlink("/dev/zero", path.join(MEMORY)).unwrap();
        }),
        ("a pipe", |path| {
            fs::remove_file(path.join(STATE)).unwrap();
            nix::unistd::mkfifo(&path.join(STATE), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
    ];
    for (what, spoil) in spoilt {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        spoil(&path);
        let used = Snapshot::open(&path).and_then(|snapshot| snapshot.load(&memory()));
        assert!(used.is_err(), "{what}");
    }
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path.join(MANIFEST)).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path.join(MANIFEST), text.replace(from, to)).unwrap();
}
