//! What whoever keeps a partition asks of the process of its virtual machine while that runs.
//!
//! Over a connection go requests, each a line of JSON, and an answer to each: a line that says how it went and how
//! many bytes follow, and those. A machine is held for a connection, and goes on when that is closed: whoever asked
//! for it may die.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use kvm_ioctls::VmFd;
use serde::{Deserialize, Serialize};

use super::bus::Bus;
use super::cpus::Cpus;
use super::saved::{MachineState, SaveError, SharedState};
use super::virtio::mmio::Mmio;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Request {
    /// Hold all CPUs, and finish what devices are working on.
    Hold,
    /// Tell what the machine is, besides its memory; it must be held.
    Save,
    /// Go on.
    GoOn,
    /// Tell where its memory begins in its process.
    Where,
}

/// How it went, and how many bytes follow; or a number that was asked for.
type Answer = Result<u64, String>;

/// No request and no answer has a longer line.
const LONGEST_LINE: u64 = 4096;

/// No state of a machine is longer: one of 255 CPUs has some 8 MiB.
pub const LONGEST_STATE: u64 = 64 << 20;

/// A machine that runs.
pub struct Running {
    /// Its CPUs.
    pub cpus: Arc<Cpus>,
    /// What they share.
    pub vm: Arc<VmFd>,
    /// Devices at ports.
    pub ports: Arc<Bus>,
    /// Virtio devices.
    pub devices: Vec<Mmio>,
    /// Registers of its CPUs that are saved.
    pub registers: Vec<u32>,
    /// Where its memory begins in this process; it lies there as in its file.
    pub base: u64,
}

impl Running {
    /// Answers one connection after the other, for as long as the process lives.
    ///
    /// # Errors
    ///
    /// What accept(2) says.
    pub fn serve(&self, listener: &UnixListener) -> io::Result<std::convert::Infallible> {
        loop {
            let (stream, _) = listener.accept()?;
            let mut held = false;
            // A connection that ends in the middle of something is one that is closed.
            let _ = self.answer_all(&stream, &mut held);
            if held {
                self.go_on();
            }
        }
    }

    fn answer_all(&self, stream: &UnixStream, held: &mut bool) -> io::Result<()> {
        let mut requests = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if requests.by_ref().take(LONGEST_LINE).read_line(&mut line)? == 0 {
                return Ok(());
            }
            let (answer, bytes) = match serde_json::from_str(&line) {
                Ok(Request::Hold) => {
                    self.cpus.pause();
                    // What devices finish, they tell CPUs of.
                    self.devices.iter().for_each(Mmio::hold);
                    *held = true;
                    (Ok(0), Vec::new())
                }
                Ok(Request::GoOn) => {
                    if std::mem::take(held) {
                        self.go_on();
                    }
                    (Ok(0), Vec::new())
                }
                Ok(Request::Save) if *held => match self.save() {
                    Ok(bytes) => (Ok(bytes.len() as u64), bytes),
                    Err(error) => (Err(error.to_string()), Vec::new()),
                },
                Ok(Request::Where) => (Ok(self.base), Vec::new()),
                Ok(Request::Save) => (Err("it is not held".to_owned()), Vec::new()),
                Err(error) => (Err(error.to_string()), Vec::new()),
            };
            tell(stream, &answer, &bytes)?;
        }
    }

    fn save(&self) -> Result<Vec<u8>, SaveError> {
        let devices = self.devices.iter().map(Mmio::save).collect();
        let ports = self.ports.save();
        let cpus = self.cpus.each(|cpu| cpu.save(&self.registers))?;
        let shared = SharedState::save(&self.vm)?;
        let state = MachineState { cpus, shared, ports, devices };
        serde_json::to_vec(&state).map_err(|error| SaveError::Encode(error.to_string()))
    }

    fn go_on(&self) {
        self.devices.iter().for_each(Mmio::go_on);
        self.cpus.resume();
    }
}

fn tell(mut stream: &UnixStream, answer: &Answer, bytes: &[u8]) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    stream.write_all(bytes)
}

/// The keeper's side: a machine that is held, for as long as this is there.
#[derive(Debug)]
pub struct Held(BufReader<UnixStream>);

impl Held {
    /// Holds the machine that listens there.
    ///
    /// # Errors
    ///
    /// What connect(2) says, or the machine's process.
    pub fn new(path: &Path) -> io::Result<Self> {
        let mut held = Self(BufReader::new(UnixStream::connect(path)?));
        held.ask(Request::Hold)?;
        Ok(held)
    }

    /// What the machine is, besides its memory.
    ///
    /// # Errors
    ///
    /// As [`Held::new`].
    pub fn state(&mut self) -> io::Result<Vec<u8>> {
        self.ask(Request::Save)
    }

    /// Lets it go on, and returns when it does.
    ///
    /// # Errors
    ///
    /// As [`Held::new`].
    pub fn go_on(mut self) -> io::Result<()> {
        self.ask(Request::GoOn).map(drop)
    }

    fn ask(&mut self, request: Request) -> io::Result<Vec<u8>> {
        let length = number(&mut self.0, request)?;
        if length > LONGEST_STATE {
            return Err(io::Error::other("its state is longer than any machine's"));
        }
        let mut bytes = vec![0; length as usize];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Where the memory of the machine that listens there begins in its process.
///
/// # Errors
///
/// As [`Held::new`].
pub fn base(path: &Path) -> io::Result<u64> {
    number(&mut BufReader::new(UnixStream::connect(path)?), Request::Where)
}

/// Asks, and hears the number that comes back.
fn number(stream: &mut BufReader<UnixStream>, request: Request) -> io::Result<u64> {
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    stream.get_mut().write_all(&line)?;
    let mut line = String::new();
    if stream.by_ref().take(LONGEST_LINE).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_str::<Answer>(&line)?.map_err(io::Error::other)
}
