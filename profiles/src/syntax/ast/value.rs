//! Expressions, and the values that are none.

use super::{
    AstNode, Name, NameRef, child, child_before, child_behind, children, choice, nodes, token,
    tokens,
};
use crate::syntax::kind::{SyntaxKind, SyntaxNode, SyntaxToken};
use crate::syntax::literal;

nodes! {
    /// `memory.total`
    Path;
    /// `512MiB`
    Literal;
    /// `2-3,6`
    CpuList;
    /// `a + b`
    Binary;
    /// `< 5%`
    Partial;
    /// `-a`, `not a`
    Unary;
    /// `a..b`, `a..`, `..b`; both ends belong to it.
    Range;
    /// `(a)`
    Parenthesised;
    /// `[a, b]`
    List;
    /// `min(a, b)`
    Call;
    /// What stands between its parentheses.
    Arguments;
    /// `bytes { limit: a, background: b }`
    Record;
    /// `limit: a`
    Field;
    /// `batch nice 0`
    Words;
}

choice! {
    /// An expression.
    Expression {
        /// A number or text.
        Literal,
        /// CPUs by number.
        CpuList,
        /// A parameter, a fact, or a word that the setting knows.
        Path,
        /// A function of other values.
        Call,
        /// Several values.
        List,
        /// A value in parentheses.
        Parenthesised,
        /// A sign or a negation.
        Unary,
        /// An operation.
        Binary,
        /// All values between two.
        Range,
    }
}

/// What a setting can be set to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// One value.
    Expression(Expression),
    /// Several values with names.
    Record(Record),
    /// Names and literals in a row.
    Words(Words),
}

impl AstNode for Value {
    fn cast(node: SyntaxNode) -> Option<Self> {
        match node.kind() {
            SyntaxKind::Record => Record::cast(node).map(Self::Record),
            SyntaxKind::Words => Words::cast(node).map(Self::Words),
            _ => Expression::cast(node).map(Self::Expression),
        }
    }

    fn syntax(&self) -> &SyntaxNode {
        match self {
            Self::Expression(node) => node.syntax(),
            Self::Record(node) => node.syntax(),
            Self::Words(node) => node.syntax(),
        }
    }
}

/// What is done with two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOperator {
    /// `or`
    Or,
    /// `and`
    And,
    /// `in`
    In,
    /// `not in`
    NotIn,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `+`: sum, or union.
    Add,
    /// `-`: difference, of sets too.
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `&`
    Intersect,
}

/// What is done with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOperator {
    /// `-`
    Negate,
    /// `not`
    Not,
}

fn operator(token: &SyntaxToken) -> Option<BinaryOperator> {
    Some(match token.kind() {
        SyntaxKind::EqualsEquals => BinaryOperator::Equal,
        SyntaxKind::NotEquals => BinaryOperator::NotEqual,
        SyntaxKind::Less => BinaryOperator::Less,
        SyntaxKind::LessEquals => BinaryOperator::LessOrEqual,
        SyntaxKind::Greater => BinaryOperator::Greater,
        SyntaxKind::GreaterEquals => BinaryOperator::GreaterOrEqual,
        SyntaxKind::Plus => BinaryOperator::Add,
        SyntaxKind::Minus => BinaryOperator::Subtract,
        SyntaxKind::Star => BinaryOperator::Multiply,
        SyntaxKind::Slash => BinaryOperator::Divide,
        SyntaxKind::Ampersand => BinaryOperator::Intersect,
        SyntaxKind::Keyword => match token.text() {
            "or" => BinaryOperator::Or,
            "and" => BinaryOperator::And,
            "in" => BinaryOperator::In,
            "not" => BinaryOperator::NotIn,
            _ => return None,
        },
        _ => return None,
    })
}

impl Path {
    /// Its parts: names, texts, and numbers with and without units.
    pub fn parts(&self) -> impl Iterator<Item = SyntaxToken> + use<> {
        tokens(&self.0).filter(|token| token.kind() != SyntaxKind::Dot)
    }

    /// Its parts as text, those between quotes without them.
    pub fn names(&self) -> Vec<String> {
        let name = |part: SyntaxToken| match literal::value(&part) {
            Ok(literal::Value::Text(text)) => text,
            _ => part.text().to_owned(),
        };
        self.parts().map(name).collect()
    }

    /// Whether it is this one name.
    pub fn is(&self, name: &str) -> bool {
        let mut parts = self.parts();
        parts.next().is_some_and(|part| part.text() == name) && parts.next().is_none()
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        tokens(&self.0).try_for_each(|token| f.write_str(token.text()))
    }
}

impl Literal {
    /// Its token.
    pub fn token(&self) -> Option<SyntaxToken> {
        tokens(&self.0).next()
    }

    /// What it is worth; none where it is malformed, which the parser has said.
    pub fn value(&self) -> Option<literal::Value> {
        literal::value(&self.token()?).ok()
    }

    /// Its text, if it is one.
    pub fn text(&self) -> Option<String> {
        match self.value()? {
            literal::Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl CpuList {
    /// Its parts; none for one that is malformed, which the parser has said.
    pub fn ranges(&self) -> impl Iterator<Item = std::ops::RangeInclusive<u16>> + use<> {
        tokens(&self.0).filter_map(|token| literal::cpus(token.text()).ok())
    }
}

impl Binary {
    /// What is done.
    pub fn operator(&self) -> Option<BinaryOperator> {
        tokens(&self.0).find_map(|token| operator(&token))
    }

    /// The operator's token; of `not in`, the first.
    pub fn operator_token(&self) -> Option<SyntaxToken> {
        tokens(&self.0).next()
    }

    /// The left value.
    pub fn left(&self) -> Option<Expression> {
        child_before(&self.0, self.operator_token()?.text_range().start())
    }

    /// The right value.
    pub fn right(&self) -> Option<Expression> {
        child_behind(&self.0, self.operator_token()?.text_range().end())
    }
}

impl Partial {
    /// What is done.
    pub fn operator(&self) -> Option<BinaryOperator> {
        tokens(&self.0).find_map(|token| operator(&token))
    }

    /// The right value.
    pub fn right(&self) -> Option<Expression> {
        child(&self.0)
    }
}

impl Unary {
    /// What is done.
    pub fn operator(&self) -> Option<UnaryOperator> {
        match tokens(&self.0).next()?.kind() {
            SyntaxKind::Minus => Some(UnaryOperator::Negate),
            SyntaxKind::Keyword => Some(UnaryOperator::Not),
            _ => None,
        }
    }

    /// With what.
    pub fn operand(&self) -> Option<Expression> {
        child(&self.0)
    }
}

impl Range {
    /// The least value; none where it is open.
    pub fn start(&self) -> Option<Expression> {
        child_before(&self.0, token(&self.0, SyntaxKind::DotDot)?.text_range().start())
    }

    /// The greatest value; none where it is open.
    pub fn end(&self) -> Option<Expression> {
        child_behind(&self.0, token(&self.0, SyntaxKind::DotDot)?.text_range().end())
    }
}

impl Parenthesised {
    /// What stands in the parentheses.
    pub fn expression(&self) -> Option<Expression> {
        child(&self.0)
    }
}

impl List {
    /// Its values.
    pub fn elements(&self) -> impl Iterator<Item = Expression> + use<> {
        children(&self.0)
    }
}

impl Call {
    /// The function's name.
    pub fn function(&self) -> Option<NameRef> {
        child(&self.0)
    }

    /// What it is given.
    pub fn arguments(&self) -> impl Iterator<Item = Expression> + use<> {
        child(&self.0).into_iter().flat_map(|arguments: Arguments| children(arguments.syntax()))
    }
}

impl Record {
    /// What kind of value it is, where that is said.
    pub fn name(&self) -> Option<NameRef> {
        child(&self.0)
    }

    /// Its fields.
    pub fn fields(&self) -> impl Iterator<Item = Field> + use<> {
        children(&self.0)
    }
}

impl Field {
    /// Its name.
    pub fn name(&self) -> Option<Name> {
        child(&self.0)
    }

    /// Its value.
    pub fn value(&self) -> Option<Value> {
        child(&self.0)
    }
}

impl Words {
    /// The names and literals.
    pub fn items(&self) -> impl Iterator<Item = Expression> + use<> {
        children(&self.0)
    }
}
