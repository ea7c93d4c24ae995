//! A virtual machine with a program in it, and what it tells.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use boot::kvm::address_space::{HOLE, IO_APIC};
use boot::kvm::cpus::{Cpus, prepare_signal};
use boot::kvm::devices::Device as Registers;
use boot::kvm::machine::Machine;
use boot::kvm::message::{Description, Device};
use boot::kvm::saved::{CpuState, SharedState, register_numbers};
use boot::kvm::status::{Counters, Counting, State};
use boot::kvm::vcpu::Stopped;
use boot::kvm::virtio::mmio::Mmio;
use boot::kvm::vm::Memory;
use boot::kvm::{FilterMode, Topology};
use boot::memory::Segment;
use boot::page_tables::identity_map;
use boot::units::{Bytes, CpuId, PhysAddr};
use kvm_ioctls::{Kvm, VmFd};

use crate::code::{self, CODE, LINE_VECTOR, MESSAGE_VECTOR, NEXT, RESULT, SCRATCH, SECOND};

/// How long a program may take to tell something.
const PATIENCE: Duration = Duration::from_secs(10);

const IDT: u64 = 0x3000;
/// The operand of `lidt` for the programs, and that of a table of nothing.
const IDT_POINTER: u64 = 0x2ff0;
const NO_IDT_POINTER: u64 = 0x2fe0;
const PAGE_TABLES: u64 = 0x1_0000;
const PAGE_TABLES_ROOM: u64 = 0x1_0000;
/// An interrupt gate of 64-bit code, present (Intel SDM volume 3A, 6.14.1), through the selector of code that CPUs
/// begin with.
const GATE: u64 = 0x8e00 << 32;
const CODE_SELECTOR: u64 = 0x10;
const LOCAL_APIC: u64 = 0xfee0_0000;

/// Why nothing can be tried here, if that is so.
pub fn missing() -> Option<String> {
    let opened = File::options().read(true).write(true).open("/dev/kvm");
    opened.err().map(|error| format!("/dev/kvm cannot be opened: {error}"))
}

/// What was done at [`SCRATCH`].
pub type Accesses = Arc<Mutex<Vec<Access>>>;

/// An access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// A read of so many bytes.
    Read(usize),
    /// A write of these.
    Write(Vec<u8>),
}

struct Scratch(Accesses);

impl Registers for Scratch {
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        let mut accesses = self.0.lock().expect("nobody panicked");
        data.iter_mut().zip(1..).for_each(|(byte, value)| *byte = value);
        accesses.push(Access::Read(data.len()));
    }

    fn write(&mut self, _offset: u64, data: &[u8]) {
        self.0.lock().expect("nobody panicked").push(Access::Write(data.to_vec()));
    }
}

struct Numbers(Arc<AtomicU32>);

impl Registers for Numbers {
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        let next = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        data.copy_from_slice(&next.to_le_bytes());
    }

    fn write(&mut self, _offset: u64, _data: &[u8]) {}
}

struct Results(Sender<u32>);

impl Registers for Results {
    fn read(&mut self, _offset: u64, _data: &mut [u8]) {}

    fn write(&mut self, _offset: u64, data: &[u8]) {
        let data = data.try_into().expect("four bytes");
        // The test may have seen enough.
        let _ = self.0.send(u32::from_le_bytes(data));
    }
}

/// A machine that runs.
pub struct Bench {
    /// The file of its memory.
    pub memory: File,
    /// Its devices: an rng.
    pub devices: Vec<Mmio>,
    /// What was done at [`SCRATCH`].
    pub accesses: Accesses,
    /// The machine itself.
    pub vm: VmFd,
    /// Its CPUs.
    pub cpus: Arc<Cpus>,
    /// The last number that it read at [`NEXT`].
    pub numbers: Arc<AtomicU32>,
    counting: Vec<Arc<Counting>>,
    results: Receiver<u32>,
    states: Receiver<State>,
    stopped: Receiver<Stopped>,
}

/// A machine that was held.
pub struct Saved {
    memory: File,
    cpus: Vec<CpuState>,
    shared: SharedState,
    number: u32,
}

/// What a machine is made of.
pub struct Setup {
    /// Where its program begins.
    pub entry: u64,
    /// How many CPUs it has.
    pub cpus: u32,
    /// Its memory; what is not touched takes none of the host's.
    pub memory: Bytes,
    /// Is called before its CPUs run.
    pub before: fn(&mut Machine),
}

impl Default for Setup {
    fn default() -> Self {
        Self { entry: CODE, cpus: 1, memory: Bytes::mib(16), before: |_| () }
    }
}

impl Bench {
    /// Starts the program at `entry`.
    pub fn start(entry: u64) -> Self {
        Self::with(&Setup { entry, ..Setup::default() })
    }

    /// Starts a machine.
    pub fn with(setup: &Setup) -> Self {
        Self::with_memory(setup, memory(setup.memory), 0, |_| ())
    }

    /// Starts a machine where another was held.
    pub fn restore(saved: &Saved) -> Self {
        let setup = Setup { cpus: saved.cpus.len() as u32, ..Setup::default() };
        let memory = copy(&saved.memory);
        Self::with_memory(&setup, memory, saved.number, |machine| {
            for (cpu, state) in machine.cpus.iter().zip(&saved.cpus) {
                cpu.restore(state).expect("its state");
            }
            saved.shared.restore(&machine.vm).expect("its state");
        })
    }

    /// Saves a machine that is held.
    pub fn save(&self) -> Saved {
        let registers = register_numbers(&Kvm::new().expect("KVM")).expect("registers");
        assert!(registers.len() > 10, "{registers:x?}");
        let cpus = self.cpus.each(|cpu| cpu.save(&registers)).expect("its state");
        let shared = SharedState::save(&self.vm).expect("its state");
        let number = self.numbers.load(Ordering::SeqCst);
        Saved { memory: copy(&self.memory), cpus, shared, number }
    }

    fn with_memory(
        setup: &Setup,
        memory: File,
        number: u32,
        restore: impl FnOnce(&mut Machine),
    ) -> Self {
        prepare_signal().expect("a signal");
        let description = Description {
            cpus: (0..setup.cpus).map(CpuId).collect(),
            pinned: true,
            topology: Topology::flat(setup.cpus),
            memory: setup.memory,
            entry: PhysAddr(setup.entry),
            page_tables: PhysAddr(PAGE_TABLES),
            boot_params: PhysAddr(0),
            shared: None,
            user: 0,
            filter: FilterMode::default(),
            restored: false,
            devices: vec![Device::Rng],
        };
        let kvm = File::options().read(true).write(true).open("/dev/kvm").expect("KVM");
        let (tell, states) = channel();
        let memory = Memory { file: memory, shared: None };
        let machine = Machine::new(kvm.into(), &memory, &description, Vec::new(), &tell);
        let mut machine = machine.expect("a machine");
        let (tell, results) = channel();
        let accesses = Accesses::default();
        let ports = &mut machine.ports;
        ports.insert(RESULT.into(), 4, Box::new(Results(tell))).expect("room");
        ports.insert(SCRATCH.into(), 4, Box::new(Scratch(accesses.clone()))).expect("room");
        let numbers = Arc::new(AtomicU32::new(number));
        ports.insert(NEXT.into(), 4, Box::new(Numbers(numbers.clone()))).expect("room");
        (setup.before)(&mut machine);
        restore(&mut machine);
        let Machine { cpus, ports, registers, service, devices, vm, .. } = machine;
        thread::spawn(move || service.run());
        let (ports, registers) = (Arc::new(ports), Arc::new(registers));
        let (tell, stopped) = channel();
        let mut counting = Vec::new();
        let cpus = Cpus::new(cpus);
        for number in 0..cpus.count() {
            let counts = Arc::new(Counting::default());
            counting.push(counts.clone());
            let (ports, registers, tell) = (ports.clone(), registers.clone(), tell.clone());
            let cpus = cpus.clone();
            // It ends with this process, as programs halt.
            thread::spawn(move || tell.send(cpus.run(number, &ports, &registers, &counts)));
        }
        Self {
            memory: memory.file,
            devices,
            accesses,
            vm,
            cpus,
            numbers,
            counting,
            results,
            states,
            stopped,
        }
    }

    /// What the program tells next.
    pub fn result(&self) -> u32 {
        match self.results.recv_timeout(PATIENCE) {
            Ok(result) => result,
            Err(error) => {
                panic!("the program tells nothing: {error}; {:?}", self.stopped.try_recv())
            }
        }
    }

    /// What it has told and nobody has heard yet.
    pub fn next_result(&self) -> Option<u32> {
        self.results.try_recv().ok()
    }

    /// Whether it tells nothing for a while.
    pub fn is_silent(&self) -> bool {
        self.results.recv_timeout(Duration::from_millis(100)).is_err()
    }

    /// What it asks its machine for.
    pub fn state(&self) -> State {
        self.states.recv_timeout(PATIENCE).expect("it asks for something")
    }

    /// How its CPU ends.
    pub fn stopped(&self) -> Stopped {
        self.stopped.recv_timeout(PATIENCE).expect("its CPU ends")
    }

    /// What its first CPU came out for.
    pub fn counters(&self) -> Counters {
        self.counting.first().map_or(Counters::default(), |counting| counting.counters())
    }
}

fn copy(memory: &File) -> File {
    let size = memory.metadata().expect("its size").len();
    let mut bytes = vec![0; size as usize];
    memory.read_exact_at(&mut bytes, 0).expect("memory");
    let copy = empty(Bytes(size));
    copy.write_all_at(&bytes, 0).expect("memory");
    copy
}

fn empty(size: Bytes) -> File {
    let flags = nix::sys::memfd::MFdFlags::empty();
    let file = File::from(nix::sys::memfd::memfd_create(c"guest", flags).expect("a file"));
    file.set_len(size.0).expect("its size");
    file
}

/// Memory with all programs, tables, and gates for the two vectors.
fn memory(size: Bytes) -> File {
    let file = empty(size);
    let write = |at: u64, bytes: &[u8]| file.write_all_at(bytes, at).expect("memory");
    let page = |start: u64| Segment { start: PhysAddr(start), size: Bytes(1) };
    let low = Segment { start: PhysAddr(0), size: Bytes::mib(16) };
    let devices = Segment { start: PhysAddr(0xd000_0000), size: Bytes::mib(2) };
    let mapped =
        [low, page(HOLE.start.0), devices, page(IO_APIC.0), page(LOCAL_APIC), page(HOLE.end().0)];
    let tables = identity_map(PhysAddr(PAGE_TABLES), PAGE_TABLES_ROOM, &mapped).expect("tables");
    write(PAGE_TABLES, &tables);
    write(CODE, code::all());
    write(SECOND, code::of_second());
    for (vector, handler) in [(LINE_VECTOR, code::on_line()), (MESSAGE_VECTOR, code::on_message())]
    {
        let low = handler & 0xffff | CODE_SELECTOR << 16 | GATE | (handler >> 16 & 0xffff) << 48;
        let at = IDT + u64::from(vector) * 16;
        write(at, &low.to_le_bytes());
        write(at + 8, &(handler >> 32).to_le_bytes());
    }
    let mut pointer = 0xfff_u16.to_le_bytes().to_vec();
    pointer.extend(IDT.to_le_bytes());
    write(IDT_POINTER, &pointer);
    write(NO_IDT_POINTER, &[0; 10]);
    file
}
