//! Text for people out of data. Nothing here reads or writes anything.

mod details;
mod log;
mod machine;
mod overview;
mod table;

pub use details::details;
pub use log::{entry, event};
pub use machine::{headline, obstacles};
pub use overview::{Outcome, outcome, overview, state};
pub use table::Table;

use anstyle::AnsiColor;

use crate::api::PartitionStatus;
use crate::plan::Look;

/// How text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    color: bool,
}

impl Style {
    /// No colours.
    pub const PLAIN: Self = Self { color: false };

    /// With colours, or without.
    pub fn new(color: bool) -> Self {
        Self { color }
    }

    /// Whether there are colours.
    pub fn color(self) -> bool {
        self.color
    }

    fn paint(self, style: anstyle::Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// All is well.
    pub fn good(self, text: &str) -> String {
        self.paint(AnsiColor::Green.on_default(), text)
    }

    /// Something went wrong.
    pub fn bad(self, text: &str) -> String {
        self.paint(AnsiColor::Red.on_default().bold(), text)
    }

    /// Something deserves a look.
    pub fn warn(self, text: &str) -> String {
        self.paint(AnsiColor::Yellow.on_default(), text)
    }

    /// What stands out.
    pub fn bold(self, text: &str) -> String {
        self.paint(anstyle::Style::new().bold(), text)
    }

    /// What stands back.
    pub fn dim(self, text: &str) -> String {
        self.paint(anstyle::Style::new().dimmed(), text)
    }

    /// As plans and maps are drawn.
    pub fn look(self, width: usize) -> Look {
        Look { color: self.color, ascii: false, width }
    }
}

/// Text from a partition, fit for a terminal: what would move its cursor, change its colours or turn
/// its text around is shown as a stand-in instead of obeyed.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|char| match char {
            '\t' => '\t',
            '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + char as u32).unwrap_or('\u{fffd}'),
            '\u{7f}' => '\u{2421}',
            '\u{80}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}' => '\u{fffd}',
            char => char,
        })
        .collect()
}

/// `3.1 s`, `2 min 5 s`
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..60 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A kernel's release without what every one of Debian's has: `6.12.117+deb12-rt-amd64` is
/// `6.12.117-rt`.
pub fn short_kernel(release: &str) -> String {
    let release = release.strip_suffix("-amd64").unwrap_or(release);
    let short = match release.split_once("+deb") {
        Some((version, rest)) => {
            format!("{version}{}", rest.trim_start_matches(|char: char| char.is_ascii_digit()))
        }
        None => release.to_owned(),
    };
    clean(&short)
}

/// `cpu 2`, `cpu 2-5`, `2 shared`
pub fn cpus(status: &PartitionStatus) -> String {
    match status.shared_cpus {
        Some(count) => format!("{count} shared"),
        None if status.cpus.is_empty() => "—".to_owned(),
        None => format!("cpu {}", status.cpus),
    }
}
