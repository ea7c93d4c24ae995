//! Progress on standard error: bars and spinners on a terminal, plain lines elsewhere.

use std::sync::Mutex;
use std::time::Duration;

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::context::say;
use super::render::{Style, clean};

/// Where progress is shown.
#[derive(Debug)]
pub struct Board(Kind);

#[derive(Debug)]
enum Kind {
    Quiet,
    Plain,
    Live { bars: MultiProgress, style: Style },
}

/// One thing that is being done.
#[derive(Debug)]
pub struct Task {
    name: String,
    kind: TaskKind,
}

#[derive(Debug)]
enum TaskKind {
    Quiet,
    Plain { step: Mutex<String> },
    Live { bar: ProgressBar, bars: MultiProgress, style: Style },
}

impl Board {
    /// Shows nothing but failures.
    pub fn quiet() -> Self {
        Self(Kind::Quiet)
    }

    /// One line for each step.
    pub fn plain() -> Self {
        Self(Kind::Plain)
    }

    /// Lines that move.
    pub fn live(style: Style) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self(Kind::Live { bars, style })
    }

    /// Begins something. A task that is dropped unfinished leaves no line on a terminal.
    pub fn task(&self, name: &str) -> Task {
        let name = clean(name);
        let kind = match &self.0 {
            Kind::Quiet => TaskKind::Quiet,
            Kind::Plain => TaskKind::Plain { step: Mutex::new(String::new()) },
            Kind::Live { bars, style } => {
                let bar = bars.add(ProgressBar::new_spinner());
                bar.set_style(spinner());
                bar.set_prefix(name.clone());
                bar.enable_steady_tick(Duration::from_millis(100));
                TaskKind::Live { bar, bars: bars.clone(), style: *style }
            }
        };
        Task { name, kind }
    }

    /// A remark above what moves.
    pub fn remark(&self, text: &str) {
        match &self.0 {
            Kind::Quiet => {}
            Kind::Plain => say(text),
            // Fails where the terminal is gone.
            Kind::Live { bars, .. } => drop(bars.println(text)),
        }
    }

    /// Something that must be seen even where progress is not.
    pub fn alarm(&self, text: &str) {
        match &self.0 {
            Kind::Quiet => say(text),
            _ => self.remark(text),
        }
    }
}

fn spinner() -> ProgressStyle {
    template("{spinner} {prefix:<10} {wide_msg}")
}

fn bar() -> ProgressStyle {
    template("{spinner} {prefix:<10} {bar:24} {bytes}/{total_bytes}  {wide_msg}")
}

fn template(text: &str) -> ProgressStyle {
    let style =
        ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_spinner());
    style.progress_chars("█▉▊▋▌▍▎▏ ").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

impl Task {
    /// What is done now.
    pub fn now(&self, step: &str) {
        let step = clean(step);
        match &self.kind {
            TaskKind::Quiet => {}
            TaskKind::Plain { step: last } => {
                if let Ok(mut last) = last.lock()
                    && *last != step
                {
                    say(&format!("{}: {step}", self.name));
                    *last = step;
                }
            }
            TaskKind::Live { bar, .. } => {
                bar.set_style(spinner());
                bar.set_message(step);
            }
        }
    }

    /// A line of a machine's console: shown beside the step on a terminal, where it is gone with the
    /// next one; elsewhere it would be noise.
    pub fn console(&self, line: &str) {
        if let TaskKind::Live { bar, .. } = &self.kind {
            bar.set_message(clean(line));
        }
    }

    /// How far it is: bytes; nobody knows the whole where `total` is 0.
    pub fn bytes(&self, done: u64, total: u64) {
        if let TaskKind::Live { bar: line, .. } = &self.kind
            && total > 0
        {
            if line.length() != Some(total) {
                line.set_length(total);
                line.set_style(bar());
            }
            line.set_position(done);
        }
    }

    /// A remark.
    pub fn remark(&self, text: &str) {
        let text = format!("{}: {}", self.name, clean(text));
        match &self.kind {
            TaskKind::Quiet => {}
            TaskKind::Plain { .. } => say(&text),
            // Fails where the terminal is gone.
            TaskKind::Live { bars, .. } => drop(bars.println(text)),
        }
    }

    /// It is done.
    pub fn done(self, text: &str) {
        self.end(text, true);
    }

    /// It went wrong.
    pub fn failed(self, text: &str) {
        self.end(text, false);
    }

    fn end(self, text: &str, good: bool) {
        match &self.kind {
            TaskKind::Quiet => {}
            TaskKind::Plain { .. } => say(&format!("{}: {text}", self.name)),
            TaskKind::Live { bar, bars, style } => {
                let mark = if good { style.good("✔") } else { style.bad("✘") };
                bar.finish_and_clear();
                let _ = bars.println(format!("{mark} {:<10} {text}", self.name));
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let TaskKind::Live { bar, .. } = &self.kind
            && !bar.is_finished()
        {
            bar.finish_and_clear();
        }
    }
}

impl images::progress::Progress for Task {
    fn step(&self, name: &str) {
        self.now(name);
    }

    fn advance(&self, done: u64, total: u64) {
        self.bytes(done, total);
    }

    fn note(&self, text: &str) {
        self.remark(text);
    }
}

/// An amount of bytes, for progress.
pub fn amount(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}
