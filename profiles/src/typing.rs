//! What can be said of all expressions without a kernel or a machine.

use crate::composition::{Declared, Library};
use crate::diagnostic::{Diagnostic, Span, codes};
use crate::expression::{self, Expression, Fault, Type};
use crate::facts::{self, About};
use crate::script::{Guard, Policy, Profile, Statement};
use crate::syntax::literal::Dimension;

const TIME: Type = Type::Quantity(Dimension::Time);

/// Tells every expression of the wrong type, every name that does not exist, and every fact that says
/// nothing where it stands.
pub fn check(library: &Library, diagnostics: &mut Vec<Diagnostic>) {
    for profile in library.profiles() {
        // Who extends himself was told already.
        let Ok(family) = library.family(&profile.name.text) else { continue };
        let mut checker = Checker { names: Declared::of(&family), signals: false, diagnostics };
        checker.profile(profile);
    }
    let mut checker = Checker { names: Declared::default(), signals: true, diagnostics };
    for policy in library.policies() {
        checker.policy(policy);
    }
    for guard in library.guards() {
        checker.guard(guard);
    }
}

struct Checker<'d> {
    names: Declared,
    /// Whether facts that change by themselves may be asked for.
    signals: bool,
    diagnostics: &'d mut Vec<Diagnostic>,
}

impl Checker<'_> {
    fn profile(&mut self, profile: &Profile) {
        for parameter in &profile.parameters {
            for expression in parameter.default.iter().chain(&parameter.allowed) {
                self.any(expression);
            }
        }
        for requirement in &profile.requirements {
            self.flag(&requirement.expression);
            for condition in &requirement.conditions {
                self.flag(&condition.expression);
            }
        }
        let workloads = profile.workloads.iter().flat_map(|workload| &workload.statements);
        for statement in profile.statements.iter().chain(workloads) {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        for condition in &statement.conditions {
            self.flag(&condition.expression);
        }
        for expression in statement.change.given().expressions() {
            self.any(expression);
        }
    }

    fn policy(&mut self, policy: &Policy) {
        for rule in &policy.rules {
            for held in std::iter::once(&rule.when).chain(&rule.until) {
                self.flag(&held.condition);
                self.times(held.hold.iter());
            }
            self.times(rule.cooldown.iter().chain(&rule.dwell));
        }
    }

    fn guard(&mut self, guard: &Guard) {
        self.times(guard.confirm.iter());
        for rollback in &guard.rollbacks {
            rollback.condition.iter().for_each(|condition| self.flag(condition));
            self.times(rollback.hold.iter());
        }
    }

    fn times<'e>(&mut self, expressions: impl Iterator<Item = &'e Expression>) {
        expressions.for_each(|expression| self.wanted(expression, &TIME));
    }

    fn flag(&mut self, expression: &Expression) {
        self.wanted(expression, &Type::Flag);
    }

    fn wanted(&mut self, expression: &Expression, wanted: &Type) {
        let found = self.any(expression);
        if !found.fits(wanted) {
            let message = format!("expected {wanted}, and this is {found}");
            self.diagnostics.push(Diagnostic::error(codes::TYPE, expression.span, message));
        }
    }

    fn any(&mut self, expression: &Expression) -> Type {
        let mut faults = Vec::new();
        let found = expression::check(expression, &self.names, &mut faults);
        self.diagnostics.extend(faults.iter().map(Fault::diagnostic));
        for (path, span) in expression.names() {
            self.placed(path, span);
        }
        found
    }

    /// Whether a fact may stand here.
    fn placed(&mut self, path: &[String], span: Span) {
        let Some(fact) = facts::named(path) else { return };
        let why = match fact.about {
            About::Signal if !self.signals => {
                "it changes by itself: policies and guards can ask for it"
            }
            About::Plan => "only the catalogue asks for it",
            _ => return,
        };
        let message = format!("`{}` says nothing here", path.join("."));
        let told = Diagnostic::error(codes::MISPLACED_FACT, span, message);
        self.diagnostics.push(told.label(why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::FileId;
    use crate::script::Script;

    fn told(text: &str) -> Vec<String> {
        let read = Script::read(FileId::default(), text);
        assert!(read.is_ok(), "{:?}", read.diagnostics);
        let (mut library, mut diagnostics) = (Library::default(), Vec::new());
        library.add(read.script, &mut diagnostics);
        check(&library, &mut diagnostics);
        diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect()
    }

    #[test]
    fn expressions_have_the_types_of_their_places() {
        assert_eq!(
            told("profile p { require memory.total }"),
            ["expected a flag, and this is a size"]
        );
        assert_eq!(
            told("profile p { vm.swappiness = 3 if cpus.count }"),
            ["expected a flag, and this is a whole number"]
        );
        assert_eq!(
            told("guard p { confirm within 30 } profile p {}"),
            ["expected a duration, and this is a whole number"]
        );
        assert_eq!(
            told("profile p {} policy { when psi.io.full.avg10 > 5s -> p }"),
            ["`>` is not there for a percentage and a duration"]
        );
        assert_eq!(
            told("profile p { vm.swappiness = memory.totl / 3 }"),
            ["there is no `memory.totl`"]
        );
    }

    #[test]
    fn parameters_are_known_to_children() {
        let text = "profile a { param dirty: bytes = 1GiB } profile b extends a { vm.dirty_bytes = dirty / 2; vm.swappiness = 3 if dirty > 5ms }";
        assert_eq!(told(text), ["`>` is not there for a size and a duration"]);
    }

    #[test]
    fn what_changes_by_itself_is_for_policies() {
        let text = "profile p { vm.swappiness = 3 if psi.cpu.some.avg10 > 5% }";
        assert_eq!(told(text), ["`psi.cpu.some.avg10` says nothing here"]);
        assert_eq!(told("profile p {} policy { when psi.cpu.some.avg10 > 5% -> p }"), [""; 0]);
        assert_eq!(told("profile p {} policy { when time in 22:00..6:00 -> p }"), [""; 0]);
        assert_eq!(told("profile p {} policy { when workload.db.active -> p }"), [""; 0]);
    }
}
