//! From the tree to a [`Script`].

use super::{Guard, Name, Parameter, Policy, Profile, Read, Requirement, Script, Waiver};
use crate::diagnostic::{Diagnostic, FileId, Span, codes};
use crate::expression::{Expression, Fault, Type};
use crate::syntax::ast::{self, AstNode};
use crate::syntax::{self, Parse};

/// What is under way: the file, and what is wrong so far.
pub(super) struct Reader {
    file: FileId,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Script {
    /// Reads a script.
    pub fn read(file: FileId, text: &str) -> Read {
        Self::of(&syntax::parse(file, text))
    }

    /// What a parsed script says. Of what the parser could not read, as much as possible.
    pub fn of(parse: &Parse) -> Read {
        let mut reader = Reader { file: parse.file(), diagnostics: parse.diagnostics().to_vec() };
        let tree = parse.tree();
        let script = Self {
            profiles: tree.profiles().filter_map(|it| reader.profile(&it)).collect(),
            policies: tree.policies().map(|it| Policy::of(&it, &mut reader)).collect(),
            guards: tree.guards().filter_map(|it| Guard::of(&it, &mut reader)).collect(),
        };
        let mut diagnostics = reader.diagnostics;
        diagnostics.sort_by_key(|diagnostic| diagnostic.primary.span.start);
        Read { script, diagnostics, dropped: parse.dropped() }
    }
}

impl Reader {
    pub(super) fn span(&self, part: &impl AstNode) -> Span {
        Span::new(self.file, part.range())
    }

    /// An expression; none where something is wrong with it, which has been told then.
    pub(super) fn expression(&mut self, tree: Option<ast::Expression>) -> Option<Expression> {
        let mut faults = Vec::new();
        let expression = Expression::of(self.file, &tree?, &mut faults);
        self.diagnostics.extend(faults.iter().map(Fault::diagnostic));
        expression
    }

    pub(super) fn name(&self, name: Option<ast::Name>) -> Option<Name> {
        let name = name?;
        Some(Name { text: name.text(), span: self.span(&name) })
    }

    pub(super) fn name_ref(&self, name: Option<ast::NameRef>) -> Option<Name> {
        let name = name?;
        Some(Name { text: name.text(), span: self.span(&name) })
    }

    pub(super) fn path(&self, path: Option<ast::Path>) -> Option<Name> {
        let path = path?;
        Some(Name { text: path.names().join("."), span: self.span(&path) })
    }

    pub(super) fn text(&self, literal: Option<ast::Literal>) -> Option<Name> {
        let literal = literal?;
        Some(Name { text: literal.text()?, span: self.span(&literal) })
    }

    fn profile(&mut self, tree: &ast::Profile) -> Option<Profile> {
        let mut profile = Profile {
            name: self.name(tree.name())?,
            doc: tree.doc(),
            parents: tree.parents().filter_map(|name| self.name_ref(Some(name))).collect(),
            parameters: Vec::new(),
            requirements: Vec::new(),
            statements: Vec::new(),
            waivers: Vec::new(),
            workloads: Vec::new(),
        };
        for statement in tree.statements() {
            match &statement {
                ast::Statement::Parameter(tree) => {
                    profile.parameters.extend(self.parameter(tree, statement.doc()));
                }
                ast::Statement::Requirement(tree) => {
                    let conditions = self.condition(tree.condition());
                    profile.requirements.extend(self.expression(tree.expression()).map(
                        |expression| Requirement {
                            expression,
                            forbids: tree.forbids(),
                            of_kernel: false,
                            conditions,
                        },
                    ));
                }
                ast::Statement::KernelFilter(tree) => {
                    let conditions = self.condition(tree.condition());
                    for clause in tree.clauses() {
                        let comparison = clause.comparison().map(ast::Expression::Binary);
                        profile.requirements.extend(self.expression(comparison).map(
                            |expression| Requirement {
                                expression: expression.with_left_below("kernel"),
                                forbids: false,
                                of_kernel: true,
                                conditions: conditions.clone(),
                            },
                        ));
                    }
                }
                ast::Statement::Waiver(tree) => profile.waivers.extend(self.waiver(tree)),
                ast::Statement::Workload(tree) => {
                    profile.workloads.extend(self.workload(tree, statement.doc()));
                }
                other => self.statement(other, &mut profile.statements),
            }
        }
        Some(profile)
    }

    fn parameter(&mut self, tree: &ast::Parameter, doc: String) -> Option<Parameter> {
        let of = tree.type_ref().and_then(|of| self.type_of(&of));
        Some(Parameter {
            name: self.name(tree.name())?,
            of,
            default: self.expression(tree.default()),
            allowed: self.expression(tree.allowed()),
            doc,
        })
    }

    fn type_of(&mut self, tree: &ast::TypeRef) -> Option<Type> {
        let name = tree.name()?;
        let Some(of) = Type::named(name.text()) else {
            let span = Span::new(self.file, name.text_range());
            let message = format!("there is no type `{}`", name.text());
            let told = Diagnostic::error(codes::UNKNOWN_TYPE, span, message);
            let all = Type::names().collect::<Vec<_>>().join(", ");
            self.diagnostics.push(match notation::closest(name.text(), Type::names()) {
                Some(nearest) => told.fix(format!("did you mean `{nearest}`?"), span, nearest),
                None => told.help(format!("there are {all}")),
            });
            return Some(Type::Unknown);
        };
        Some(if tree.is_list() { Type::List(Box::new(of)) } else { of })
    }

    fn waiver(&mut self, tree: &ast::Waiver) -> Option<Waiver> {
        Some(Waiver {
            class: self.name_ref(tree.class())?,
            setting: self.path(tree.path())?,
            reason: self.text(tree.reason())?.text,
            span: self.span(tree),
        })
    }
}
