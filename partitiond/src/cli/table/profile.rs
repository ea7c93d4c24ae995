//! `profile …`: KernelScript.

use std::path::PathBuf;

use boot::units::Bytes;
use clap::{Args, Subcommand};
use profiles::catalogue::Kernel;

/// `profile …`
#[derive(Clone, Debug, Subcommand)]
pub enum Profile {
    /// Tell everything that is wrong with scripts. Without a kernel they are checked for every one
    /// that the catalogue was made for.
    Check {
        /// The scripts.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Which machine.
        #[command(flatten)]
        machine: Described,
    },
    /// Show which files of a kernel a profile would write, and what; exits with 2 where it would.
    Plan {
        /// The script.
        file: PathBuf,
        /// Which profile; needed where the script has several.
        #[arg(long, value_name = "NAME")]
        profile: Option<String>,
        /// Which machine.
        #[command(flatten)]
        machine: Described,
    },
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
