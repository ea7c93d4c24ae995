//! Scripts: what it takes to understand them, to keep up with an editor, and to bring them into force.

mod applying;
mod keystroke;
mod settings;
mod understanding;

use crate::Bench;

/// Scripts as text: plans, and answers to an editor.
pub fn understood(bench: &Bench) -> String {
    format!("{}\n{}", understanding::run(bench), keystroke::run(bench))
}

/// Scripts in force.
pub fn applied(bench: &Bench) -> String {
    applying::run(bench)
}

/// A figure in milliseconds beside its goal.
fn within(goal_ms: f64, ms: f64) -> String {
    let verdict = if ms < goal_ms { "met" } else { "**not met**" };
    format!("under {goal_ms} ms: {verdict}")
}
