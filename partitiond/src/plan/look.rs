//! How something is drawn.

use anstyle::{AnsiColor, Style};

/// How something is drawn on this terminal, or on none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether colours may be used.
    pub color: bool,
    /// Whether only ASCII may be used.
    pub ascii: bool,
    /// Columns.
    pub width: usize,
}

impl Default for Look {
    /// Plain text of 80 columns.
    fn default() -> Self {
        Self { color: false, ascii: false, width: 80 }
    }
}

impl Look {
    /// `text` in a colour.
    pub fn paint(&self, style: Style, text: &str) -> String {
        if self.color && !style.is_plain() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    /// `from → to`
    pub fn arrow(&self) -> &'static str {
        if self.ascii { "->" } else { "→" }
    }
}

/// A colour for the partition at `index` in the order of names.
pub fn partition_style(index: usize) -> Style {
    const COLORS: [AnsiColor; 6] = [
        AnsiColor::Cyan,
        AnsiColor::Yellow,
        AnsiColor::Green,
        AnsiColor::Magenta,
        AnsiColor::Blue,
        AnsiColor::Red,
    ];
    COLORS.get(index % COLORS.len()).map_or_else(Style::new, |color| color.on_default())
}
