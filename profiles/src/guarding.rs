//! When a guard undoes its profile: a decision over time and signals, without a clock of its own.
//!
//! Until somebody confirms the profile, each of a guard's reasons counts, and the end of `confirm within`.
//! Without `confirm within` there is nothing to confirm, and its reasons count for as long as the profile is in
//! force. A condition over a signal that is not known does not hold.

use std::time::Duration;

use crate::diagnostic::{Diagnostic, Sources};
use crate::expression::{Expression, Scope, Value, evaluate};
use crate::policy::duration;
use crate::script::Guard;

/// A guard with its times worked out.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// How long to wait for somebody.
    pub confirm_within: Option<Duration>,
    /// Reasons to undo the profile.
    pub reasons: Vec<Reason>,
}

/// A reason to undo a profile.
#[derive(Clone, Debug)]
pub struct Reason {
    /// The condition; none: the kernel does not answer.
    pub condition: Option<Expression>,
    /// For how long it has to hold.
    pub hold: Duration,
    /// As it stands in the script.
    pub told: String,
}

/// Works out a guard's times. Reasons with wrong ones are left out, and told.
pub fn compile(guard: &Guard, sources: &Sources, diagnostics: &mut Vec<Diagnostic>) -> Watched {
    let confirm_within =
        guard.confirm.as_ref().and_then(|expression| duration(expression, diagnostics));
    let reasons = guard.rollbacks.iter().filter_map(|rollback| {
        let hold = match &rollback.hold {
            None => Duration::ZERO,
            Some(expression) => duration(expression, diagnostics)?,
        };
        let text =
            sources.get(rollback.span.file).and_then(|it| it.text().get(rollback.span.range()));
        let told = text.unwrap_or("a reason").split_whitespace().collect::<Vec<_>>().join(" ");
        Some(Reason { condition: rollback.condition.clone(), hold, told })
    });
    Watched { confirm_within, reasons: reasons.collect() }
}

/// A guard that watches, since its profile came into force.
#[derive(Clone, Debug)]
pub struct Watch {
    guard: Watched,
    since: Duration,
    holding: Vec<Option<Duration>>,
}

impl Watch {
    /// Begins at this time, by the clock of whoever asks.
    pub fn new(guard: Watched, now: Duration) -> Self {
        let holding = vec![None; guard.reasons.len()];
        Self { guard, since: now, holding }
    }

    /// How long there is still to confirm; none where that is not waited for.
    pub fn left(&self, now: Duration) -> Option<Duration> {
        let within = self.guard.confirm_within?;
        Some(within.saturating_sub(now.saturating_sub(self.since)))
    }

    /// Looks at a moment, which never lies before the last one; `signals` are none where the kernel did
    /// not answer. Gives the reason to undo the profile, if there is one.
    pub fn step(&mut self, now: Duration, signals: Option<&dyn Scope>) -> Option<String> {
        for (reason, holding) in self.guard.reasons.iter().zip(&mut self.holding) {
            let holds = match (&reason.condition, signals) {
                (None, signals) => signals.is_none(),
                (Some(condition), Some(signals)) => {
                    matches!(evaluate(condition, signals), Ok(Value::Flag(true)))
                }
                // It neither began nor ended to hold, as far as can be known.
                (Some(_), None) => holding.is_some(),
            };
            *holding = if holds { holding.or(Some(now)) } else { None };
            if holding.is_some_and(|since| now.saturating_sub(since) >= reason.hold) {
                return Some(reason.told.clone());
            }
        }
        let is_late = self.left(now).is_some_and(|left| left.is_zero());
        let within = self.guard.confirm_within.filter(|_| is_late)?;
        Some(format!("nobody confirmed it within {} s", within.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::FileId;
    use crate::diagnostic::Source;
    use crate::expression::Found;
    use crate::script::Script;

    /// A load of so much.
    struct Load(i128);

    impl Scope for Load {
        fn find(&self, path: &[String]) -> Found {
            match path.join(".").as_str() {
                "tasks.running" => Found::Value(Value::Number(self.0)),
                _ => Found::NotKnownHere,
            }
        }
    }

    fn watch(body: &str) -> Watch {
        let text = format!("profile p {{ vm.swappiness = 3 }}\nguard p {{\n{body}\n}}\n");
        let mut sources = Sources::new();
        let file: FileId = sources.add(Source::new("g.ks", &text));
        let read = Script::read(file, &text);
        assert!(read.is_ok(), "{:?}", read.diagnostics);
        let mut diagnostics = Vec::new();
        let guard = compile(&read.script.guards[0], &sources, &mut diagnostics);
        assert!(diagnostics.is_empty());
        Watch::new(guard, Duration::from_secs(100))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(100 + seconds)
    }

    #[test]
    fn nobody_confirms() {
        let mut watch = watch("confirm within 30s");
        assert_eq!(watch.step(at(29), Some(&Load(0))), None);
        assert_eq!(watch.left(at(29)), Some(Duration::from_secs(1)));
        let why = watch.step(at(30), Some(&Load(0))).unwrap();
        assert_eq!(why, "nobody confirmed it within 30 s");
    }

    #[test]
    fn a_reason_has_to_hold_without_a_break() {
        let mut watch = watch("rollback if tasks.running > 5 for 4s");
        let mut seen = Vec::new();
        for (second, load) in [(0, 9), (3, 9), (4, 1), (5, 9), (8, 9), (9, 9)] {
            seen.push(watch.step(at(second), Some(&Load(load))).is_some());
        }
        assert_eq!(seen, [false, false, false, false, false, true]);
        assert_eq!(watch.left(at(9)), None);
    }

    #[test]
    fn no_answer_is_a_reason_only_where_the_guard_says_so() {
        let mut watch =
            watch("rollback if unreachable for 3s\nrollback if tasks.running > 5 for 1s");
        let steps: Vec<Option<String>> = [
            (0, Some(9)), // the load's second begins
            (1, None),    // and is not broken by silence
        ]
        .into_iter()
        .map(|(second, load): (u64, Option<i128>)| {
            let load = load.map(Load);
            watch.step(at(second), load.as_ref().map(|load| load as &dyn Scope))
        })
        .collect();
        assert_eq!(steps[0], None);
        assert_eq!(steps[1].as_deref(), Some("rollback if tasks.running > 5 for 1s"));

        let mut watch = self::watch("rollback if unreachable for 3s");
        assert_eq!(watch.step(at(0), None), None);
        assert_eq!(watch.step(at(2), Some(&Load(0))), None);
        assert_eq!(watch.step(at(3), None), None);
        assert!(watch.step(at(6), None).is_some());
    }
}
