//! systemd.resource-control(5): limits of units, as drop-ins.

use super::{Entry, Lines, Obstacle, commented};

/// Files of a control group whose value a directive takes as it is, but for `max`, which is `infinity`.
const SAME: &[(&str, &str)] = &[
    ("cpu.weight", "CPUWeight"),
    ("cpuset.cpus", "AllowedCPUs"),
    ("cpuset.mems", "AllowedMemoryNodes"),
    ("io.weight", "IOWeight"),
    ("memory.min", "MemoryMin"),
    ("memory.low", "MemoryLow"),
    ("memory.high", "MemoryHigh"),
    ("memory.max", "MemoryMax"),
    ("memory.swap.max", "MemorySwapMax"),
    ("memory.zswap.max", "MemoryZSwapMax"),
    ("pids.max", "TasksMax"),
];

pub(super) fn lines(name: &str, group: &str, file: &str, entry: &Entry) -> Result<Lines, Obstacle> {
    let unit = group.trim_matches('/').rsplit('/').next().unwrap_or_default();
    let section = match unit.rsplit_once('.') {
        Some(("", _)) => None,
        Some((_, "slice")) => Some("Slice"),
        Some((_, "service")) => Some("Service"),
        Some((_, "scope")) => Some("Scope"),
        _ => None,
    };
    let section = section.ok_or("only slices, services and scopes of systemd have drop-ins")?;
    let is_plain = |char: char| char.is_ascii_alphanumeric() || ":_.@\\-".contains(char);
    if !unit.chars().all(is_plain) || unit.len() > 255 {
        return Err("this is no name of a unit".to_owned());
    }
    let directives = directives(file, entry.value.trim())?;
    let lines = commented(entry, &format!("[{section}]\n{directives}"));
    Ok(Lines { path: format!("/etc/systemd/system/{unit}.d/60-{name}.conf"), lines })
}

fn directives(file: &str, value: &str) -> Result<String, Obstacle> {
    // Weights read back with that word.
    let value = value.strip_prefix("default ").unwrap_or(value);
    let is_plain = |char: char| char.is_ascii_alphanumeric() || ",- ".contains(char);
    if value.is_empty() || !value.chars().all(is_plain) {
        return Err("this is no value of a limit".to_owned());
    }
    if file == "cpu.max" {
        return quota(value);
    }
    let known = SAME.iter().find(|(own, _)| *own == file);
    let (_, directive) = known.ok_or("systemd has no directive for it")?;
    let value = if value == "max" { "infinity" } else { value };
    Ok(format!("{directive}={value}"))
}

/// `quota period`, in microseconds, is a share of the period.
fn quota(value: &str) -> Result<String, Obstacle> {
    let no_quota = || "this is no quota and period in microseconds".to_owned();
    let (quota, period) = value.split_once(' ').ok_or_else(no_quota)?;
    let period: u64 = period.trim().parse().map_err(|_| no_quota())?;
    if quota == "max" {
        // An empty value takes an earlier one back.
        return Ok("CPUQuota=".to_owned());
    }
    let quota: u64 = quota.parse().map_err(|_| no_quota())?;
    // systemd keeps hundredths of a percent.
    let share = quota.checked_mul(10_000).ok_or_else(no_quota)?;
    match share.checked_rem(period) {
        Some(0) if share > 0 => {
            let share = share / period;
            let percent = match share % 100 {
                0 => format!("{}%", share / 100),
                rest => format!("{}.{rest:02}%", share / 100),
            };
            Ok(format!("CPUQuota={percent}\nCPUQuotaPeriodSec={period}us"))
        }
        _ => {
            Err("this share of the period is no whole number of hundredths of a percent".to_owned())
        }
    }
}
