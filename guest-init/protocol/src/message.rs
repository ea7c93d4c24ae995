//! The messages.

use serde::{Deserialize, Serialize};

use crate::Workload;

/// One `exec` session, numbered by the keeper's side; unique while the partition lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u32);

/// From the keeper to the partition.
///
/// What is long stands in a box (its bytes are the same): what is short, and waited for, is not moved
/// about at the size of the longest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGuest {
    /// Answers [`ToHost::Hello`]: what this partition is to be.
    Configure(Box<Configuration>),
    /// Answered at once by [`ToHost::Pong`] with the same number.
    Ping {
        /// Chosen by the sender.
        sequence: u64,
    },
    /// Runs a program; answered by [`ToHost::Started`] or [`ToHost::Failed`].
    Exec(Box<ExecRequest>),
    /// Bytes for a session's standard input, at most [`crate::MAX_CHUNK`].
    Input {
        /// The session.
        session: SessionId,
        /// The bytes.
        data: Vec<u8>,
    },
    /// No more input: the session's standard input is closed.
    InputEnd {
        /// The session.
        session: SessionId,
    },
    /// The receiver has used up this many bytes of a session's output; as many more may be sent.
    Credit {
        /// The session.
        session: SessionId,
        /// Bytes.
        bytes: u32,
    },
    /// Sends a signal to a session's process group.
    Signal {
        /// The session.
        session: SessionId,
        /// The signal's number as on x86-64 Linux.
        signal: u8,
    },
    /// The session's terminal has another size now.
    Resize {
        /// The session.
        session: SessionId,
        /// The new size.
        size: TerminalSize,
    },
    /// Nobody listens to the session any longer: it gets SIGHUP, and SIGKILL 2 s later.
    Hangup {
        /// The session.
        session: SessionId,
    },
    /// Ends the partition in order: workloads get SIGTERM, after `grace_ms` SIGKILL, file systems
    /// are synced, then the kernel stops.
    Shutdown {
        /// How the kernel is to stop.
        stop: Stop,
        /// Milliseconds between SIGTERM and SIGKILL.
        grace_ms: u32,
    },
    /// The partition was held and goes on from there, some time later, maybe beside others that do: who it is now.
    /// Comes before [`ToGuest::Configure`], from every keeper that attaches.
    GoesOn(Box<Identity>),
}

/// From the partition to its keeper. Boxes as in [`ToGuest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHost {
    /// The first message after every start of guest-init.
    Hello(Box<Hello>),
    /// Every workload has been started: the partition is ready.
    Ready {
        /// Milliseconds since the partition's kernel started.
        uptime_ms: u64,
    },
    /// Sent once a second, with what the partition measures of itself.
    Heartbeat(Box<Signals>),
    /// Answers [`ToGuest::Ping`].
    Pong {
        /// The number that came.
        sequence: u64,
    },
    /// A session's program runs.
    Started {
        /// The session.
        session: SessionId,
        /// Its process id inside the partition.
        pid: u32,
    },
    /// A session's program could not be run.
    Failed {
        /// The session.
        session: SessionId,
        /// Why, for people.
        reason: String,
        /// The status a shell would give: 127 not found, 126 not executable, 125 anything else.
        status: u8,
    },
    /// What a session's program wrote, at most [`crate::MAX_CHUNK`] bytes.
    Output {
        /// The session.
        session: SessionId,
        /// Where it wrote to.
        stream: Stream,
        /// The bytes.
        data: Vec<u8>,
    },
    /// A session's program ended and all its output has been sent.
    Exited {
        /// The session.
        session: SessionId,
        /// How it ended.
        status: ExitStatus,
    },
    /// The receiver has used up this many bytes of a session's input; as many more may be sent.
    Credit {
        /// The session.
        session: SessionId,
        /// Bytes.
        bytes: u32,
    },
    /// A line that a workload wrote, without its end; longer ones come in pieces of 4 KiB.
    Log {
        /// The workload's name.
        workload: String,
        /// Where it wrote to.
        stream: Stream,
        /// The line.
        line: Vec<u8>,
    },
    /// A workload has another state now.
    Workload {
        /// The workload's name.
        name: String,
        /// Its state.
        state: WorkloadState,
    },
    /// guest-init is about to stop the kernel.
    Stopping {
        /// How.
        stop: Stop,
        /// Why, for people: `asked by the keeper`, `a process called reboot(2)`.
        reason: String,
    },
    /// Something guest-init could not do and went on without, for people.
    Warning {
        /// What.
        text: String,
    },
}

/// What a partition tells about itself when guest-init starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::VERSION`] of the sender.
    pub version: u16,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `uname -r`.
    pub kernel: String,
    /// Online CPUs that the partition's kernel sees.
    pub cpus: u32,
    /// `MemTotal` of the partition, in KiB.
    pub memory_kib: u64,
}

/// What the cluster file adds to what the image says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// [`crate::VERSION`] of the sender.
    pub version: u16,
    /// Host name; the partition's name.
    pub hostname: String,
    /// Workloads, after those of the image; one of the same name replaces the image's.
    pub workloads: Vec<Workload>,
}

/// What makes a partition that goes on from a snapshot another one than the next that does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Host name; the partition's name. Where it is another than before, this is a clone.
    pub hostname: String,
    /// What a clone is known by; random.
    pub machine_id: [u8; 16],
    /// What nobody else's random numbers come from.
    pub seed: [u8; 32],
    /// Nanoseconds since 1970.
    pub realtime_ns: u64,
    /// Addresses of its network devices, in their order.
    pub macs: Vec<[u8; 6]>,
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// The new session.
    pub session: SessionId,
    /// Program and arguments, run without a shell.
    pub argv: Vec<String>,
    /// Environment, added to the partition's own.
    pub env: Vec<(String, String)>,
    /// Working directory; `/` where empty.
    pub cwd: String,
    /// As in [`Workload::user`].
    pub user: String,
    /// A terminal of this size for the program; `None`: three pipes.
    pub terminal: Option<TerminalSize>,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// Where a program wrote to. With a terminal everything is `Stdout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It exited with this status.
    Code(u8),
    /// A signal ended it.
    Signal(u8),
}

/// What a workload is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkloadState {
    /// It runs.
    Running {
        /// Its process id inside the partition.
        pid: u32,
    },
    /// It ended and is started again in `delay_ms`.
    Restarting {
        /// How it ended.
        status: ExitStatus,
        /// Milliseconds.
        delay_ms: u32,
    },
    /// It ended and stays so.
    Ended {
        /// How it ended.
        status: ExitStatus,
    },
    /// It could not be started, for people.
    Failed {
        /// Why.
        reason: String,
    },
}

/// How a partition's kernel stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// For good.
    PowerOff,
    /// To be started again.
    Reboot,
}

/// What a partition measures of itself, once a second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signals {
    /// Counts the heartbeats since guest-init started.
    pub sequence: u64,
    /// Milliseconds since the partition's kernel started.
    pub uptime_ms: u64,
    /// `MemAvailable`, in KiB.
    pub memory_available_kib: u64,
    /// Load average over one minute, in hundredths.
    pub load_hundredths: u32,
    /// Processes.
    pub processes: u32,
    /// Pressure stall information; zeros where the kernel has none.
    pub cpu: Pressure,
    /// As `cpu`, for memory.
    pub memory: Pressure,
    /// As `cpu`, for I/O.
    pub io: Pressure,
    /// Interrupts since boot, one entry per CPU of the partition, in ascending order.
    pub interrupts: Vec<Interrupts>,
}

/// One file of `/proc/pressure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressure {
    /// Some tasks stalled.
    pub some: PressureLine,
    /// All tasks stalled.
    pub full: PressureLine,
}

/// One line of a file of `/proc/pressure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PressureLine {
    /// Share of the last 10 s, in hundredths of a percent.
    pub avg10: u16,
    /// Share of the last minute, in hundredths of a percent.
    pub avg60: u16,
    /// Share of the last 5 minutes, in hundredths of a percent.
    pub avg300: u16,
    /// Microseconds stalled since boot.
    pub total_us: u64,
}

/// Interrupts that one CPU took since boot, from `/proc/interrupts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interrupts {
    /// The CPU's number inside the partition.
    pub cpu: u32,
    /// Local timer (`LOC`).
    pub timer: u64,
    /// Rescheduling, function call and TLB shootdown (`RES`, `CAL`, `TLB`).
    pub ipi: u64,
    /// Non-maskable (`NMI`).
    pub nmi: u64,
    /// Device interrupts (the numbered lines).
    pub device: u64,
    /// Spurious and erroneous (`SPU`, `ERR`, `MIS`): in a bare partition, something that was meant
    /// for another kernel.
    pub spurious: u64,
}
