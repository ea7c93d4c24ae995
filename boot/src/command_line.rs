//! The kernel's command line.
//!
//! What a partition's kernel needs stands last, because Linux takes the last of several words for most
//! parameters, and may not be named by anybody else.

use crate::bare::PHANTOM;
use crate::units::PhysAddr;

/// Bytes of a command line, its terminating NUL included (`COMMAND_LINE_SIZE` on x86).
pub const MAX: usize = 2048;

/// Why a command line cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandLineError {
    /// longer than the kernel reads
    #[error("the kernel command line has {length} bytes, the kernel reads at most {max}: shorten `cmdline`", max = MAX - 1)]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// a byte that a command line cannot carry
    #[error(
        "the kernel command line has a control character or a byte beyond ASCII: only printable ASCII is allowed"
    )]
    Character,
    /// a word that is ours to say
    #[error(
        "`{word}` on the kernel command line is set by partitiond itself and cannot be changed: leave it out"
    )]
    Reserved {
        /// The word as written.
        word: String,
    },
}

/// Facts that the command line of a bare partition carries.
#[derive(Clone, Copy, Debug)]
pub struct BareFacts {
    /// Frequency of the time-stamp counter.
    pub tsc_khz: u32,
    /// Where the mailbox is.
    pub mailbox: PhysAddr,
}

/// What every bare partition's kernel is told, and why.
const BARE: &[(&str, &str)] = &[
    // No PCI, no I/O APIC, no legacy timers or ports: they are the host's.
    ("pci", "off"),
    ("noapic", ""),
    ("hpet", "disable"),
    ("8250.nr_uarts", "0"),
    // Nobody else's NMIs.
    ("apic_extnmi", "none"),
    // Linux sends IPIs to "all but self", and all includes the host.
    ("no_ipi_broadcast", "1"),
    // Without HPET and PM timer there is nothing to check the counter against.
    ("tsc", "reliable"),
    ("clocksource", "tsc"),
    // A panicked kernel stays where it is, and its log with it.
    ("panic", "0"),
    // Ends in a routine in low memory that the restart guard replaces.
    ("reboot", "bios"),
    // Cache and bandwidth allocation registers are shared with the host: hands off.
    ("rdt", "!cmt,!mbmtotal,!mbmlocal,!l3cat,!l3cdp,!l2cat,!l2cdp,!mba,!smba,!bmec"),
    // A CPU in VMX operation does not answer INIT, and could not be taken back.
    ("module_blacklist", "kvm,kvm_intel,kvm_amd"),
    ("rdinit", "/.partition/init"),
];

/// What every kernel in a virtual machine is told, and why.
const KVM: &[(&str, &str)] = &[
    // Devices are found through ACPI; looking for PCI takes hundreds of exits.
    ("pci", "off"),
    // A panicked kernel stays where it is, and its log with it.
    ("panic", "0"),
    ("rdinit", "/.partition/init"),
];

/// Further parameters that only we set, with values of the moment.
const OURS: &[&str] =
    &["disable_cpu_apicid", "tsc_early_khz", "partition.mailbox", "acpi", "nolapic", "nox2apic"];

/// What boots the kernel that is told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A bare partition's kernel.
    Bare,
    /// One in a virtual machine.
    Kvm,
}

impl For {
    fn words(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Bare => BARE,
            Self::Kvm => KVM,
        }
    }
}

/// The command line of a bare partition: the `words` of image and cluster file, then what the
/// partition needs.
///
/// # Errors
///
/// [`CommandLineError`] where the words name what is ours, or cannot be a command line.
pub fn bare(words: &str, facts: BareFacts) -> Result<String, CommandLineError> {
    let ours = [
        format!("disable_cpu_apicid={}", PHANTOM.0),
        format!("tsc_early_khz={}", facts.tsc_khz),
        mailbox(facts.mailbox),
    ];
    line(words, For::Bare, &ours)
}

/// The command line of a partition in a virtual machine.
///
/// # Errors
///
/// As [`bare`].
pub fn kvm(words: &str, at: PhysAddr) -> Result<String, CommandLineError> {
    line(words, For::Kvm, &[mailbox(at)])
}

fn mailbox(at: PhysAddr) -> String {
    format!("{}{:#x}", protocol::mailbox::PARAMETER, at.0)
}

fn line(words: &str, kernel: For, ours: &[String]) -> Result<String, CommandLineError> {
    check(words, kernel)?;
    let mut line: Vec<String> = words.split_ascii_whitespace().map(str::to_owned).collect();
    for (name, value) in kernel.words() {
        line.push(if value.is_empty() { (*name).to_owned() } else { format!("{name}={value}") });
    }
    line.extend_from_slice(ours);
    let line = line.join(" ");
    if line.len() >= MAX {
        return Err(CommandLineError::TooLong { length: line.len() });
    }
    Ok(line)
}

/// Whether image or cluster file may say these words to a partition's kernel.
///
/// # Errors
///
/// As [`bare`].
pub fn check(words: &str, kernel: For) -> Result<(), CommandLineError> {
    if !words.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(CommandLineError::Character);
    }
    for word in words.split_ascii_whitespace() {
        let name = word.split('=').next().unwrap_or(word);
        // Linux takes `-` and `_` for the same in names of parameters.
        let name = name.trim_matches('"').replace('-', "_");
        let ours = kernel.words().iter().map(|(name, _)| *name).chain(OURS.iter().copied());
        // Behind `--` everything is an argument of init, ours included.
        if name.is_empty() || name == "__" || ours.into_iter().any(|our| our == name) {
            return Err(CommandLineError::Reserved { word: word.chars().take(60).collect() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: BareFacts = BareFacts { tsc_khz: 2_000_000, mailbox: PhysAddr(0x1_5fe0_0000) };

    #[test]
    fn what_the_partition_needs_stands_last() {
        let line = bare("quiet  skew_tick=1", FACTS).unwrap();
        assert!(line.starts_with("quiet skew_tick=1 pci=off "));
        assert!(line.ends_with(
            "disable_cpu_apicid=254 tsc_early_khz=2000000 partition.mailbox=0x15fe00000"
        ));
    }

    #[test]
    fn words_that_are_ours_are_refused() {
        for word in
            ["pci=noacpi", "no-ipi-broadcast=0", "reboot=t", "--", "rdinit=/bin/sh", "\"panic=1"]
        {
            let refused = bare(&format!("quiet {word}"), FACTS);
            assert!(matches!(refused, Err(CommandLineError::Reserved { .. })), "{word}");
        }
    }

    #[test]
    fn hostile_words_are_refused() {
        assert_eq!(bare("a\nb", FACTS), Err(CommandLineError::Character));
        assert_eq!(bare("a\0b", FACTS), Err(CommandLineError::Character));
        assert!(matches!(bare(&"x".repeat(2048), FACTS), Err(CommandLineError::TooLong { .. })));
    }

    #[test]
    fn a_virtual_machine_reserves_less() {
        let line = kvm("quiet tsc=reliable", PhysAddr(0x1000)).unwrap();
        assert!(line.starts_with("quiet tsc=reliable pci=off "));
        assert!(line.ends_with("partition.mailbox=0x1000"));
        assert!(kvm("rdinit=/bin/sh", PhysAddr(0x1000)).is_err());
    }
}
