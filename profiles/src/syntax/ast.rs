//! The tree with types: a thin view of its nodes, each accessor the place of one part in a rule of
//! the grammar.
//!
//! Everything may be missing from a script with errors, so every accessor returns an option or an
//! iterator.

mod script;
mod statement;
mod value;
mod workload;

use rowan::{TextRange, TextSize};

pub use script::{
    Confirm, Extends, Guard, GuardStatement, Policy, PolicyDefault, PolicyStatement, Profile,
    Rollback, Rule, SourceFile, Target, Until,
};
pub use statement::{
    Assignment, Body, Bound, Branch, Condition, Conditional, Direction, Duration, Group,
    KernelClause, KernelFilter, Modifiers, Parameter, Priority, RawSetting, Requirement, Setting,
    Statement, TypeRef, Waiver,
};
pub use value::{
    Binary, BinaryOperator, Call, CpuList, Expression, Field, List, Literal, Parenthesised,
    Partial, Path, Range, Record, Unary, UnaryOperator, Value, Words,
};
pub use workload::{Match, Start, Workload};

use super::kind::{SyntaxKind, SyntaxNode, SyntaxToken};

/// A node of a known kind, or of one of several.
pub trait AstNode: Sized {
    /// The node with its type, if it has this one.
    fn cast(node: SyntaxNode) -> Option<Self>;

    /// The node without its type.
    fn syntax(&self) -> &SyntaxNode;

    /// Its bytes, without the doc comments that it begins with.
    fn range(&self) -> TextRange {
        let node = self.syntax();
        let first = node.children_with_tokens().find(|part| !part.kind().is_trivia());
        let start = first.map_or(node.text_range().start(), |part| part.text_range().start());
        TextRange::new(start, node.text_range().end())
    }
}

/// Declares types for nodes of one kind each.
macro_rules! nodes {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name($crate::syntax::SyntaxNode);

        impl $crate::syntax::ast::AstNode for $name {
            fn cast(node: $crate::syntax::SyntaxNode) -> Option<Self> {
                (node.kind() == $crate::syntax::SyntaxKind::$name).then_some(Self(node))
            }

            fn syntax(&self) -> &$crate::syntax::SyntaxNode {
                &self.0
            }
        }
    )*};
}

/// Declares a type for nodes of one of several types.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$each])* $variant($variant),)*
        }

        impl $crate::syntax::ast::AstNode for $name {
            fn cast(node: $crate::syntax::SyntaxNode) -> Option<Self> {
                $(if let Some(node) = $variant::cast(node.clone()) {
                    return Some(Self::$variant(node));
                })*
                None
            }

            fn syntax(&self) -> &$crate::syntax::SyntaxNode {
                match self {
                    $(Self::$variant(node) => node.syntax(),)*
                }
            }
        }
    };
}

use {choice, nodes};

nodes! {
    /// A name where it is given.
    Name;
    /// A name that refers to something.
    NameRef;
}

impl Name {
    /// The name.
    pub fn text(&self) -> String {
        self.0.text().to_string()
    }
}

impl NameRef {
    /// The name.
    pub fn text(&self) -> String {
        self.0.text().to_string()
    }
}

/// The first child of a type.
fn child<N: AstNode>(node: &SyntaxNode) -> Option<N> {
    children(node).next()
}

/// All children of a type.
fn children<N: AstNode>(node: &SyntaxNode) -> impl Iterator<Item = N> + use<N> {
    node.children().filter_map(N::cast)
}

/// The tokens that are direct parts of a node, without spaces and comments.
fn tokens(node: &SyntaxNode) -> impl Iterator<Item = SyntaxToken> + use<> {
    let tokens = node.children_with_tokens().filter_map(rowan::NodeOrToken::into_token);
    tokens.filter(|token| !token.kind().is_trivia())
}

/// The first token of a kind.
fn token(node: &SyntaxNode, kind: SyntaxKind) -> Option<SyntaxToken> {
    tokens(node).find(|token| token.kind() == kind)
}

/// Whether a keyword is a direct part of a node.
fn has_keyword(node: &SyntaxNode, word: &str) -> bool {
    tokens(node).any(|token| token.kind() == SyntaxKind::Keyword && token.text() == word)
}

/// The first child of a type that begins behind a place.
fn child_behind<N: AstNode>(node: &SyntaxNode, place: TextSize) -> Option<N> {
    children(node).find(|child: &N| child.syntax().text_range().start() >= place)
}

/// The first child of a type that ends before a place.
fn child_before<N: AstNode>(node: &SyntaxNode, place: TextSize) -> Option<N> {
    children(node).find(|child: &N| child.syntax().text_range().end() <= place)
}

/// The doc comments of a statement, one line each, without `///`; empty where it has none.
pub(super) fn doc(node: &SyntaxNode) -> String {
    let before = node.children_with_tokens().take_while(|part| part.kind().is_trivia());
    let lines = before.filter(|part| part.kind() == SyntaxKind::DocComment);
    let lines = lines.filter_map(rowan::NodeOrToken::into_token).map(|line| {
        let text = line.text().trim_start_matches('/');
        text.strip_prefix(' ').unwrap_or(text).trim_end().to_owned()
    });
    lines.collect::<Vec<String>>().join("\n")
}
