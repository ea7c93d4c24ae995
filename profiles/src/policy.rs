//! When to switch: policies as state machines.
//!
//! | state | what is waited for | then |
//! |---|---|---|
//! | the default | the first rule whose condition has held for its `for`, and whose cooldown is over | that rule |
//! | a rule | an earlier rule that is due, and the end of `dwell` | the earlier rule |
//! | a rule | its `until` has held for its `for` (without one: its condition holds no longer), and the end of `dwell` | the first rule that is due, or the default |
//!
//! Rules stand in order: the first that is due counts. A rule that was left begins its `cooldown`. A condition
//! over a signal that is not known does not hold, and that is told.
//!
//! Time and signals are given, so the same trace always gives the same switches: [`simulate`] replays one.

mod compiled;
#[cfg(test)]
mod tests;
mod trace;

use std::time::Duration;

pub(crate) use compiled::duration;
pub use compiled::{Compiled, CompiledRule, compile};
pub use trace::{Moment, Trace, TraceError};

use crate::expression::{Expression, Scope, Value, evaluate};

/// Where a policy stands, and since when.
#[derive(Clone, Debug)]
pub struct Machine<'p> {
    policy: &'p Compiled,
    state: State,
    rules: Vec<RuleState>,
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The default.
    Default,
    /// What a rule says, since then; its end has been in sight since the second time.
    Rule { index: usize, since: Duration, ending: Option<Duration> },
}

/// What is remembered of a rule.
#[derive(Clone, Copy, Debug, Default)]
struct RuleState {
    /// Since when its condition holds.
    holds: Option<Duration>,
    /// Until when it may not be entered.
    cools_until: Option<Duration>,
}

/// A decision to switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// When, by the clock of whoever asks.
    pub at: Duration,
    /// Which rule runs now; none: the default.
    pub to: Option<usize>,
    /// Which rule ran before.
    pub from: Option<usize>,
    /// Why, for people.
    pub why: String,
}

impl<'p> Machine<'p> {
    /// A policy that runs its default.
    pub fn new(policy: &'p Compiled) -> Self {
        let rules = vec![RuleState::default(); policy.rules.len()];
        Self { policy, state: State::Default, rules }
    }

    /// A policy that is taken up while this rule runs; none: the default. Its dwell begins anew.
    pub fn resumed(policy: &'p Compiled, current: Option<usize>, now: Duration) -> Self {
        let state = match current.filter(|index| *index < policy.rules.len()) {
            None => State::Default,
            Some(index) => State::Rule { index, since: now, ending: None },
        };
        Self { state, ..Self::new(policy) }
    }

    /// The rule that runs; none: the default.
    pub fn current(&self) -> Option<usize> {
        match self.state {
            State::Default => None,
            State::Rule { index, .. } => Some(index),
        }
    }

    /// Looks at the signals of a moment; `now` never goes back.
    pub fn step(&mut self, now: Duration, signals: &dyn Scope) -> Option<Switch> {
        for (rule, state) in self.policy.rules.iter().zip(&mut self.rules) {
            state.holds = match holds(&rule.when, signals) {
                true => state.holds.or(Some(now)),
                false => None,
            };
        }
        let due = self.due(now);
        match self.state {
            State::Default => {
                let to = due?;
                Some(self.enter(now, Some(to), self.because(to)))
            }
            State::Rule { index, since, ending } => {
                let rule = self.policy.rules.get(index)?;
                let over = match &rule.until {
                    Some(until) => holds(until, signals),
                    None => self.rules.get(index).is_none_or(|state| state.holds.is_none()),
                };
                let ending = if over { ending.or(Some(now)) } else { None };
                self.state = State::Rule { index, since, ending };
                if now.saturating_sub(since) < rule.dwell {
                    return None;
                }
                if let Some(to) = due.filter(|to| *to < index) {
                    return Some(self.enter(now, Some(to), self.because(to)));
                }
                let long_enough =
                    ending.is_some_and(|since| now.saturating_sub(since) >= rule.until_hold);
                if !long_enough {
                    return None;
                }
                let (to, why) = match due.filter(|to| *to != index) {
                    Some(to) => (Some(to), self.because(to)),
                    None => (None, format!("{} is over", rule.told)),
                };
                Some(self.enter(now, to, why))
            }
        }
    }

    /// The first rule that is due. The one that runs is due for as long as it holds, without cooldown.
    fn due(&self, now: Duration) -> Option<usize> {
        let is_due = |(rule, state): (&CompiledRule, &RuleState)| {
            let long_enough =
                state.holds.is_some_and(|since| now.saturating_sub(since) >= rule.hold);
            let cool = state.cools_until.is_none_or(|until| now >= until);
            long_enough && cool
        };
        self.policy.rules.iter().zip(&self.rules).position(is_due)
    }

    fn because(&self, rule: usize) -> String {
        self.policy.rules.get(rule).map(|rule| rule.told.clone()).unwrap_or_default()
    }

    fn enter(&mut self, now: Duration, to: Option<usize>, why: String) -> Switch {
        let from = self.current();
        if let Some(left) = from
            && let (Some(rule), Some(state)) =
                (self.policy.rules.get(left), self.rules.get_mut(left))
        {
            state.cools_until = now.checked_add(rule.cooldown);
        }
        self.state = match to {
            None => State::Default,
            Some(index) => State::Rule { index, since: now, ending: None },
        };
        Switch { at: now, to, from, why }
    }
}

/// Whether a condition holds; what is not known does not.
fn holds(condition: &Expression, signals: &dyn Scope) -> bool {
    matches!(evaluate(condition, signals), Ok(Value::Flag(true)))
}

/// What a policy would have done over a recorded time.
pub fn simulate(policy: &Compiled, trace: &Trace) -> Vec<Switch> {
    let mut machine = Machine::new(policy);
    trace.moments.iter().filter_map(|moment| machine.step(moment.at, moment)).collect()
}
