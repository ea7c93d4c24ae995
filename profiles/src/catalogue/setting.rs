//! One setting: what it is, what it takes, what is safe, and how it is read back and undone.
//!
//! Two notations are used. `accepts` and `default` are numbers and words **as the file holds them**, in
//! the unit of [`Kind`]. `safe` and `condition` are KernelScript expressions over typed values
//! (`512MiB`, `10ms`) and [facts](crate::facts), in which `value` is the value to be written.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::by_kernel::ByKernel;
use super::kernel::Flavour;
use super::place::{Absent, At, Place};
use super::version::KernelRange;

/// What the catalogue knows of one setting.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The name a profile uses: dotted, by intent; a sysctl's own name where that is a good one.
    pub name: String,
    /// Type and unit.
    pub kind: Kind,
    /// Where it lives; the first place that fits a kernel is the one. Left out in the data where it is the
    /// sysctl of the same name; the loader fills that in.
    #[serde(default)]
    pub places: Vec<Place>,
    /// Why kernels do not have it, where more can be said than a version or flavour.
    #[serde(default)]
    pub absent: Vec<Absent>,
    /// What the kernel itself takes: a range `0..200` (both ends belong to it) or a list `[0, 1]`.
    #[serde(default)]
    pub accepts: Option<ByKernel>,
    /// What may be written: a range or list within `accepts`. All that is accepted if left out.
    #[serde(default)]
    pub safe: Option<ByKernel>,
    /// What must hold besides, over `value`, facts and other settings.
    #[serde(default)]
    pub condition: Option<ByKernel>,
    /// The value after boot on Debian's kernels with no sysctl.d applied; left out where the machine
    /// or the boot decides it.
    #[serde(default)]
    pub default: Option<ByKernel>,
    /// How a change takes effect, and what it takes to make one.
    #[serde(default)]
    pub class: Class,
    /// What one value is for.
    #[serde(default)]
    pub scope: Scope,
    /// What reading gives after a value was written.
    #[serde(default)]
    pub reads: Reads,
    /// Other settings that this one goes with.
    #[serde(default)]
    pub couples: Vec<Couple>,
    /// How the old state comes back.
    #[serde(default)]
    pub undo: Undo,
    /// What a write that fails leaves behind.
    #[serde(default)]
    pub on_error: OnError,
    /// When in a transaction it is written.
    #[serde(default)]
    pub order: Order,
    /// For which part of a kernel matrix its use is only allowed with a guard.
    #[serde(default)]
    pub guarded: Vec<Guarded>,
    /// What happens outside the safe range.
    #[serde(default)]
    pub danger: Option<String>,
    /// The row of the table of dangers that this entry covers.
    #[serde(default)]
    pub danger_row: Option<u8>,
    /// Modules without which the setting is not there.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Modules that single values need: `bbr` needs `tcp_bbr`.
    #[serde(default)]
    pub value_modules: BTreeMap<String, String>,
    /// Values that old guides name and no supported kernel has, and what is nearest to them today.
    #[serde(default)]
    pub former: BTreeMap<String, String>,
    /// What it does, in one to three sentences, for whoever has to decide on a value.
    pub doc: String,
    /// Where that can be read: paths in the kernel's sources. The area's own if empty.
    #[serde(default)]
    pub evidence: Vec<String>,
}

/// Type and unit of a value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// On or off, written as these two words.
    Switch {
        /// How "off" is written.
        off: String,
        /// How "on" is written.
        on: String,
    },
    /// On or off, written `1` and `0`.
    Flag,
    /// A plain number.
    Integer,
    /// A size in this unit.
    Size(SizeUnit),
    /// A time in this unit.
    Time(TimeUnit),
    /// Whole hundredths.
    Percent,
    /// A number of events or bytes a second, in the unit named.
    Rate(String),
    /// A frequency in kHz.
    Frequency,
    /// One of these words.
    Choice(Vec<String>),
    /// Several of these words, separated by blanks.
    Words(Vec<String>),
    /// One number for each meaning.
    Level(BTreeMap<i64, String>),
    /// A number whose bits mean this.
    Bits(BTreeMap<u64, String>),
    /// A set of CPUs.
    Cpus(CpuForm),
    /// Several numbers with these names, separated by blanks or tabs.
    Numbers(Vec<String>),
    /// Several sizes in one unit, with these names.
    Sizes(SizeUnit, Vec<String>),
    /// A set of ports: `22,8000-8010`.
    Ports,
    /// Free text of at most this many bytes.
    Text(u16),
    /// A queueing discipline and its parameters: `fq limit 20000`.
    Discipline,
    /// Writing it does something and leaves no state.
    Trigger,
    /// One of several forms, each with named parts that are settings of their own: resolved part by
    /// part, in one form only. It has no place itself.
    Record(BTreeMap<String, BTreeMap<String, String>>),
}

/// Unit of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum SizeUnit {
    /// Bytes.
    Bytes,
    /// Sectors of 512 bytes.
    Sectors,
    /// 1024 bytes.
    KiB,
    /// 1024 KiB.
    MiB,
    /// Pages of the machine, 4 KiB on x86-64.
    Pages,
}

/// Unit of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TimeUnit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Hundredths of a second.
    Centiseconds,
    /// Seconds.
    S,
    /// Minutes.
    Minutes,
    /// Ticks of 10 ms, as user space counts them.
    UserHz,
}

/// How a set of CPUs is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum CpuForm {
    /// `0-3,8`
    List,
    /// Hexadecimal words of 32 CPUs, separated by commas.
    Mask,
}

/// How a change takes effect, and what it takes to make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
pub enum Class {
    /// At once, and back again.
    #[default]
    Runtime,
    /// With the next boot.
    Reboot,
    /// At once, and never back before the next boot.
    OneWay,
    /// Does something once; there is no state to keep.
    Action,
    /// Weakens protection outside its safe range: needs a waiver that names it.
    Security,
    /// Kills the kernel or all of user space outside its safe range, where it is refused.
    Brick,
    /// Can cut the machine off from whoever manages it: needs a guard.
    Guarded,
}

/// What one value is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Scope {
    /// The kernel.
    #[default]
    Global,
    /// A network namespace.
    NetNamespace,
    /// An IPC namespace.
    IpcNamespace,
    /// A user namespace.
    UserNamespace,
    /// A PID namespace.
    PidNamespace,
    /// A block device.
    PerBlock,
    /// A network device.
    PerNet,
    /// A control group.
    PerCgroup,
    /// The tasks of a workload.
    PerWorkload,
    /// A CPU, or CPUs that share a clock.
    PerCpu,
    /// A NUMA node.
    PerNode,
    /// An interrupt.
    PerIrq,
}

/// What reading gives after a value was written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub enum Reads {
    /// The value.
    #[default]
    Same,
    /// All choices, the one in force in brackets: `always [madvise] never`.
    Bracketed,
    /// All choices, the one in force in parentheses: `none voluntary (full)`.
    Parenthesized,
    /// Numbers with tabs between.
    Tabbed,
    /// The value, rounded or raised as the text says: what was read back is to be compared with that.
    Rounded(String),
    /// The value as far as there was room: less may have been granted.
    Clamped(String),
    /// The value and, where it is void, words behind it.
    Annotated(String),
    /// The number in hexadecimal, padded.
    Hex,
    /// `Y` or `N`, whatever form was written.
    YesNo,
    /// What was there before: the kernel takes the write and ignores it.
    Ignored(String),
    /// Nothing.
    WriteOnly,
}

/// How one setting goes with another.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub enum Couple {
    /// The same state in another form: writing one clears or changes the other; a profile sets one.
    Twin(String),
    /// Writing this one changes the other besides.
    Moves(String),
    /// Both have to say the same.
    Agrees(String),
    /// This one may not be above the other.
    AtMost(String),
    /// This one may not be below the other.
    AtLeast(String),
    /// Without the other this one does nothing.
    Needs(String),
    /// Goes with the other: whoever changes one should look at the other.
    With(String),
}

impl Couple {
    /// The name of the other setting.
    pub fn other(&self) -> &str {
        match self {
            Self::Twin(name)
            | Self::Moves(name)
            | Self::Agrees(name)
            | Self::AtMost(name)
            | Self::AtLeast(name)
            | Self::Needs(name)
            | Self::With(name) => name,
        }
    }
}

/// How the old state comes back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub enum Undo {
    /// By writing the old value.
    #[default]
    Write,
    /// Where the old value is refused (0 of a pair of twins), by writing the other's old value.
    ThroughTwin(String),
    /// By writing the old value, and then those of these settings, which had moved along.
    AlsoRestore(Vec<String>),
    /// By the next boot only.
    Reboot,
    /// What was done stays done, and needs no undoing.
    Nothing,
}

/// What a write that fails leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum OnError {
    /// The old state.
    #[default]
    Unchanged,
    /// Perhaps part of the new one: the old value is to be written again all the same.
    MayChange,
}

/// When in a transaction a setting is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
pub enum Order {
    /// Before those that depend on it.
    Early,
    /// In any order.
    #[default]
    Any,
    /// Behind everything else: latches.
    Last,
}

/// Values that are allowed only with a guard, in some kernels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guarded {
    /// The versions this is about; all if left out.
    #[serde(default)]
    pub kernels: KernelRange,
    /// The flavours this is about; all if empty.
    #[serde(default)]
    pub flavours: Vec<Flavour>,
    /// The condition over `value` under which a guard is needed.
    pub when: String,
}

impl Setting {
    /// The place that is meant where the data names none: the sysctl of the same name.
    pub(super) fn fill_in_place(&mut self) {
        if self.places.is_empty() && !matches!(self.kind, Kind::Record(_)) {
            self.places.push(Place {
                at: At::Sysctl(self.name.replace('.', "/")),
                kernels: KernelRange::default(),
                flavours: Vec::new(),
                config: Vec::new(),
                access: super::place::Access::default(),
            });
        }
    }
}
