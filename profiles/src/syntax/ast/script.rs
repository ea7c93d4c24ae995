//! What stands at the top of a file, and the statements of policies and guards.

use super::{
    AstNode, Body, Duration, Expression, Literal, Name, NameRef, Partial, Statement, child,
    children, choice, doc, has_keyword, nodes,
};
use crate::syntax::kind::SyntaxNode;

nodes! {
    /// A whole script.
    SourceFile;
    /// `profile NAME extends NAME { … }`
    Profile;
    /// `extends NAME, NAME`
    Extends;
    /// `policy { … }`
    Policy;
    /// `default TARGET`
    PolicyDefault;
    /// `when … -> TARGET`
    Rule;
    /// `until EXPRESSION for TIME`
    Until;
    /// `NAME`, or `kernel "IMAGE" profile NAME`
    Target;
    /// `guard PROFILE { … }`
    Guard;
    /// `confirm within TIME`
    Confirm;
    /// `rollback if EXPRESSION for TIME`
    Rollback;
}

choice! {
    /// A statement of a policy.
    PolicyStatement {
        /// What holds while no rule does.
        PolicyDefault,
        /// When to switch, and to what.
        Rule,
    }
}

choice! {
    /// A statement of a guard.
    GuardStatement {
        /// How long to wait for a person.
        Confirm,
        /// A reason to undo the profile.
        Rollback,
    }
}

impl SourceFile {
    /// The view of a root node.
    pub(in crate::syntax) fn new(root: SyntaxNode) -> Self {
        Self(root)
    }

    /// Its profiles.
    pub fn profiles(&self) -> impl Iterator<Item = Profile> + use<> {
        children(&self.0)
    }

    /// Its policies.
    pub fn policies(&self) -> impl Iterator<Item = Policy> + use<> {
        children(&self.0)
    }

    /// Its guards.
    pub fn guards(&self) -> impl Iterator<Item = Guard> + use<> {
        children(&self.0)
    }

    /// The expression of what [`crate::syntax::parse_expression`] parsed.
    pub fn expression(&self) -> Option<Expression> {
        child(&self.0)
    }
}

impl Profile {
    /// What its doc comments say.
    pub fn doc(&self) -> String {
        doc(&self.0)
    }

    /// Its name.
    pub fn name(&self) -> Option<Name> {
        child(&self.0)
    }

    /// The names of its parents.
    pub fn parents(&self) -> impl Iterator<Item = NameRef> + use<> {
        child(&self.0).into_iter().flat_map(|extends: Extends| children(extends.syntax()))
    }

    /// Its braces.
    pub fn body(&self) -> Option<Body> {
        child(&self.0)
    }

    /// What stands between them.
    pub fn statements(&self) -> impl Iterator<Item = Statement> + use<> {
        self.body().into_iter().flat_map(|body| body.statements())
    }
}

impl Policy {
    /// What its doc comments say.
    pub fn doc(&self) -> String {
        doc(&self.0)
    }

    /// Its name, where it has one.
    pub fn name(&self) -> Option<Name> {
        child(&self.0)
    }

    /// Its statements.
    pub fn statements(&self) -> impl Iterator<Item = PolicyStatement> + use<> {
        child(&self.0).into_iter().flat_map(|body: Body| children(body.syntax()))
    }
}

impl PolicyDefault {
    /// What to run while no rule holds.
    pub fn target(&self) -> Option<Target> {
        child(&self.0)
    }
}

impl Rule {
    /// What its doc comments say.
    pub fn doc(&self) -> String {
        doc(&self.0)
    }

    /// When to switch.
    pub fn condition(&self) -> Option<Expression> {
        child(&self.0)
    }

    fn clause(&self, word: &str) -> Option<Expression> {
        let clause = children(&self.0).find(|clause: &Duration| clause.is(word));
        clause.and_then(|clause| clause.time())
    }

    /// For how long the condition has to hold before.
    pub fn hold(&self) -> Option<Expression> {
        self.clause("for")
    }

    /// How long to wait after a switch back before the next switch.
    pub fn cooldown(&self) -> Option<Expression> {
        self.clause("cooldown")
    }

    /// How long to stay at least.
    pub fn dwell(&self) -> Option<Expression> {
        self.clause("dwell")
    }

    /// When to switch back.
    pub fn until(&self) -> Option<Until> {
        child(&self.0)
    }

    /// To what.
    pub fn target(&self) -> Option<Target> {
        child(&self.0)
    }
}

impl Until {
    /// The condition, where it is a whole one.
    pub fn condition(&self) -> Option<Expression> {
        child(&self.0)
    }

    /// The condition, where its left side is that of the rule's.
    pub fn partial(&self) -> Option<Partial> {
        child(&self.0)
    }

    /// For how long it has to hold before.
    pub fn hold(&self) -> Option<Expression> {
        child(&self.0).and_then(|clause: Duration| clause.time())
    }
}

impl Target {
    /// The image of another kernel.
    pub fn kernel(&self) -> Option<Literal> {
        child(&self.0)
    }

    /// The profile; without one, that kernel's own.
    pub fn profile(&self) -> Option<NameRef> {
        child(&self.0)
    }
}

impl Guard {
    /// What its doc comments say.
    pub fn doc(&self) -> String {
        doc(&self.0)
    }

    /// The profile that it guards.
    pub fn profile(&self) -> Option<NameRef> {
        child(&self.0)
    }

    /// Its statements.
    pub fn statements(&self) -> impl Iterator<Item = GuardStatement> + use<> {
        child(&self.0).into_iter().flat_map(|body: Body| children(body.syntax()))
    }
}

impl Confirm {
    /// How long to wait.
    pub fn within(&self) -> Option<Expression> {
        child(&self.0).and_then(|clause: Duration| clause.time())
    }
}

impl Rollback {
    /// Whether the reason is that the kernel does not answer.
    pub fn unreachable(&self) -> bool {
        has_keyword(&self.0, "unreachable")
    }

    /// The reason, unless it is that.
    pub fn condition(&self) -> Option<Expression> {
        child(&self.0)
    }

    /// For how long it has to hold before.
    pub fn hold(&self) -> Option<Expression> {
        child(&self.0).and_then(|clause: Duration| clause.time())
    }
}
