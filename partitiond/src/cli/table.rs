//! The commands and their options. Help, man pages and completions are made from this table.

mod profile;

use std::path::PathBuf;

use boot::units::Bytes;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use rig::RigName;

use crate::api::SOCKET;
use crate::cluster::Interval;

pub use profile::{Apply, Described, Import, On, Profile};

/// Divides one Linux machine into partitions and boots a separate, unmodified kernel in each.
#[derive(Clone, Debug, Parser)]
#[command(name = "partitiond", version, max_term_width = 100, after_long_help = super::exit::HELP)]
#[command(propagate_version = false, subcommand_required = true, arg_required_else_help = true)]
pub struct Line {
    /// What holds for all commands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// How data is printed; `json` gives one object, or one a line where it comes over time.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub format: Format,
    /// The supervisor's socket.
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "rig")]
    #[arg(help = format!("The supervisor's socket [default: {SOCKET}]"))]
    pub socket: Option<PathBuf>,
    /// Work in a virtual server instead of on this machine; `up` starts it where it is not there.
    #[arg(long, global = true, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = DEFAULT_RIG)]
    pub rig: Option<RigName>,
    /// When to use colours; NO_COLOR is honoured.
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub color: When,
    /// No progress and no remarks, only data and errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// The rig of those who name none.
pub const DEFAULT_RIG: &str = "default";

/// Forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For code hosts and CI: SARIF 2.1.0. Only `profile check` has that.
    Sarif,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Bring up what a cluster file says; a second time changes only what was edited.
    Up(Up),
    /// Show what `up` would do, and do nothing.
    Plan(PlanOptions),
    /// End partitions and give what they had back to the host.
    Down(Down),
    /// List the partitions.
    Ps,
    /// Show one partition in detail.
    Show {
        /// The partition.
        name: String,
    },
    /// Print the log of a partition's kernel and workloads, from the first line on.
    Logs {
        /// The partition.
        name: String,
        /// Go on as it grows.
        #[arg(long, short)]
        follow: bool,
    },
    /// A shell on a terminal in a partition, behind the last lines of its kernel's log. Ctrl-] leaves.
    Console {
        /// The partition.
        name: String,
        /// How many lines of the kernel's log come first.
        #[arg(long, default_value_t = 20, value_name = "N")]
        lines: usize,
    },
    /// Run a program in a partition, without a shell, and end as it ends.
    Exec(Exec),
    /// Print what happened.
    Events {
        /// Go on as things happen.
        #[arg(long, short)]
        follow: bool,
    },
    /// Wait until partitions are ready or have ended.
    Wait(Wait),
    /// Write all that a partition is into a folder, for others to go on from; `kvm` only.
    Snapshot(Snapshot),
    /// Draw who has which CPUs and how much memory.
    Map,
    /// Tell what keeps this machine from being divided, and how to remove it.
    Doctor {
        /// A machine in a file, as `inventory` writes it, instead of this one.
        #[arg(long, value_name = "FILE")]
        machine: Option<PathBuf>,
    },
    /// Show what this machine has: CPUs, memory, nodes, devices, kernel.
    Inventory {
        /// Write it to a file, for `plan --machine`.
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
    /// Build, list and remove images.
    #[command(subcommand)]
    Image(Image),
    /// List, start and stop virtual servers.
    #[command(subcommand)]
    Rig(Rig),
    /// Check, plan, format and explain KernelScript profiles.
    #[command(subcommand)]
    Profile(Profile),
    /// Run the supervisor in the foreground.
    Serve(Serve),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write man pages.
    Man {
        /// Where to.
        directory: PathBuf,
    },
    /// Keep one partition; started by the supervisor.
    #[command(hide = true)]
    Keeper {
        /// The partition's directory.
        directory: PathBuf,
    },
    /// Be a virtual machine; started by a keeper.
    #[command(hide = true)]
    Vmm,
    /// Keep one rig; started by `up --rig`.
    #[command(hide = true)]
    RigKeeper {
        /// The rig's directory.
        directory: PathBuf,
    },
}

/// `up`
#[derive(Clone, Debug, Args)]
pub struct Up {
    /// The cluster file.
    pub file: PathBuf,
    /// The virtual server, where one is started.
    #[command(flatten)]
    pub shape: RigShape,
}

/// What a virtual server looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Virtual server (with --rig)")]
pub struct RigShape {
    /// Its CPUs [default: 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    pub cpus: Option<u32>,
    /// Its sockets, each a NUMA node [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub sockets: Option<u32>,
    /// Its memory [default: 4GiB].
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Bytes>,
    /// The kernel that plays its host: an image definition by name or file [default:
    /// linux-6.12-cloud].
    #[arg(long, value_name = "IMAGE")]
    pub kernel: Option<String>,
    /// The QEMU that plays it: 7 or 10 of Debian's, or a program's path [default: 10].
    #[arg(long, value_name = "VERSION")]
    pub qemu: Option<String>,
}

/// `plan`
#[derive(Clone, Debug, Args)]
pub struct PlanOptions {
    /// The cluster file.
    pub file: PathBuf,
    /// Tell why this partition gets these CPUs and this memory.
    #[arg(long, value_name = "NAME")]
    pub explain: Option<String>,
    /// Plan for a machine in a file, as `inventory` writes it, with nothing running on it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rig", "socket"])]
    pub machine: Option<PathBuf>,
}

/// `down`
#[derive(Clone, Debug, Args)]
pub struct Down {
    /// The partitions; all where none is named.
    pub names: Vec<String>,
    /// End them at once instead of in order.
    #[arg(long)]
    pub force: bool,
}

/// `snapshot`
#[derive(Clone, Debug, Args)]
pub struct Snapshot {
    /// The partition. It is held while it is written down.
    pub name: String,
    /// The folder, on the machine of the partition: absolute, and not there yet.
    pub folder: PathBuf,
    /// End it then, without letting it go on: its disks stay as the snapshot knows them.
    #[arg(long)]
    pub stop: bool,
}

/// `exec`
#[derive(Clone, Debug, Args)]
pub struct Exec {
    /// The partition.
    pub name: String,
    /// Give the program a terminal.
    #[arg(long, short)]
    pub tty: bool,
    /// Leave standard input alone: the program reads nothing.
    #[arg(long, short)]
    pub no_stdin: bool,
    /// As whom: `user`, `user:group`, `uid` or `uid:gid` in the partition.
    #[arg(long, short, value_name = "USER", default_value = "", hide_default_value = true)]
    pub user: String,
    /// Where in the partition.
    #[arg(long, short, value_name = "DIR", default_value = "", hide_default_value = true)]
    pub workdir: String,
    /// A variable of its environment; may be given more than once.
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// The program and its arguments, as they are.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    pub argv: Vec<String>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// `wait`
#[derive(Clone, Debug, Args)]
pub struct Wait {
    /// The partitions; all where none is named.
    pub names: Vec<String>,
    /// For what.
    #[arg(long = "for", value_enum, value_name = "STATE")]
    pub state: WaitFor,
    /// How long at most; without it, for as long as it takes.
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Interval>,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// Every workload was started.
    Ready,
    /// It has ended, and its CPUs and memory are the host's again.
    Ended,
}

/// `image …`
#[derive(Clone, Debug, Subcommand)]
pub enum Image {
    /// Build images: those of a cluster file, a definition in a file, or definitions that come with
    /// partitiond, by name.
    Build {
        /// A cluster file, a definition's file (`.ron`), or the names of known definitions.
        #[arg(required = true)]
        what: Vec<String>,
        /// The image's name, where one definition is built.
        #[arg(long, short, value_name = "NAME")]
        name: Option<String>,
    },
    /// List the images, and the definitions that come with partitiond.
    Ls,
    /// Show one image in detail.
    Show {
        /// Its name, or the beginning of its digest.
        name: String,
    },
    /// Remove images.
    Rm {
        /// Their names, or the beginnings of their digests.
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// `rig …`
#[derive(Clone, Debug, Subcommand)]
pub enum Rig {
    /// List the virtual servers.
    Ls,
    /// Start one; `up --rig` does so by itself.
    Start {
        /// Its name.
        #[arg(default_value = DEFAULT_RIG)]
        name: RigName,
        /// What it looks like.
        #[command(flatten)]
        shape: RigShape,
    },
    /// Stop one, with all that runs in it.
    Down {
        /// Its name.
        #[arg(default_value = DEFAULT_RIG)]
        name: RigName,
    },
    /// Print what its kernel wrote to the first serial port.
    Console {
        /// Its name.
        #[arg(default_value = DEFAULT_RIG)]
        name: RigName,
    },
}

/// `serve`
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Sockets and what belongs to running partitions.
    #[arg(long, value_name = "DIR", default_value = "/run/partitiond")]
    pub run: PathBuf,
    /// The ledger, events, logs and images.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/partitiond")]
    pub state: PathBuf,
    /// Start it in the background, and return when it answers.
    #[arg(long)]
    pub background: bool,
}
