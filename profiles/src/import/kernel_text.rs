//! What a file of the kernel is given, as a typed value.

use super::literal;
use crate::catalogue::{CpuForm, Kind, Setting};
use crate::diagnostic::quoted;
use crate::expression::{Cpus, Value};

/// Linux has at most 8192 CPUs on x86-64: so many digits, with commas, are a mask of them.
const LONGEST_MASK: usize = 2048 + 256;
/// The highest number of a CPU.
const HIGHEST_CPU: u32 = 8191;

/// A value for a setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Typed {
    /// What it is worth.
    pub value: Value,
    /// As a script writes it.
    pub text: String,
    /// In which way it is not what the source says.
    pub note: Option<String>,
}

/// How numbers are read by whoever reads the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// As sysctls are: `0x1f` is hexadecimal, `010` octal.
    C,
    /// Some files take `010` for octal, others for ten.
    Doubtful,
}

/// The value that a text written to a setting's file would be.
///
/// # Errors
/// Why it is none.
pub fn typed(setting: &Setting, text: &str, numbers: Numbers) -> Result<Typed, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("no value stands here".to_owned());
    }
    let kind = &setting.kind;
    let decimal = decimals(kind, text, numbers)?;
    let mut note = None;
    let parsed = match kind {
        Kind::Trigger => decimal.parse().ok().map(Value::Number),
        Kind::Choice(words) if !words.contains(&decimal) => {
            let today = setting.former.get(&decimal);
            note = today.map(|today| {
                format!("`{}` is gone from today's kernels; `{today}` took its place", quoted(text))
            });
            today.map(|today| Value::word(today))
        }
        Kind::Cpus(CpuForm::List) => cpus(&decimal).map(Value::Cpus),
        Kind::Cpus(CpuForm::Mask) if decimal.len() > LONGEST_MASK => None,
        kind => kind.parsed(&decimal),
    };
    let no_value = || {
        format!("`{}` is no value of {}: it takes {}", quoted(text), setting.name, kind.wanted())
    };
    let value = kind.typed(&parsed.ok_or_else(no_value)?).map_err(|_| no_value())?;
    let text = literal::of(kind, &value).ok_or_else(no_value)?;
    Ok(Typed { value, text, note })
}

/// The CPUs of a list, `0-3,8`, in which none is named over and over: each part costs as much as it has.
pub fn cpus(text: &str) -> Option<Cpus> {
    let mut named = 0_u32;
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        named = named.checked_add(last.checked_sub(first)?)?.checked_add(1)?;
        if last > HIGHEST_CPU || named > 4 * HIGHEST_CPU {
            return None;
        }
    }
    Cpus::of_list(text)
}

/// The text with all its numbers in decimal. Only of kinds that are made of numbers.
fn decimals(kind: &Kind, text: &str, numbers: Numbers) -> Result<String, String> {
    let counts = matches!(
        kind,
        Kind::Flag
            | Kind::Integer
            | Kind::Size(_)
            | Kind::Time(_)
            | Kind::Percent
            | Kind::Rate(_)
            | Kind::Frequency
            | Kind::Level(_)
            | Kind::Bits(_)
            | Kind::Numbers(_)
            | Kind::Sizes(..)
            | Kind::Trigger
    );
    if !counts {
        return Ok(text.to_owned());
    }
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        let (sign, digits) = word.strip_prefix('-').map_or(("", word), |digits| ("-", digits));
        let octal = digits
            .strip_prefix('0')
            .filter(|rest| !rest.is_empty() && rest.chars().all(|digit| digit.is_ascii_digit()));
        let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
        let number = match (hexadecimal, octal) {
            (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
            (None, Some(_)) if numbers == Numbers::Doubtful => {
                let word = quoted(word);
                return Err(format!(
                    "`{word}` begins with 0: some files take that for octal, others do not"
                ));
            }
            (None, Some(digits)) => u64::from_str_radix(digits, 8).ok(),
            (None, None) => {
                // `+5` and the like are not what the kernel's own parsers take.
                out.push(word.to_owned());
                continue;
            }
        };
        let number = number.ok_or_else(|| format!("`{}` is no number", quoted(word)))?;
        out.push(format!("{sign}{number}"));
    }
    Ok(out.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    fn of(name: &str, text: &str) -> Result<String, String> {
        let setting = Catalogue::built_in().unwrap().get(name).unwrap();
        typed(setting, text, Numbers::C).map(|typed| typed.text)
    }

    #[test]
    fn numbers_are_read_as_the_kernel_reads_them() {
        assert_eq!(of("vm.swappiness", "010").unwrap(), "8");
        assert_eq!(of("vm.swappiness", "0x1F").unwrap(), "31");
        assert_eq!(of("vm.swappiness", " 0 ").unwrap(), "0");
        assert!(of("vm.swappiness", "60 junk").is_err());
        assert!(of("vm.swappiness", "08").is_err());
        assert!(of("vm.swappiness", "").is_err());
        let setting = Catalogue::built_in().unwrap().get("block.nr_requests").unwrap();
        assert!(typed(setting, "010", Numbers::Doubtful).is_err());
        assert_eq!(typed(setting, "10", Numbers::Doubtful).unwrap().text, "10");
    }

    #[test]
    fn values_get_their_units() {
        for (name, text, written) in [
            ("vm.dirty_bytes", "536870912", "512MiB"),
            ("vm.dirty_expire_centisecs", "500", "5s"),
            ("vm.dirty_ratio", "40", "40%"),
            ("kernel.nmi_watchdog", "0", "off"),
            (
                "net.ipv4.tcp_rmem",
                "4096\t131072 6291456",
                "{ min: 4KiB, default: 128KiB, max: 6MiB }",
            ),
            ("kernel.printk", "4 4 1 7", "{ console: 4, default: 4, minimum: 1, boot: 7 }"),
            ("kernel.sched_rt_runtime_us", "-1", "-1us"),
            ("mm.thp.defrag", "defer+madvise", "\"defer+madvise\""),
            ("kernel.core_pattern", "|/bin/x %p \"q\"", "\"|/bin/x %p \\\"q\\\"\""),
        ] {
            assert_eq!(of(name, text).as_deref(), Ok(written), "{name}");
        }
        assert!(of("net.ipv4.tcp_rmem", "4096 131072").is_err());
        assert!(of("kernel.nmi_watchdog", "2").is_err());
    }

    #[test]
    fn values_that_went_have_successors() {
        let setting = Catalogue::built_in().unwrap().get("block.scheduler").unwrap();
        let typed = typed(setting, "deadline", Numbers::Doubtful).unwrap();
        assert_eq!(typed.text, "mq-deadline");
        assert!(typed.note.is_some());
    }
}
