//! Settings, out of the blocks and branches that they stand in.

use super::of_tree::Reader;
use super::{
    Change, Condition, DeviceKind, Devices, Given, Match, Name, Priority, Statement, Subject,
    Workload,
};
use crate::syntax::ast::{self, Modifiers};

/// What stands around a statement.
#[derive(Clone, Default)]
struct Around {
    /// The names of blocks, from outside in.
    names: Vec<String>,
    devices: Option<Devices>,
    conditions: Vec<Condition>,
}

impl DeviceKind {
    /// The kind of a block.
    pub(crate) fn of_block(word: &str) -> Option<Self> {
        Some(match word {
            "block" => Self::Block,
            "net" => Self::Net,
            "irq" => Self::Irq,
            "cpus" => Self::Cpus,
            "cgroup" => Self::Cgroup,
            _ => return None,
        })
    }

    /// The word that begins such a block.
    pub fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Net => "net",
            Self::Irq => "irq",
            Self::Cpus => "cpus",
            Self::Cgroup => "cgroup",
        }
    }
}

impl Reader {
    /// Adds the settings of a statement of a profile.
    pub(super) fn statement(&mut self, tree: &ast::Statement, out: &mut Vec<Statement>) {
        self.within(tree, &Around::default(), out);
    }

    /// The condition behind a statement.
    pub(super) fn condition(&mut self, tree: Option<ast::Condition>) -> Vec<Condition> {
        let expression = tree.and_then(|tree| self.expression(tree.expression()));
        expression.map(|expression| Condition { expression, negated: false }).into_iter().collect()
    }

    fn within(&mut self, tree: &ast::Statement, around: &Around, out: &mut Vec<Statement>) {
        match tree {
            ast::Statement::Group(group) => {
                let (Some(path), Some(body)) = (group.path(), group.body()) else { return };
                let mut around = around.clone();
                let kind = match path.names().as_slice() {
                    [word] if around.devices.is_none() && around.names.is_empty() => {
                        DeviceKind::of_block(word)
                    }
                    _ => None,
                };
                match kind {
                    Some(kind) => {
                        let selectors = group.selectors();
                        let selectors =
                            selectors.filter_map(|it| self.expression(Some(it))).collect();
                        let span = self.span(&path);
                        around.devices = Some(Devices { kind, selectors, span });
                    }
                    None => around.names.extend(path.names()),
                }
                for statement in body.statements() {
                    self.within(&statement, &around, out);
                }
            }
            ast::Statement::Conditional(conditional) => {
                let mut before = around.clone();
                for branch in conditional.branches() {
                    let condition = self.expression(branch.condition());
                    let mut here = before.clone();
                    match condition {
                        Some(expression) => {
                            let met = Condition { expression: expression.clone(), negated: false };
                            here.conditions.push(met);
                            before.conditions.push(Condition { expression, negated: true });
                        }
                        // A condition that nobody understands: what stands below it is not judged.
                        None if !branch.is_else() => continue,
                        None => {}
                    }
                    for statement in branch.body().iter().flat_map(ast::Body::statements) {
                        self.within(&statement, &here, out);
                    }
                }
            }
            ast::Statement::Setting(setting) => {
                let Some(subject) = self.subject(setting.path(), around) else { return };
                let value = self.given(setting.value());
                let (Some(assignment), Some(given)) = (setting.assignment(), value) else { return };
                let change = Change::Assign(assignment, given);
                let made = self.made(tree, subject, change, setting.modifiers(), around);
                out.push(self.under(made, setting.condition()));
            }
            ast::Statement::Bound(bound) => {
                let Some(subject) = self.subject(bound.path(), around) else { return };
                let Some(given) = self.given(bound.value()) else { return };
                let change = Change::Bound(bound.direction(), given);
                let made = self.made(tree, subject, change, bound.modifiers(), around);
                out.push(self.under(made, bound.condition()));
            }
            ast::Statement::RawSetting(raw) => {
                let Some(file) = self.text(raw.file()) else { return };
                let Some(given) = self.given(raw.value()) else { return };
                let change = Change::Assign(ast::Assignment::Set, given);
                let made = self.made(tree, Subject::Raw(file), change, raw.modifiers(), around);
                out.push(self.under(made, raw.condition()));
            }
            // Where these may stand, the parser has checked; who calls has seen to them.
            ast::Statement::Parameter(_)
            | ast::Statement::Requirement(_)
            | ast::Statement::KernelFilter(_)
            | ast::Statement::Waiver(_)
            | ast::Statement::Workload(_)
            | ast::Statement::Match(_)
            | ast::Statement::Start(_) => {}
        }
    }

    fn subject(&mut self, path: Option<ast::Path>, around: &Around) -> Option<Subject> {
        let Name { text, span } = self.path(path)?;
        let mut names = around.names.clone();
        names.push(text);
        let name = Name { text: names.join("."), span };
        Some(Subject::Setting { name, of: around.devices.clone() })
    }

    fn made(
        &self,
        tree: &ast::Statement,
        subject: Subject,
        change: Change,
        modifiers: Modifiers,
        around: &Around,
    ) -> Statement {
        Statement {
            span: self.span(tree),
            subject,
            change,
            priority: modifiers.priority,
            required: modifiers.required,
            conditions: around.conditions.clone(),
            doc: tree.doc(),
        }
    }

    fn under(&mut self, mut statement: Statement, condition: Option<ast::Condition>) -> Statement {
        statement.conditions.extend(self.condition(condition));
        statement
    }

    fn given(&mut self, tree: Option<ast::Value>) -> Option<Given> {
        match tree? {
            ast::Value::Expression(tree) => self.expression(Some(tree)).map(Given::Expression),
            ast::Value::Record(record) => {
                let mut fields = Vec::new();
                for field in record.fields() {
                    if let (Some(name), Some(given)) =
                        (self.name(field.name()), self.given(field.value()))
                    {
                        fields.push((name, given));
                    }
                }
                let name = self.name_ref(record.name());
                Some(Given::Record { name, fields, span: self.span(&record) })
            }
            ast::Value::Words(words) => {
                let items = words.items().filter_map(|item| self.expression(Some(item))).collect();
                Some(Given::Words(items, self.span(&words)))
            }
        }
    }

    pub(super) fn workload(&mut self, tree: &ast::Workload, doc: String) -> Option<Workload> {
        let mut workload = Workload {
            name: self.name(tree.name())?,
            doc,
            matches: Vec::new(),
            start: None,
            statements: Vec::new(),
        };
        for statement in tree.body().iter().flat_map(ast::Body::statements) {
            match &statement {
                ast::Statement::Match(tree) => {
                    let patterns = tree.patterns().filter_map(|it| self.text(Some(it))).collect();
                    let by = self.name_ref(tree.kind());
                    workload.matches.extend(by.map(|by| Match { by, patterns }));
                }
                ast::Statement::Start(tree) => {
                    let command = tree.command().iter().flat_map(ast::List::elements).collect();
                    let command: Vec<ast::Expression> = command;
                    let command = command.into_iter().filter_map(|it| self.expression(Some(it)));
                    workload.start = Some(command.collect());
                }
                other => self.statement(other, &mut workload.statements),
            }
        }
        Some(workload)
    }
}

impl Statement {
    /// Whether it is only what holds where nobody says anything.
    pub fn is_default(&self) -> bool {
        self.priority == Priority::Default
    }
}
