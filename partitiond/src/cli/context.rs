//! What holds for one run of the command: its global options and its terminal.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::board::Board;
use super::exit::Failure;
use super::render::Style;
use super::table::{Format, Global, When};
use crate::api::SOCKET;

/// What holds for one run of the command.
#[derive(Debug)]
pub struct Context {
    global: Global,
    out: Style,
    err: Style,
}

impl Context {
    /// Finds out what the terminal can do.
    pub fn new(global: Global) -> Self {
        let style = |terminal: bool| Style::new(color(global.color, terminal, no_color()));
        Self {
            out: style(std::io::stdout().is_terminal()),
            err: style(std::io::stderr().is_terminal()),
            global,
        }
    }

    /// The global options.
    pub fn global(&self) -> &Global {
        &self.global
    }

    /// Whether data is for programs.
    pub fn json(&self) -> bool {
        self.global.format == Format::Json
    }

    /// Whether what is wrong with scripts is told as SARIF.
    pub fn sarif(&self) -> bool {
        self.global.format == Format::Sarif
    }

    /// How text on standard output looks.
    pub fn out(&self) -> Style {
        self.out
    }

    /// How text on standard error looks.
    pub fn err(&self) -> Style {
        self.err
    }

    /// The supervisor's socket on this machine.
    pub fn socket(&self) -> PathBuf {
        self.global.socket.clone().unwrap_or_else(|| Path::new(SOCKET).to_owned())
    }

    /// A board on which progress is shown.
    pub fn board(&self) -> Board {
        if self.global.quiet {
            Board::quiet()
        } else if std::io::stderr().is_terminal() {
            Board::live(self.err)
        } else {
            Board::plain()
        }
    }

    /// A remark on standard error.
    pub fn remark(&self, text: &str) {
        if !self.global.quiet {
            say(text);
        }
    }

    /// Something that went wrong, on standard error.
    pub fn report(&self, failure: &Failure) {
        say(&failure_text(failure, self.err));
    }
}

/// A failure as people read it.
pub fn failure_text(failure: &Failure, style: Style) -> String {
    let mut text = match failure.message.strip_prefix('\n') {
        // It brings its own headings.
        Some(rendered) => rendered.to_owned(),
        None if failure.message.is_empty() || failure.message.starts_with("error") => {
            failure.message.clone()
        }
        None => format!("{} {}", style.bad("error:"), failure.message),
    };
    if let Some(hint) = &failure.hint {
        text += &format!("\n  {} {hint}", style.good("→"));
    }
    text
}

/// A line on standard error. Where that cannot be written, nobody is there to be told.
pub fn say(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// <https://no-color.org>: set and not empty.
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn color(when: When, terminal: bool, no_color: bool) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => terminal && !no_color,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_counts_unless_colour_is_asked_for() {
        assert!(color(When::Auto, true, false));
        assert!(!color(When::Auto, true, true));
        assert!(!color(When::Auto, false, false));
        assert!(color(When::Always, false, true));
        assert!(!color(When::Never, true, false));
    }

    #[test]
    fn a_hint_stands_behind_its_failure() {
        let failure = Failure::failed("no memory").hint("add some");
        assert_eq!(failure_text(&failure, Style::PLAIN), "error: no memory\n  → add some");
        assert_eq!(failure_text(&Failure::silent(141), Style::PLAIN), "");
    }
}
