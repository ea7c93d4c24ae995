//! One partition in a virtual machine, from nothing to a running kernel and back.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::mailbox::{BootClock, Mailbox};
use vm_memory::{Bytes as _, GuestAddress};

use super::control::Held;
use super::message::{self, Description, Descriptors, Device};
use super::reach::Reach;
use super::snapshot::{self, Snapshot, SnapshotError};
use super::spec::{Failure, Record, Spec, StartError, Step};
use super::status::{self, Activity, DeviceActivity, State, StatusError};
use super::virtio::{blk, net};
use super::vm::Memory;
use super::{acpi, address_space, cgroup, disk, tap, vmm};
use crate::backend::{Request, open_mailbox};
use crate::boot_params;
use crate::command_line;
use crate::contents::{Contents, Loaded, seed};
use crate::host_memory::HugetlbFile;
use crate::kernel_log::{KernelLog, LogError};
use crate::layout::{ACPI_ROOM, PAGE_TABLES_ROOM, TABLES};
use crate::memory::{PartitionMemory, Segment};
use crate::page_tables;
use crate::units::{ApicId, Bytes, PhysAddr};

/// How long the process may take until its CPUs run.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running partition.
pub struct Instance {
    record: Record,
    memory: Reach,
    log: Option<KernelLog>,
    status: File,
    /// The process, where we started it.
    child: Option<Child>,
    /// Checks the memory that it shares with its snapshot, where nobody has yet.
    checking: Option<JoinHandle<Result<(), SnapshotError>>>,
}

impl Instance {
    /// Starts a partition. `progress` hears of each step before it begins.
    ///
    /// # Errors
    ///
    /// [`Failure`] with the step. Nothing is undone: [`Instance::reclaim`] does that, also for a
    /// process that died half-way.
    pub fn start(spec: Spec, progress: &mut dyn FnMut(Step)) -> Result<Self, Failure> {
        let mut at = |step| {
            progress(step);
            move |source: StartError| Failure { step, source }
        };
        // What cannot be loaded is found out before anything is taken.
        let source = Source::open(&spec).map_err(|source| Failure { step: Step::Load, source })?;
        let failed = at(Step::Devices);
        let (devices, disks) = open_devices(&spec).map_err(failed)?;
        if let Source::Snapshot(snapshot) = &source {
            let failed = at(Step::Devices);
            let checked = snapshot.check(spec.topology, spec.size(), &devices);
            checked.map_err(|error| failed(error.into()))?;
        }

        let failed = at(Step::Memory);
        let (memory, mapped) = allocate(&spec, &source).map_err(failed)?;

        let (machine, entry, going_on) = match source {
            Source::Contents(contents) => {
                let failed = at(Step::Load);
                let all = mapped
                    .as_ref()
                    .ok_or(StartError::DoesNotFit("the memory of a snapshot that is none"));
                let all = all.map_err(failed)?;
                let loaded = contents
                    .load(all, &address_space::segments(spec.size()))
                    .map_err(|error| failed(error.into()))?;
                let failed = at(Step::Tables);
                let line = write_tables(&spec, all, &loaded, devices.len()).map_err(failed)?;
                let entry = loaded.entry;
                (machine_of(&spec, loaded, line, devices), entry, None)
            }
            Source::Snapshot(snapshot) => {
                let failed = at(Step::Restore);
                if let Some(all) = &mapped {
                    snapshot.load(all).map_err(|error| failed(error.into()))?;
                }
                let machine = snapshot::Machine { devices, ..snapshot.machine.clone() };
                (machine, PhysAddr(0), Some(snapshot))
            }
        };

        let failed = at(Step::StartMachine);
        let description = Description {
            cpus: spec.cpus.clone(),
            pinned: !spec.shared_cpus,
            topology: spec.topology,
            memory: spec.size(),
            entry,
            page_tables: machine.layout.page_tables(),
            boot_params: machine.layout.boot_params(),
            user: spec.user,
            filter: spec.filter,
            shared: memory.shared.as_ref().map(|_| machine.layout.mailbox),
            restored: going_on.is_some(),
            devices: machine.devices.clone(),
        };
        let state = going_on.as_ref().map(|snapshot| snapshot.state());
        let (child, status) =
            start_machine(&spec, &memory, &description, state, &disks).map_err(failed)?;

        let snapshot::Machine { devices, layout, linked_at, log, command_line, .. } = machine;
        let record = Record { spec, devices, layout, linked_at, log, command_line };
        let log = kernel_log(&record);
        let reach = match (mapped, &memory.shared) {
            (Some(all), _) => Reach::Shared(all),
            (None, shared) => {
                let file = shared.as_ref().unwrap_or(&memory.file);
                Reach::of_running(&record, file).map_err(failed)?
            }
        };
        let checking = going_on.filter(|_| memory.shared.is_some()).map(check_behind);
        let checking = checking.transpose().map_err(failed)?;
        Ok(Self { record, memory: reach, log, status, child: Some(child), checking })
    }

    /// Finds a partition that is running already, by what its first keeper wrote down.
    ///
    /// # Errors
    ///
    /// [`StartError`] where its process or its memory are gone.
    pub fn adopt(record: Record) -> Result<Self, StartError> {
        if cgroup::is_empty(&record.spec.cgroup) {
            return Err(StartError::Gone);
        }
        let memory = Reach::of_running(&record, &open_memory(&record.spec)?)?;
        let path = &record.spec.status;
        let status = File::open(path).map_err(in_status(path))?;
        let log = kernel_log(&record);
        // Whether its first keeper came to the end of that is not known. Who has taken the snapshot away meanwhile
        // wanted no more of it.
        let shared = record.spec.memory_of_snapshot.and(record.spec.snapshot.as_deref());
        let snapshot = shared.and_then(|path| Snapshot::open(path).ok());
        let checking = snapshot.map(|snapshot| check_behind(Box::new(snapshot))).transpose()?;
        Ok(Self { record, memory, log, status, child: None, checking })
    }

    /// Takes back everything that a spec names, whatever state it is in. May be done twice.
    ///
    /// # Errors
    ///
    /// [`StartError`] where its process cannot be ended; the memory is kept then.
    pub fn reclaim(spec: &Spec) -> Result<(), StartError> {
        cgroup::remove(&spec.cgroup)?;
        HugetlbFile::remove(&spec.memory_file)?;
        for path in [&spec.status, &spec.control] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(in_status(path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What must be remembered to find this partition again.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The mailbox: the control channel.
    ///
    /// # Errors
    ///
    /// [`StartError`] where the partition has written over it.
    pub fn mailbox(&self) -> Result<Mailbox, StartError> {
        let mailbox = open_mailbox(self.memory.mailbox(), self.record.layout.mailbox);
        Ok(mailbox.ok_or(StartError::DoesNotFit("the mailbox"))??)
    }

    /// What the partition's kernel has asked of its machine, if anything.
    pub fn request(&self) -> Option<Request> {
        match status::state(&self.status).ok()? {
            State::Restart => Some(Request::Restart),
            State::PowerOff => Some(Request::PowerOff),
            State::Starting | State::Running | State::Failed(_) => None,
        }
    }

    /// Why the partition cannot go on, if that is so.
    pub fn lost(&mut self) -> Option<String> {
        if self.checking.as_ref().is_some_and(JoinHandle::is_finished) {
            match self.checking.take().map(JoinHandle::join) {
                Some(Ok(Ok(()))) | None => {}
                Some(Ok(Err(error))) => return Some(chain(&error)),
                Some(Err(_)) => return Some("its snapshot cannot be checked".to_owned()),
            }
        }
        let ended = match self.child.as_mut().map(Child::try_wait) {
            Some(Ok(status)) => status.map(|status| status.to_string()),
            // Whoever started it is gone, and with it what could be known.
            Some(Err(_)) | None => {
                cgroup::is_empty(&self.record.spec.cgroup).then(|| "nobody saw how".to_owned())
            }
        };
        // It writes before it ends: so this comes after.
        match status::state(&self.status) {
            Ok(State::Failed(why)) => Some(why),
            Ok(State::Restart | State::PowerOff) => None,
            Ok(State::Starting | State::Running) => {
                ended.map(|how| format!("the process of its virtual machine ended ({how})"))
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// What it has done so far.
    ///
    /// # Errors
    ///
    /// [`StartError::Told`] where its process has spoilt what it tells.
    pub fn activity(&self) -> Result<Activity, StartError> {
        let spec = &self.record.spec;
        let cpus = spec.cpus.len();
        let disks = spec.disks.iter().map(|disk| (format!("disk {}", disk.name), &blk::COUNTS[..]));
        let taps = spec.taps.iter().map(|tap| (format!("net {}", tap.name), &net::COUNTS[..]));
        let devices = std::iter::once(("rng".to_owned(), &[][..])).chain(disks).chain(taps);
        let devices = devices.enumerate().map(|(number, (name, names))| {
            let (counts, own) = status::device(&self.status, cpus, number, names.len())?;
            let own = names.iter().map(|name| (*name).to_owned()).zip(own).collect();
            Ok(DeviceActivity { name, counts, own })
        });
        let devices = devices.collect::<Result<_, StatusError>>()?;
        Ok(Activity { cpus: status::counters(&self.status, cpus)?, devices })
    }

    /// Holds it, writes all that it is into a new folder, and lets it go on, or with `stop` ends its process before
    /// it can. Bytes of memory that are behind are told
    /// to `progress`.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]; it goes on then, and nothing is left behind.
    pub fn snapshot(
        &self,
        path: &Path,
        stop: bool,
        progress: &mut dyn FnMut(Bytes),
    ) -> Result<(), SnapshotError> {
        let Record { spec, devices, layout, linked_at, log, command_line } = &self.record;
        let machine = snapshot::Machine {
            topology: spec.topology,
            memory: spec.size(),
            devices: devices.clone(),
            layout: layout.clone(),
            linked_at: *linked_at,
            log: log.clone(),
            command_line: command_line.clone(),
        };
        let mut held = Held::new(&spec.control).map_err(SnapshotError::Machine)?;
        let state = held.state().map_err(SnapshotError::Machine)?;
        snapshot::write(path, &machine, &state, &self.memory, progress)?;
        match stop {
            false => held.go_on().map_err(SnapshotError::Machine),
            // It is held until it has ended.
            true => cgroup::end(&spec.cgroup).map_err(SnapshotError::End),
        }
    }

    /// The records of the kernel's log from number `from` on.
    ///
    /// # Errors
    ///
    /// [`LogError`] where the kernel has damaged it. An empty log where this kernel keeps none that we
    /// know how to read.
    pub fn kernel_log(&self, from: u64) -> Result<Vec<crate::kernel_log::Record>, LogError> {
        self.log.as_ref().map_or(Ok(Vec::new()), |log| log.read(&self.memory, from))
    }
}

/// What a machine's memory is filled with.
enum Source {
    /// Kernel and initramfs.
    Contents(Contents),
    /// What another was.
    Snapshot(Box<Snapshot>),
}

impl Source {
    fn open(spec: &Spec) -> Result<Self, StartError> {
        Ok(match &spec.snapshot {
            None => Self::Contents(Contents::open(&spec.kernel, &spec.initramfs)?),
            Some(path) => Self::Snapshot(Box::new(Snapshot::open(path)?)),
        })
    }
}

fn machine_of(
    spec: &Spec,
    loaded: Loaded,
    command_line: String,
    devices: Vec<Device>,
) -> snapshot::Machine {
    snapshot::Machine {
        topology: spec.topology,
        memory: spec.size(),
        devices,
        layout: loaded.layout,
        linked_at: loaded.linked_at,
        log: loaded.anchor.ok(),
        command_line,
    }
}

/// The devices of a partition, in the order of their places, and the files of those that have one.
fn open_devices(spec: &Spec) -> Result<(Vec<Device>, Vec<File>), StartError> {
    let (mut devices, mut files) = (vec![Device::Rng], Vec::new());
    for disk in &spec.disks {
        let (device, file) = disk::open(disk)?;
        devices.push(device);
        files.push(file);
    }
    for tap in &spec.taps {
        let (device, file) = tap::open(tap)?;
        devices.push(device);
        files.push(file);
    }
    Ok((devices, files))
}

/// Takes memory, all zeros, and maps it; or that of a snapshot as it is there, with a mailbox of its own.
fn allocate(spec: &Spec, source: &Source) -> Result<(Memory, Option<PartitionMemory>), StartError> {
    if spec.memory_of_snapshot.is_none() {
        HugetlbFile::create(&spec.memory_file, spec.page_size, &spec.memory)?;
        let file = open_memory(spec)?;
        let all = address_space::map(&file, spec.size())?;
        return Ok((Memory { file, shared: None }, Some(all)));
    }
    let Source::Snapshot(snapshot) = source else {
        return Err(StartError::DoesNotFit("the memory of a snapshot that is none"));
    };
    let mailbox = snapshot.piece(snapshot.machine.layout.mailbox)?;
    let path = &spec.memory_file;
    let failed = |source| StartError::MemoryFile { path: path.clone(), source };
    let mut options = File::options();
    options.read(true).write(true).create_new(true).mode(0o600);
    let file = options.open(path).map_err(failed)?;
    file.write_all_at(&mailbox, 0).map_err(failed)?;
    let memory = snapshot.memory().try_clone().map_err(failed)?;
    Ok((Memory { file: memory, shared: Some(file) }, None))
}

/// Checks the memory of a snapshot while a machine runs on it.
fn check_behind(
    snapshot: Box<Snapshot>,
) -> Result<JoinHandle<Result<(), SnapshotError>>, StartError> {
    let check = move || snapshot.check_memory();
    let thread = std::thread::Builder::new().name("check".to_owned());
    thread.spawn(check).map_err(StartError::Process)
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn open_memory(spec: &Spec) -> Result<File, StartError> {
    let path = &spec.memory_file;
    let mut options = File::options();
    let file = options.read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path);
    file.map_err(|source| StartError::MemoryFile { path: path.clone(), source })
}

/// Writes command line, boot parameters, tables and mailbox; returns the command line.
fn write_tables(
    spec: &Spec,
    memory: &PartitionMemory,
    loaded: &Loaded,
    devices: usize,
) -> Result<String, StartError> {
    let layout = &loaded.layout;
    let command_line = command_line::kvm(&spec.command_line, layout.mailbox.start)?;
    let params = boot_params::zero_page(layout, address_space::LOW, loaded.initramfs)?;
    let cpus = 0..spec.cpus.len() as u32;
    let apic_ids: Vec<ApicId> = cpus.map(|cpu| spec.topology.apic_id(cpu)).collect();
    let acpi = acpi::tables(layout.acpi(), &apic_ids, devices);
    if acpi.len() as u64 > ACPI_ROOM {
        return Err(StartError::DoesNotFit("the ACPI tables"));
    }
    // What the CPU touches before the kernel has tables of its own.
    let mapped = [
        Segment { start: PhysAddr(0), size: Bytes::mib(1) },
        Segment { start: layout.main.start, size: TABLES },
        layout.kernel,
    ];
    let tables = page_tables::identity_map(layout.page_tables(), PAGE_TABLES_ROOM, &mapped)?;
    let seed = seed().map_err(StartError::Random)?;
    let mut line = command_line.clone().into_bytes();
    line.push(0);
    for (what, at, bytes) in [
        ("the zero page", layout.boot_params(), boot_params::as_bytes(&params)),
        ("the command line", layout.command_line(), &line),
        ("the setup data", layout.setup_data(), &boot_params::setup_data(seed)),
        ("the ACPI tables", layout.acpi(), &acpi),
        ("the page tables", layout.page_tables(), &tables),
    ] {
        memory.write_slice(bytes, GuestAddress(at.0)).map_err(|_| StartError::DoesNotFit(what))?;
    }
    let shared = crate::memory::shared(memory, layout.mailbox)
        .ok_or(StartError::DoesNotFit("the mailbox"))?;
    // Its clock is its own: the hypervisor's tells it the time.
    Mailbox::create(shared, BootClock::default())?;
    Ok(command_line)
}

/// Starts the process, and waits until its CPUs run.
fn start_machine(
    spec: &Spec,
    memory: &Memory,
    description: &Description,
    state: Option<&File>,
    disks: &[File],
) -> Result<(Child, File), StartError> {
    let kvm = File::options().read(true).write(true).open("/dev/kvm").map_err(StartError::Kvm)?;
    let path = &spec.status;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    let status = options.open(path).map_err(in_status(path))?;
    status::prepare(&status, spec.cpus.len(), description.devices.len())
        .map_err(in_status(path))?;
    let control = listen(&spec.control).map_err(in_control(&spec.control))?;
    cgroup::create(&spec.cgroup)?;

    let (ours, theirs) = UnixStream::pair().map_err(StartError::Process)?;
    let child = Command::new("/proc/self/exe")
        .arg(vmm::ARGUMENT)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        // A signal from a terminal is not for it.
        .process_group(0)
        .spawn()
        .map_err(StartError::Process)?;
    // It does nothing before it is told what.
    cgroup::enter(&spec.cgroup, child.id())?;
    let with = Descriptors {
        kvm: kvm.as_fd(),
        memory: memory.file.as_fd(),
        status: status.as_fd(),
        control: control.as_fd(),
        state: state.map(File::as_fd),
        shared: memory.shared.as_ref().map(File::as_fd),
        devices: disks.iter().map(File::as_fd).collect(),
    };
    ours.set_read_timeout(Some(PATIENCE)).map_err(StartError::Process)?;
    message::send(&ours, description, &with).map_err(StartError::Answer)?;
    message::hear(&ours).map_err(StartError::Answer)?.map_err(StartError::Machine)?;
    Ok((child, status))
}

fn kernel_log(record: &Record) -> Option<KernelLog> {
    let anchor = record.log.clone()?;
    Some(KernelLog::new(anchor, record.linked_at, record.layout.kernel.start))
}

/// A socket in the place of whatever was left there.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(path),
    }
}

fn in_control(path: &Path) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::Control { path: path.to_owned(), source }
}

fn in_status(path: &Path) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::Status { path: path.to_owned(), source }
}
