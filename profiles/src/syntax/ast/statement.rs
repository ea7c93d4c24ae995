//! The statements of profiles, blocks and workloads.

use super::{
    AstNode, Expression, Literal, Match, Name, NameRef, Path, Start, Value, Workload, child,
    child_behind, children, choice, doc, has_keyword, nodes, token, tokens,
};
use crate::syntax::kind::{SyntaxKind, SyntaxToken};

nodes! {
    /// Statements between braces.
    Body;
    /// `param NAME: TYPE = DEFAULT in RANGE`
    Parameter;
    /// `bytes`, or `[bytes]`
    TypeRef;
    /// `require EXPRESSION`, `forbid EXPRESSION`
    Requirement;
    /// `kernel flavour in [cloud, generic] version >= 5.10`
    KernelFilter;
    /// `version >= 5.10`
    KernelClause;
    /// `NAME = VALUE`
    Setting;
    /// `raise NAME to VALUE`, `lower NAME to VALUE`
    Bound;
    /// `raw "PATH" = VALUE`
    RawSetting;
    /// `waive CLASS SETTING "reason"`
    Waiver;
    /// `NAME { … }`, `block "nvme*" { … }`
    Group;
    /// `if EXPRESSION { … } else { … }`
    Conditional;
    /// One of its branches.
    Branch;
    /// `if EXPRESSION` behind a statement.
    Condition;
    /// A word with a time behind it: `for 60s`.
    Duration;
}

choice! {
    /// A statement between the braces of a profile, a block, a branch or a workload. (Which may
    /// stand where, the parser has checked.)
    Statement {
        /// What the script can be called with.
        Parameter,
        /// What has to hold, or must not.
        Requirement,
        /// For which kernels the profile is.
        KernelFilter,
        /// A value.
        Setting,
        /// A least or greatest value.
        Bound,
        /// A value for a file that the catalogue does not know.
        RawSetting,
        /// A danger that is taken knowingly.
        Waiver,
        /// Settings with something in common.
        Group,
        /// Settings under a condition.
        Conditional,
        /// Programs.
        Workload,
        /// What they are known by.
        Match,
        /// How they are started.
        Start,
    }
}

/// Which value wins where profiles disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Any other value wins.
    Default,
    /// As written.
    Plain,
    /// No other value wins.
    Force,
}

/// The words in front of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Modifiers {
    /// `default`, nothing, or `force`.
    pub priority: Priority,
    /// `required`: an error where the kernel does not have it.
    pub required: bool,
}

/// How a value is assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Assignment {
    /// `=`
    Set,
    /// `+=`: added to what is there.
    Add,
    /// `-=`: taken from what is there.
    Remove,
}

/// Which way a bound leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// At least.
    Raise,
    /// At most.
    Lower,
}

impl Statement {
    /// What its doc comments say.
    pub fn doc(&self) -> String {
        doc(self.syntax())
    }
}

impl Body {
    /// What stands between the braces.
    pub fn statements(&self) -> impl Iterator<Item = Statement> + use<> {
        children(&self.0)
    }
}

impl Parameter {
    /// Its name.
    pub fn name(&self) -> Option<Name> {
        child(&self.0)
    }

    /// Its type; without one it is a parent's parameter with another default or range.
    pub fn type_ref(&self) -> Option<TypeRef> {
        child(&self.0)
    }

    /// Its value where none is given.
    pub fn default(&self) -> Option<Expression> {
        let sign = token(&self.0, SyntaxKind::Equals)?;
        child_behind(&self.0, sign.text_range().end())
    }

    /// The values that it may have.
    pub fn allowed(&self) -> Option<Expression> {
        let mut words = tokens(&self.0).filter(|token| token.kind() == SyntaxKind::Keyword);
        let word = words.find(|word| word.text() == "in")?;
        child_behind(&self.0, word.text_range().end())
    }
}

impl TypeRef {
    /// Its name.
    pub fn name(&self) -> Option<SyntaxToken> {
        token(&self.0, SyntaxKind::Identifier)
    }

    /// Whether it is a list of such values.
    pub fn is_list(&self) -> bool {
        token(&self.0, SyntaxKind::OpenBracket).is_some()
    }
}

impl Requirement {
    /// Whether it must not hold: `forbid`.
    pub fn forbids(&self) -> bool {
        has_keyword(&self.0, "forbid")
    }

    /// What.
    pub fn expression(&self) -> Option<Expression> {
        child(&self.0)
    }

    /// When.
    pub fn condition(&self) -> Option<Condition> {
        child(&self.0)
    }
}

impl KernelFilter {
    /// What has to hold of the kernel; all of them.
    pub fn clauses(&self) -> impl Iterator<Item = KernelClause> + use<> {
        children(&self.0)
    }

    /// When.
    pub fn condition(&self) -> Option<Condition> {
        child(&self.0)
    }
}

impl KernelClause {
    /// A comparison whose left side is the name of a fact, without `kernel.`.
    pub fn comparison(&self) -> Option<super::Binary> {
        child(&self.0)
    }
}

fn modifiers(node: &crate::syntax::SyntaxNode) -> Modifiers {
    let priority = match () {
        () if has_keyword(node, "force") => Priority::Force,
        () if has_keyword(node, "default") => Priority::Default,
        () => Priority::Plain,
    };
    Modifiers { priority, required: has_keyword(node, "required") }
}

impl Setting {
    /// The words in front.
    pub fn modifiers(&self) -> Modifiers {
        modifiers(&self.0)
    }

    /// Its name, below those of the blocks around it.
    pub fn path(&self) -> Option<Path> {
        child(&self.0)
    }

    fn sign(&self) -> Option<SyntaxToken> {
        let signs = [SyntaxKind::Equals, SyntaxKind::PlusEquals, SyntaxKind::MinusEquals];
        tokens(&self.0).find(|token| signs.contains(&token.kind()))
    }

    /// How the value is assigned.
    pub fn assignment(&self) -> Option<Assignment> {
        Some(match self.sign()?.kind() {
            SyntaxKind::PlusEquals => Assignment::Add,
            SyntaxKind::MinusEquals => Assignment::Remove,
            _ => Assignment::Set,
        })
    }

    /// The value.
    pub fn value(&self) -> Option<Value> {
        child_behind(&self.0, self.sign()?.text_range().end())
    }

    /// When.
    pub fn condition(&self) -> Option<Condition> {
        child(&self.0)
    }
}

impl Bound {
    /// The words in front. (A bound has no priority.)
    pub fn modifiers(&self) -> Modifiers {
        modifiers(&self.0)
    }

    /// Which way.
    pub fn direction(&self) -> Direction {
        if has_keyword(&self.0, "lower") { Direction::Lower } else { Direction::Raise }
    }

    /// The setting.
    pub fn path(&self) -> Option<Path> {
        child(&self.0)
    }

    /// The bound.
    pub fn value(&self) -> Option<Value> {
        children(&self.0).nth(1)
    }

    /// When.
    pub fn condition(&self) -> Option<Condition> {
        child(&self.0)
    }
}

impl RawSetting {
    /// The words in front.
    pub fn modifiers(&self) -> Modifiers {
        modifiers(&self.0)
    }

    /// The file.
    pub fn file(&self) -> Option<Literal> {
        child(&self.0)
    }

    /// What is written to it.
    pub fn value(&self) -> Option<Value> {
        let sign = token(&self.0, SyntaxKind::Equals)?;
        child_behind(&self.0, sign.text_range().end())
    }

    /// When.
    pub fn condition(&self) -> Option<Condition> {
        child(&self.0)
    }
}

impl Waiver {
    /// The class of danger.
    pub fn class(&self) -> Option<NameRef> {
        child(&self.0)
    }

    /// The setting.
    pub fn path(&self) -> Option<Path> {
        child(&self.0)
    }

    /// Why it is taken.
    pub fn reason(&self) -> Option<Literal> {
        child(&self.0)
    }
}

impl Group {
    /// What the names of its settings begin with, or the kind of thing that they apply to.
    pub fn path(&self) -> Option<Path> {
        child(&self.0)
    }

    /// To which things they apply: patterns, or one set. None: to all, or to the kernel as such.
    pub fn selectors(&self) -> impl Iterator<Item = Expression> + use<> {
        children(&self.0).skip(1)
    }

    /// Its settings.
    pub fn body(&self) -> Option<Body> {
        child(&self.0)
    }
}

impl Conditional {
    /// The branches: the first whose condition holds counts.
    pub fn branches(&self) -> impl Iterator<Item = Branch> + use<> {
        children(&self.0)
    }
}

impl Branch {
    /// The condition; the last branch may have none.
    pub fn condition(&self) -> Option<Expression> {
        child(&self.0)
    }

    /// Whether it is what holds otherwise.
    pub fn is_else(&self) -> bool {
        !has_keyword(&self.0, "if")
    }

    /// Its settings.
    pub fn body(&self) -> Option<Body> {
        child(&self.0)
    }
}

impl Condition {
    /// What has to hold.
    pub fn expression(&self) -> Option<Expression> {
        child(&self.0)
    }
}

impl Duration {
    /// Whether it begins with a word.
    pub fn is(&self, word: &str) -> bool {
        has_keyword(&self.0, word)
    }

    /// The time.
    pub fn time(&self) -> Option<Expression> {
        child(&self.0)
    }
}
