//! `profile …`: KernelScript.

use std::path::PathBuf;

use boot::units::Bytes;
use clap::{Args, Subcommand};
use profiles::catalogue::Kernel;

use crate::cluster::Interval;

/// `profile …`
#[derive(Clone, Debug, Subcommand)]
pub enum Profile {
    /// Tell everything that is wrong with scripts. Without a kernel they are checked for every one
    /// that the catalogue was made for.
    Check {
        /// The scripts, or names of standard profiles.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Which machine.
        #[command(flatten)]
        machine: Described,
    },
    /// Show which files of a kernel a profile would write, and what; exits with 2 where it would.
    Plan {
        /// The script, or the name of a standard profile.
        file: PathBuf,
        /// Which profile; needed where the script has several.
        #[arg(long, value_name = "NAME")]
        profile: Option<String>,
        /// For this machine as it is.
        #[arg(long, conflicts_with_all = ["kernel", "cpus", "memory", "partition"])]
        host: bool,
        /// For this partition as it is.
        #[arg(long, value_name = "NAME", conflicts_with_all = ["kernel", "cpus", "memory"])]
        partition: Option<String>,
        /// Which machine.
        #[command(flatten)]
        machine: Described,
    },
    /// Bring a profile into force: all of it, or nothing. A guard is watched in the background, and a policy
    /// followed.
    Apply(Apply),
    /// Say that the profile in force is to stay, so that its guard does not undo it.
    Confirm {
        /// On which kernel.
        #[command(flatten)]
        on: On,
    },
    /// Undo the profile in force.
    Rollback {
        /// On which kernel.
        #[command(flatten)]
        on: On,
        /// Which transaction, by its number in the history; else the newest in force.
        #[arg(long, value_name = "N")]
        number: Option<u32>,
        /// Set back what somebody else has changed since, too.
        #[arg(long)]
        force: bool,
    },
    /// Compare a kernel with the profile in force; exits with 2 where something has drifted.
    Verify {
        /// On which kernel.
        #[command(flatten)]
        on: On,
        /// Which transaction, by its number in the history; else the newest in force.
        #[arg(long, value_name = "N")]
        number: Option<u32>,
    },
    /// List what was applied to a kernel, and what became of it.
    History {
        /// On which kernel.
        #[command(flatten)]
        on: On,
    },
    /// Serve an editor: the Language Server Protocol on standard input and output. Editors start it.
    Lsp {
        /// What editors give to servers that could speak over something else.
        #[arg(long, hide = true)]
        stdio: bool,
    },
    /// Tell where two profiles differ for a kernel; exits with 2 where they do.
    Diff {
        /// The one: a script with one profile, or the name of a standard profile.
        one: PathBuf,
        /// The other.
        other: PathBuf,
        /// Which machine.
        #[command(flatten)]
        machine: Described,
    },
    /// Make a script of sysctl.d files, or of a TuneD profile.
    Import(Import),
    /// Write files for machines without partitiond: sysctl.d, udev, modprobe.d, the command line, tmpfiles.d,
    /// systemd.
    Export {
        /// The script, or the name of a standard profile.
        file: PathBuf,
        /// Which profile; needed where the script has several.
        #[arg(long, value_name = "NAME")]
        profile: Option<String>,
        /// Which machine.
        #[command(flatten)]
        machine: Described,
        /// Write them below this folder, instead of to standard output.
        #[arg(long, short, value_name = "FOLDER")]
        output: Option<PathBuf>,
    },
    /// Look after a profile that `apply` brought into force.
    #[command(hide = true)]
    Attend,
    /// Bring scripts into the canonical form.
    Fmt {
        /// The scripts.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Only tell which would change; exits with 2 where one would.
        #[arg(long)]
        check: bool,
    },
    /// Replay recorded signals, and tell when a script's policy would have switched, and why.
    Simulate {
        /// The script, with one policy.
        file: PathBuf,
        /// The signals: a table whose first line is `time, psi.io.full.avg10`, for example.
        #[arg(long, value_name = "TRACE")]
        trace: PathBuf,
    },
    /// Tell what a setting does, where it is, and what is safe.
    Explain {
        /// The setting: `vm.dirty`.
        setting: String,
        /// In which kernel.
        #[arg(long, value_name = "KERNEL")]
        kernel: Option<Kernel>,
    },
}

/// `profile import …`
#[derive(Clone, Debug, Args)]
pub struct Import {
    /// Files or folders of sysctl.d; or a `tuned.conf`, or the folder that it lies in.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the script goes; else to standard output.
    #[arg(long, short, value_name = "OUT")]
    pub output: Option<PathBuf>,
    /// Give each profile a guard: it is undone unless somebody confirms it within this time.
    #[arg(long, value_name = "DURATION")]
    pub guard: Option<Interval>,
    /// The profile's name.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// `profile apply …`
#[derive(Clone, Debug, Args)]
pub struct Apply {
    /// The script, or the name of a standard profile.
    pub file: PathBuf,
    /// Which profile; needed where the script has several, and no policy says which is the default.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// A parameter's value; may be given more than once.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = super::variable)]
    pub parameters: Vec<(String, String)>,
    /// On which kernel.
    #[command(flatten)]
    pub on: On,
    /// Stay, and look after the profile until nothing is left to look after.
    #[arg(long)]
    pub foreground: bool,
}

/// A kernel that runs.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct On {
    /// This machine's own.
    #[arg(long)]
    pub host: bool,
    /// This partition's.
    #[arg(long, value_name = "NAME")]
    pub partition: Option<String>,
}

impl std::fmt::Display for On {
    /// As it is written on a command line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.partition {
            Some(name) => write!(f, "--partition {name}"),
            None => f.write_str("--host"),
        }
    }
}

/// A machine that is not here.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Machine")]
pub struct Described {
    /// Its kernel: `6.12-rt`; the flavours are cloud (where none is named), generic and rt.
    #[arg(long, value_name = "KERNEL")]
    pub kernel: Option<Kernel>,
    /// Its CPUs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=8192))]
    pub cpus: Option<u16>,
    /// Its memory.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Bytes>,
    /// A parameter's value; may be given more than once.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = super::variable)]
    pub parameters: Vec<(String, String)>,
}
