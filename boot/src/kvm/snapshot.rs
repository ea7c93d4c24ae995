//! A machine on disk: a folder with what it is.
//!
//! ```text
//! snapshot.json   the version, what kind of machine it is, and what the others hash to
//! state.json      CPUs and devices
//! chunks          what each 2 MiB of memory hash to
//! memory          its memory; what is all zeros is a hole
//! ```
//!
//! `snapshot.json` is written last: a folder without it is none. It names what the others hash to, so what was
//! damaged is found; whoever may write the folder can make it what they like, so all of it is checked like a
//! guest's word.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vm_memory::{Bytes as _, GuestAddress};

use super::address_space;
use super::cgroup::CgroupError;
use super::control::LONGEST_STATE;
use super::message::Device;
use super::topology::Topology;
use crate::kernel_log::{Anchor, ReadMemory};
use crate::layout::Layout;
use crate::memory::{PartitionMemory, Segment};
use crate::units::{Bytes, PhysAddr};

/// The form of what is written here.
const VERSION: u32 = 1;

/// What is hashed and copied at once.
const CHUNK: usize = 2 << 20;
/// Bytes of a hash.
const HASH: usize = 32;
/// No machine has more memory: 46 bits are what CPUs address physically.
const MOST_MEMORY: Bytes = Bytes::gib(1 << 16);
/// No manifest is longer.
const LONGEST_MANIFEST: u64 = 1 << 20;

const MANIFEST: &str = "snapshot.json";
const STATE: &str = "state.json";
const CHUNKS: &str = "chunks";
const MEMORY: &str = "memory";

/// Why a snapshot cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// a file of it
    #[error("{} cannot be {action}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// there is something already
    #[error("{} is there already: name a folder that is not", .0.display())]
    Exists(PathBuf),
    /// something else
    #[error("{} is no snapshot: {why}", path.display())]
    None {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// written by a later partitiond
    #[error("{} has form {version}, and this partitiond knows {VERSION}", path.display())]
    Version {
        /// The folder.
        path: PathBuf,
        /// Its form.
        version: u32,
    },
    /// it is not what was written
    #[error("{} is damaged: it is not what was written{}", path.display(), place(*at))]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where, in bytes, if that is known.
        at: Option<u64>,
    },
    /// another machine
    #[error("the snapshot is of another machine: {what} {saved} were saved, and {here} are wanted")]
    Unlike {
        /// What.
        what: &'static str,
        /// What was saved.
        saved: String,
        /// What is wanted.
        here: String,
    },
    /// its process
    #[error("the snapshot is written, but its process does not end")]
    End(#[source] CgroupError),
    /// the machine itself
    #[error("the machine cannot be held, or tells nothing of itself")]
    Machine(#[source] io::Error),
}

fn place(at: Option<u64>) -> String {
    at.map_or(String::new(), |at| format!(" (from byte {at} on)"))
}

/// What kind of machine was saved, and what must be remembered of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// How its CPUs belong together.
    pub topology: Topology,
    /// How much memory it has.
    pub memory: Bytes,
    /// Its devices, in the order of their places.
    pub devices: Vec<Device>,
    /// Where everything lies.
    pub layout: Layout,
    /// Where its kernel was linked to be.
    pub linked_at: PhysAddr,
    /// Where the kernel's file keeps its log.
    pub log: Option<Anchor>,
    /// Its kernel's command line.
    pub command_line: String,
}

/// `snapshot.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    machine: Machine,
    state: String,
    chunks: String,
}

/// The version alone: what else there is depends on it.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// A snapshot whose manifest and state were found good.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
    /// What kind of machine it is.
    pub machine: Machine,
    chunks: Vec<[u8; HASH]>,
    state: File,
    memory: File,
}

/// Writes a snapshot of a machine that is held. Bytes of memory that are behind are told to `progress`.
///
/// # Errors
///
/// [`SnapshotError`]; nothing is left behind then.
pub fn write(
    path: &Path,
    machine: &Machine,
    state: &[u8],
    memory: &dyn ReadMemory,
    progress: &mut dyn FnMut(Bytes),
) -> Result<(), SnapshotError> {
    fs::create_dir(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => SnapshotError::Exists(path.to_owned()),
        _ => failed(path, "made")(error),
    })?;
    let written = write_into(path, machine, state, memory, progress);
    if written.is_err() {
        // What is left of it is none, as its manifest comes last.
        let _ = fs::remove_dir_all(path);
    }
    written
}

fn write_into(
    path: &Path,
    machine: &Machine,
    state: &[u8],
    memory: &dyn ReadMemory,
    progress: &mut dyn FnMut(Bytes),
) -> Result<(), SnapshotError> {
    save(&path.join(STATE), state)?;
    let memory_path = path.join(MEMORY);
    let file = create(&memory_path)?;
    let in_memory = |source| failed(&memory_path, "written")(source);
    file.set_len(machine.memory.0).map_err(in_memory)?;
    let mut chunks = Vec::new();
    let mut buffer = vec![0; CHUNK];
    for (offset, address, length) in chunks_of(machine.memory) {
        let chunk = buffer.get_mut(..length).unwrap_or_default();
        if !memory.read(PhysAddr(address), chunk) {
            return Err(in_memory(io::Error::other("its memory cannot be read")));
        }
        chunks.extend(blake3::hash(chunk).as_bytes());
        if chunk.iter().any(|byte| *byte != 0) {
            file.write_all_at(chunk, offset).map_err(in_memory)?;
        }
        progress(Bytes(offset + length as u64));
    }
    file.sync_all().map_err(in_memory)?;
    save(&path.join(CHUNKS), &chunks)?;
    let manifest = Manifest {
        version: VERSION,
        machine: machine.clone(),
        state: blake3::hash(state).to_hex().to_string(),
        chunks: blake3::hash(&chunks).to_hex().to_string(),
    };
    let manifest_path = path.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| failed(&manifest_path, "written")(error.into()))?;
    save(&manifest_path, &text)?;
    // The names as well.
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed(path, "written"))
}

impl Snapshot {
    /// Opens a snapshot: its memory is checked when it is loaded, or by [`Snapshot::check_memory`].
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        let none = |why: &dyn ToString| SnapshotError::None {
            path: path.to_owned(),
            why: why.to_string(),
        };
        let text = read(&path.join(MANIFEST), LONGEST_MANIFEST)?;
        let Versioned { version } = serde_json::from_slice(&text).map_err(|error| none(&error))?;
        if version != VERSION {
            return Err(SnapshotError::Version { path: path.to_owned(), version });
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| none(&error))?;
        let machine = manifest.machine;
        let state = checked(&path.join(STATE), LONGEST_STATE, &manifest.state)?;
        if machine.memory > MOST_MEMORY {
            return Err(none(&"its memory is larger than any machine's"));
        }
        let count = chunks_of(machine.memory).count() as u64;
        let chunks = checked(&path.join(CHUNKS), count * HASH as u64, &manifest.chunks)?;
        let (chunks, rest) = chunks.as_chunks::<HASH>();
        if chunks.len() as u64 != count || !rest.is_empty() {
            return Err(none(&"its chunks are not those of its memory"));
        }
        // What was checked is what is used: the file may be another by then.
        let copy = sealed_copy(&state).map_err(failed(&path.join(STATE), "copied"))?;
        let memory_path = path.join(MEMORY);
        let memory = open(&memory_path)?;
        if memory.metadata().map_err(failed(&memory_path, "read"))?.len() != machine.memory.0 {
            return Err(SnapshotError::Damaged { path: memory_path, at: None });
        }
        let chunks = chunks.to_vec();
        Ok(Self { path: path.to_owned(), machine, chunks, state: copy, memory })
    }

    /// Whether a machine of this kind can go on where this one was held.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Unlike`] with the difference.
    pub fn check(
        &self,
        topology: Topology,
        memory: Bytes,
        devices: &[Device],
    ) -> Result<(), SnapshotError> {
        let unlike = |what, saved: String, here: String| match saved == here {
            true => Ok(()),
            false => Err(SnapshotError::Unlike { what, saved, here }),
        };
        let saved = &self.machine;
        unlike("CPUs", describe(saved.topology), describe(topology))?;
        unlike("memory", saved.memory.to_string(), memory.to_string())?;
        let all = |devices: &[Device]| {
            devices.iter().map(Device::to_string).collect::<Vec<_>>().join(", ")
        };
        unlike("devices", all(&saved.devices), all(devices))
    }

    /// The state of CPUs and devices, to be read from its start.
    pub fn state(&self) -> &File {
        &self.state
    }

    /// Its memory, as a file. Nothing of it was checked.
    pub fn memory(&self) -> &File {
        &self.memory
    }

    /// Copies its memory to memory that is zero, and checks it.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]
    pub fn load(&self, memory: &PartitionMemory) -> Result<(), SnapshotError> {
        self.each_chunk(|address, chunk| {
            if chunk.iter().all(|byte| *byte == 0) {
                return Ok(());
            }
            let written = memory.write_slice(chunk, GuestAddress(address));
            written.map_err(|error| failed(&self.memory_path(), "loaded")(io::Error::other(error)))
        })
    }

    /// Checks its memory. What is changed afterwards is not seen.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]
    pub fn check_memory(&self) -> Result<(), SnapshotError> {
        self.each_chunk(|_, _| Ok(()))
    }

    /// A piece of its memory, checked with what is beside it.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]; [`SnapshotError::None`] where it has no such piece.
    pub fn piece(&self, piece: Segment) -> Result<Vec<u8>, SnapshotError> {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; CHUNK];
        for (number, (offset, address, length)) in chunks_of(self.machine.memory).enumerate() {
            let chunk = Segment { start: PhysAddr(address), size: Bytes(length as u64) };
            if !chunk.overlaps(piece) {
                continue;
            }
            let chunk = self.chunk(number, offset, buffer.get_mut(..length).unwrap_or_default())?;
            let first = piece.start.0.saturating_sub(address) as usize;
            let last = (piece.end().0 - address).min(length as u64) as usize;
            bytes.extend_from_slice(chunk.get(first..last).unwrap_or_default());
        }
        match bytes.len() as u64 == piece.size.0 {
            true => Ok(bytes),
            false => Err(SnapshotError::None {
                path: self.path.clone(),
                why: "its memory does not hold what it is said to".to_owned(),
            }),
        }
    }

    fn each_chunk(
        &self,
        mut work: impl FnMut(u64, &[u8]) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let mut buffer = vec![0; CHUNK];
        for (number, (offset, address, length)) in chunks_of(self.machine.memory).enumerate() {
            let chunk = self.chunk(number, offset, buffer.get_mut(..length).unwrap_or_default())?;
            work(address, chunk)?;
        }
        Ok(())
    }

    /// Reads a chunk and checks it.
    fn chunk<'a>(
        &self,
        number: usize,
        offset: u64,
        buffer: &'a mut [u8],
    ) -> Result<&'a [u8], SnapshotError> {
        let path = self.memory_path();
        self.memory.read_exact_at(buffer, offset).map_err(failed(&path, "read"))?;
        match self.chunks.get(number) == Some(blake3::hash(buffer).as_bytes()) {
            true => Ok(buffer),
            false => Err(SnapshotError::Damaged { path, at: Some(offset) }),
        }
    }

    fn memory_path(&self) -> PathBuf {
        self.path.join(MEMORY)
    }
}

fn describe(topology: Topology) -> String {
    let Topology { sockets, cores, threads } = topology;
    format!("{} ({sockets} sockets, {cores} cores, {threads} threads)", topology.cpus())
}

/// The chunks of so much memory: where in its file, where in the machine, and how long.
fn chunks_of(size: Bytes) -> impl Iterator<Item = (u64, u64, usize)> {
    address_space::with_offsets(size).flat_map(|(place, first)| {
        (0..place.size.0).step_by(CHUNK).map(move |at| {
            let length = (place.size.0 - at).min(CHUNK as u64) as usize;
            (first + at, place.start.0 + at, length)
        })
    })
}

fn failed(path: &Path, action: &'static str) -> impl Fn(io::Error) -> SnapshotError {
    let path = path.to_owned();
    move |source| SnapshotError::File { path: path.clone(), action, source }
}

fn create(path: &Path) -> Result<File, SnapshotError> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(path).map_err(failed(path, "made"))
}

fn save(path: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
    let mut file = create(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed(path, "written"))
}

/// Opens a regular file, and waits for nobody: others can lie there in its place.
fn open(path: &Path) -> Result<File, SnapshotError> {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path).map_err(failed(path, "opened"))?;
    match file.metadata().map_err(failed(path, "opened"))?.is_file() {
        true => Ok(file),
        false => Err(failed(path, "read")(io::Error::other("it is no regular file"))),
    }
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, SnapshotError> {
    let mut bytes = Vec::new();
    let file = open(path)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(failed(path, "read"))?;
    if bytes.len() as u64 > most {
        return Err(failed(path, "read")(io::Error::other(format!(
            "it has more than {most} bytes"
        ))));
    }
    Ok(bytes)
}

fn checked(path: &Path, most: u64, hash: &str) -> Result<Vec<u8>, SnapshotError> {
    let bytes = read(path, most)?;
    match blake3::hash(&bytes).to_hex().as_str() == hash {
        true => Ok(bytes),
        false => Err(SnapshotError::Damaged { path: path.to_owned(), at: None }),
    }
}

/// A file of its own with these bytes, at its start.
fn sealed_copy(bytes: &[u8]) -> io::Result<File> {
    use std::io::Seek as _;
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    let mut file = File::from(nix::sys::memfd::memfd_create(c"state", flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests;
