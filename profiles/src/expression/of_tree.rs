//! From the tree to meaning.

use super::cpus::Cpus;
use super::fault::{Fault, FaultKind};
use super::function::Function;
use super::value::Value;
use super::{Expression, Node};
use crate::diagnostic::{FileId, Span};
use crate::syntax::ast::{self, AstNode};

impl Expression {
    /// What a part of a tree means. None where the parser has said already what is wrong with it;
    /// other faults go to `faults`.
    pub fn of(file: FileId, tree: &ast::Expression, faults: &mut Vec<Fault>) -> Option<Self> {
        let span = Span::new(file, tree.range());
        let mut part = |tree: Option<ast::Expression>| Self::of(file, &tree?, faults).map(Box::new);
        let node = match tree {
            ast::Expression::Literal(literal) => Node::Value(Value::of_literal(literal.value()?)),
            ast::Expression::CpuList(list) => {
                Node::Value(Value::Cpus(list.ranges().flatten().collect::<Cpus>()))
            }
            ast::Expression::Path(path) => {
                let names = path.names();
                match names.as_slice() {
                    [] => return None,
                    [word] if word == "true" => Node::Value(Value::Flag(true)),
                    [word] if word == "false" => Node::Value(Value::Flag(false)),
                    _ => Node::Name(names),
                }
            }
            ast::Expression::Parenthesised(inner) => return part(inner.expression()).map(|it| *it),
            ast::Expression::Unary(unary) => Node::Unary(unary.operator()?, part(unary.operand())?),
            ast::Expression::Binary(binary) => {
                let (left, right) = (part(binary.left()), part(binary.right()));
                Node::Binary(binary.operator()?, left?, right?)
            }
            ast::Expression::Range(range) => {
                let (start, end) = (range.start().map(|it| part(Some(it))), range.end());
                let end = end.map(|it| part(Some(it)));
                let whole = |end: Option<Option<Box<Self>>>| match end {
                    Some(None) => None,
                    Some(Some(end)) => Some(Some(end)),
                    None => Some(None),
                };
                Node::Range(whole(start)?, whole(end)?)
            }
            ast::Expression::List(list) => Node::List(all(file, list.elements(), faults)?),
            ast::Expression::Call(call) => {
                let arguments = all(file, call.arguments(), faults)?;
                let name = call.function()?;
                let Some(function) = Function::named(&name.text()) else {
                    let span = Span::new(file, name.range());
                    let nearest = notation::closest(&name.text(), Function::names());
                    faults.push(Fault::new(span, FaultKind::NoSuchFunction(name.text(), nearest)));
                    return None;
                };
                Node::Call(function, arguments)
            }
        };
        Some(Self { span, node })
    }
}

fn all(
    file: FileId,
    trees: impl Iterator<Item = ast::Expression>,
    faults: &mut Vec<Fault>,
) -> Option<Vec<Expression>> {
    // Each is looked at, so that each is complained about.
    let parts: Vec<_> = trees.map(|tree| Expression::of(file, &tree, faults)).collect();
    parts.into_iter().collect()
}
