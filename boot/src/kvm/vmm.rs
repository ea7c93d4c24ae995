//! The process of a virtual machine. It is given all that it has over its standard input, and opens nothing.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use kvm_ioctls::VmFd;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use vm_memory::{GuestAddress, GuestMemoryBackend as _};

use super::control::{self, Running};
use super::cpus::{Cpus, prepare_signal};
use super::filters::{self, Thread};
use super::jail::{self, JailError};
use super::machine::{Machine, MachineError};
use super::message::{self, Description};
use super::saved::{MachineState, SaveError};
use super::status::{self, Counting, State};
use super::vcpu::Stopped;
use super::virtio::mmio::Mmio;
use super::vm::Memory;
use crate::units::CpuId;

/// The program's argument that makes it such a process.
pub const ARGUMENT: &str = "vmm";

/// How often it tells what it has counted.
const TELLING: Duration = Duration::from_secs(1);

/// Why it ends before its CPUs have run.
#[derive(Debug, thiserror::Error)]
enum VmmError {
    /// the virtual machine
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// what it gives up
    #[error(transparent)]
    Jail(#[from] JailError),
    /// what another machine was
    #[error("what was saved cannot be read: {0}")]
    State(#[source] io::Error),
    /// it does not fit
    #[error("it cannot go on where another was held: {0}")]
    Restore(#[from] SaveError),
    /// threads
    #[error("a thread cannot be started: {0}")]
    Thread(#[source] io::Error),
}

/// Runs a virtual machine until its kernel wants no more.
pub fn run() -> ExitCode {
    // Standard input, output and error are all that it is to have.
    if let Err(error) = jail::close_from(3) {
        return complain(&error);
    }
    let socket = match io::stdin().as_fd().try_clone_to_owned() {
        Ok(socket) => UnixStream::from(socket),
        Err(error) => return complain(&error),
    };
    let (description, with) = match message::receive(&socket) {
        Ok(received) => received,
        Err(error) => return complain(&error),
    };
    let status = File::from(with.status);
    let control = UnixListener::from(with.control);
    let state = with.state.map(File::from);
    let (tell, hear) = channel();
    let counting: Vec<_> = description.cpus.iter().map(|_| Arc::new(Counting::default())).collect();
    let memory = Memory { file: with.memory.into(), shared: with.shared.map(File::from) };
    let started = Machine::new(with.kvm, &memory, &description, with.devices, &tell)
        .map_err(VmmError::from)
        .and_then(|machine| {
            // From here on it has what it needs, and nothing of its guest's was touched yet.
            jail::enter(description.user)?;
            // What comes from a file is read by nobody in particular.
            if let Some(state) = state {
                restore(&machine, state)?;
            }
            filters::switch_on(description.filter);
            start(machine, &description, control, &counting, &tell)
        });
    let told = message::answer(&socket, &started.as_ref().map(drop).map_err(ToString::to_string));
    drop(socket);
    // Interrupts reach the CPUs as long as the first is there.
    let (_vm, devices) = match started {
        Ok(started) => started,
        Err(error) => return complain(&error),
    };
    if let Err(error) = filters::restrict(Thread::Main) {
        return complain(&error);
    }
    if let Err(error) = told.and_then(|()| status::tell(&status, &State::Running)) {
        return complain(&error);
    }
    let state = loop {
        match hear.recv_timeout(TELLING) {
            Ok(state) => break state,
            Err(RecvTimeoutError::Timeout) => tell_counters(&status, &counting, &devices),
            Err(RecvTimeoutError::Disconnected) => {
                break State::Failed("all of its threads are gone".to_owned());
            }
        }
    };
    tell_counters(&status, &counting, &devices);
    match status::tell(&status, &state) {
        // Other threads may be in their guest: they end with the process.
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

/// Whoever reads them looks for trends: numbers that cannot be told now come with the next.
fn tell_counters(status: &File, counting: &[Arc<Counting>], devices: &[Mmio]) {
    let devices: Vec<_> = devices.iter().map(Mmio::counts).collect();
    let _ = status::tell_counters(status, counting, &devices);
}

fn complain(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("partitiond vmm: {error}");
    ExitCode::FAILURE
}

/// Starts a thread for each CPU, each on its own of the host's, and one for the devices.
fn start(
    machine: Machine,
    description: &Description,
    control: UnixListener,
    counting: &[Arc<Counting>],
    tell: &Sender<State>,
) -> Result<(Arc<VmFd>, Vec<Mmio>), VmmError> {
    let Machine { cpus, ports, registers, service, devices, memory, vm, saved_registers } = machine;
    let base = memory.get_host_address(GuestAddress(0)).map_or(0, |base| base as u64);
    let (ports, registers, vm) = (Arc::new(ports), Arc::new(registers), Arc::new(vm));
    let cpus = Cpus::new(cpus);
    prepare_signal().map_err(VmmError::Thread)?;
    let running = Running {
        cpus: cpus.clone(),
        vm: vm.clone(),
        ports: ports.clone(),
        devices: devices.clone(),
        registers: saved_registers,
        base,
    };
    let failed = tell.clone();
    std::thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || {
            let served = filters::restrict(Thread::Control)
                .map_err(|error| error.to_string())
                .and_then(|()| running.serve(&control).map_err(|error| error.to_string()));
            let Err(error) = served;
            let _ = failed.send(State::Failed(format!("it cannot be asked any more: {error}")));
        })
        .map_err(VmmError::Thread)?;
    let failed = tell.clone();
    std::thread::Builder::new()
        .name("devices".to_owned())
        .spawn(move || {
            let served = filters::restrict(Thread::Devices)
                .map_err(|error| error.to_string())
                .and_then(|()| service.run().map_err(|error| error.to_string()));
            let Err(error) = served;
            let _ = failed.send(State::Failed(format!("its devices stop: {error}")));
        })
        .map_err(VmmError::Thread)?;
    for ((number, on), counting) in description.cpus.iter().enumerate().zip(counting) {
        let on = description.pinned.then_some(*on);
        let (counting, tell) = (counting.clone(), tell.clone());
        let cpus = cpus.clone();
        let (ports, registers) = (ports.clone(), registers.clone());
        std::thread::Builder::new()
            .name(on.map_or("on any CPU".to_owned(), |on| format!("on CPU {}", on.0)))
            .spawn(move || {
                let run = || cpus.run(number, &ports, &registers, &counting);
                let _ = tell.send(run_on(on, run));
            })
            .map_err(VmmError::Thread)?;
    }
    for device in &devices {
        device.look_again();
    }
    Ok((vm, devices))
}

/// Makes a machine what another was.
fn restore(machine: &Machine, state: File) -> Result<(), VmmError> {
    let mut bytes = Vec::new();
    state.take(control::LONGEST_STATE).read_to_end(&mut bytes).map_err(VmmError::State)?;
    let state: MachineState =
        serde_json::from_slice(&bytes).map_err(|error| VmmError::State(error.into()))?;
    let Machine { cpus, vm, ports, devices, .. } = machine;
    Ok(state.restore(cpus, vm, ports, devices)?)
}

fn run_on(on: Option<CpuId>, run: impl FnOnce() -> Stopped) -> State {
    if let Some(on) = on
        && let Err(error) = pin(on)
    {
        return State::Failed(format!("a virtual CPU cannot run on {on}: {error}"));
    }
    if let Err(error) = filters::restrict(Thread::Cpu) {
        return State::Failed(error.to_string());
    }
    match run() {
        Stopped::TripleFault => State::Restart,
        Stopped::Broken(why) => State::Failed(why),
    }
}

/// Has this thread run on that CPU only.
fn pin(on: CpuId) -> nix::Result<()> {
    let mut only = CpuSet::new();
    only.set(on.0 as usize)?;
    sched_setaffinity(Pid::from_raw(0), &only)
}
