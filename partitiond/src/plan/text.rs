//! A plan as people read it.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use boot::units::{Bytes, CpuSet};

use super::{Action, HostChange, Look, Plan, Step};

impl Plan {
    /// The plan as lines, like a diff: `+` starts, `-` stops, `~` changes. Ends with a newline.
    pub fn render(&self, look: Look) -> String {
        let mut out = String::new();
        let width = self.steps.iter().map(|step| step.partition.len()).max().unwrap_or(0);
        for step in &self.steps {
            let (sign, word, style) = sign(step.action);
            let head = format!("{sign} {:width$}  {word:7}", step.partition);
            let _ = writeln!(out, "{}  {}", look.paint(style, &head), details(step, look));
        }
        if !self.steps.is_empty() {
            out.push('\n');
        }
        let host = host(&self.host);
        if !host.is_empty() {
            let _ = writeln!(out, "host {}", host.join("; "));
        }
        out += &self.conclusion();
        out
    }

    fn conclusion(&self) -> String {
        let kept = self.count(Action::Keep);
        if self.is_empty() {
            return match kept {
                0 => "Nothing to do: no partitions are asked for, and none are there.\n".to_owned(),
                1 => "Nothing to do: the partition runs as the file says.\n".to_owned(),
                _ => format!("Nothing to do: {kept} partitions run as the file says.\n"),
            };
        }
        let parts = [
            (Action::Start, "to start"),
            (Action::Restart, "to restart"),
            (Action::Update, "to update"),
            (Action::Stop, "to stop"),
            (Action::Keep, "kept"),
        ];
        let parts = parts.map(|(action, words)| (self.count(action), words));
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, words)| format!("{count} {words}"))
            .collect();
        parts.join(", ") + "\n"
    }
}

fn sign(action: Action) -> (char, &'static str, Style) {
    let color = |color: AnsiColor| color.on_default();
    match action {
        Action::Start => ('+', "start", color(AnsiColor::Green)),
        Action::Restart => ('~', "restart", color(AnsiColor::Yellow)),
        Action::Update => ('~', "update", color(AnsiColor::Cyan)),
        Action::Stop => ('-', "stop", color(AnsiColor::Red)),
        Action::Keep => (' ', "keep", Style::new().dimmed()),
    }
}

fn details(step: &Step, look: Look) -> String {
    if step.changes.is_empty() {
        return step.reason.clone();
    }
    let arrow = look.arrow();
    let changes = step.changes.iter().map(|change| {
        if change.from == change.to {
            format!("{} changed", change.what)
        } else {
            format!("{} {} {arrow} {}", change.what, change.from, change.to)
        }
    });
    changes.collect::<Vec<_>>().join(", ")
}

fn host(host: &HostChange) -> Vec<String> {
    let cpus = |verb: &str, cpus: &CpuSet| {
        let noun = if cpus.len() == 1 { "CPU" } else { "CPUs" };
        (!cpus.is_empty()).then(|| format!("{verb} {noun} {cpus}"))
    };
    let low =
        |verb: &str, amount: Bytes| (amount.0 > 0).then(|| format!("{verb} {amount} below 1 MiB"));
    let mut parts: Vec<String> =
        [cpus("gives", &host.gives_cpus), cpus("gets back", &host.gets_cpus)]
            .into_iter()
            .flatten()
            .collect();
    for change in &host.hugepages {
        let verb = if change.pages > 0 { "reserves" } else { "gives up" };
        let pages = change.pages.unsigned_abs();
        let noun = if pages == 1 { "page" } else { "pages" };
        parts.push(format!("{verb} {pages} {noun} of {} on {}", change.size, change.node));
    }
    let lows = [low("lends", host.gives_low_memory), low("gets back", host.gets_low_memory)];
    parts.extend(lows.into_iter().flatten());
    parts
}
