//! Lines of logs, and events.

use crate::api::{Event, LogEntry};

use super::{Style, clean};

/// A line of a partition's log. The kernel's lines look as dmesg(1) has them; a workload's name, or
/// the keeper's, stands before theirs.
pub fn entry(entry: &LogEntry, style: Style) -> String {
    let text = clean(&entry.text);
    if entry.source == "kernel" {
        let split = text.find(']').filter(|_| text.starts_with('[')).map_or(0, |at| at + 1);
        let (stamp, words) = text.split_at_checked(split).unwrap_or(("", &text));
        return format!("{}{}\n", style.dim(stamp), by_level(entry.level, words, style));
    }
    match entry.source.strip_prefix("workload:") {
        Some(name) => {
            let mark = if entry.level <= 3 { "!" } else { "|" };
            let name = style.bold(&clean(name));
            format!("{name} {mark} {}\n", by_level(entry.level.max(4), &text, style))
        }
        None => format!("{}\n", style.dim(&format!("-- {}: {text}", clean(&entry.source)))),
    }
}

fn by_level(level: u8, text: &str, style: Style) -> String {
    match level {
        0..=3 => style.bad(text),
        4 => style.warn(text),
        7 => style.dim(text),
        _ => text.to_owned(),
    }
}

/// Something that happened, with the last words of a kernel that died.
pub fn event(event: &Event, style: Style) -> String {
    let who = event.partition.as_deref().unwrap_or("machine");
    let kind = match event.kind.as_str() {
        "ready" | "heard-again" | "keeper-adopted" => style.good(&event.kind),
        "ended" | "silent" | "hung" | "warning" | "restarting" => style.warn(&clean(&event.kind)),
        "given-up" | "keeper-lost" => style.bad(&event.kind),
        _ => clean(&event.kind),
    };
    let who = style.bold(&clean(who));
    let mut out =
        format!("{} {who} {kind}: {}\n", style.dim(&time(event.time_ms)), clean(&event.text));
    for words in &event.last_words {
        out += &format!("    {}\n", style.dim(&clean(words)));
    }
    out
}

/// Milliseconds since 1970 as RFC 3339 has them, in UTC.
pub fn time(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (year, month, day) = civil(seconds / 86_400);
    let millis = milliseconds % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The date so many days after 1970-01-01, in the Gregorian calendar. Years begin in March here, so
/// that the leap day is the last of its year; an era has 400 years, which are 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    // Days from 0000-03-01 to 1970-01-01.
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leaps = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on have 153 days in every five.
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era.saturating_mul(400) + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time(seconds * 1000), text);
        }
        // No number of a partition's panics.
        time(u64::MAX);
    }

    #[test]
    fn what_a_partition_says_cannot_steer_the_terminal() {
        let entry = LogEntry {
            time_ms: 0,
            source: "workload:web\x1b[2J".to_owned(),
            level: 6,
            text: "\x1b]0;title\x07 harmless\r".to_owned(),
        };
        let text = super::entry(&entry, Style::PLAIN);
        assert!(!text.trim_end_matches('\n').chars().any(char::is_control), "{text:?}");
    }
}
