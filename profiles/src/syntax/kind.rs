//! What the parts of a tree are called.

/// Declares the kinds from one table, each with the words that messages use for it.
macro_rules! kinds {
    ($($name:ident = $words:literal,)*) => {
        /// A token's or a node's kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum SyntaxKind {
            $(#[doc = $words] $name,)*
        }

        const ALL: &[SyntaxKind] = &[$(SyntaxKind::$name),*];

        impl SyntaxKind {
            /// What messages call it.
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)*
                }
            }
        }
    };
}

kinds! {
    // Tokens without meaning.
    ByteOrderMark = "a byte order mark",
    Whitespace = "spaces",
    Newline = "a line break",
    Comment = "a comment",
    DocComment = "a doc comment",
    ForeignComment = "a comment of another language",
    // Tokens.
    Identifier = "a name",
    Keyword = "a keyword",
    Integer = "a number",
    Decimal = "a decimal number",
    Version = "a version",
    Quantity = "a number with a unit",
    CpuRange = "a range of CPUs",
    TimeOfDay = "a time of day",
    Text = "a text",
    OpenBrace = "`{`",
    CloseBrace = "`}`",
    OpenParen = "`(`",
    CloseParen = "`)`",
    OpenBracket = "`[`",
    CloseBracket = "`]`",
    Comma = "`,`",
    Semicolon = "`;`",
    Colon = "`:`",
    Dot = "`.`",
    DotDot = "`..`",
    Equals = "`=`",
    PlusEquals = "`+=`",
    MinusEquals = "`-=`",
    EqualsEquals = "`==`",
    NotEquals = "`!=`",
    Less = "`<`",
    LessEquals = "`<=`",
    Greater = "`>`",
    GreaterEquals = "`>=`",
    Plus = "`+`",
    Minus = "`-`",
    Star = "`*`",
    Slash = "`/`",
    Ampersand = "`&`",
    Arrow = "`->`",
    ForeignAnd = "`&&`",
    ForeignOr = "`||`",
    ForeignNot = "`!`",
    Unknown = "characters that mean nothing",
    EndOfFile = "the end of the file",
    // Nodes: what stands at the top of a file.
    SourceFile = "a script",
    Profile = "a profile",
    Policy = "a policy",
    Guard = "a guard",
    // Nodes: their parts.
    Extends = "the parents of a profile",
    Name = "a name that is given",
    NameRef = "a name of something",
    Body = "statements between braces",
    // Nodes: statements of a profile.
    Parameter = "a parameter",
    TypeRef = "a type",
    Requirement = "a requirement",
    KernelFilter = "a constraint on the kernel",
    KernelClause = "a clause of a constraint on the kernel",
    Setting = "a setting",
    Bound = "a bound of a setting",
    RawSetting = "a raw setting",
    Waiver = "a waiver",
    Group = "a block",
    Conditional = "statements under a condition",
    Branch = "one branch of statements under a condition",
    Workload = "a workload",
    Match = "what a workload's programs are known by",
    Start = "how a workload is started",
    Condition = "the condition of a statement",
    // Nodes: statements of policies and guards.
    PolicyDefault = "the default of a policy",
    Rule = "a rule of a policy",
    Until = "when a rule ends",
    Duration = "a time in a clause",
    Target = "what a policy switches to",
    Confirm = "the time to confirm",
    Rollback = "a reason to roll back",
    // Nodes: values.
    Path = "a dotted name",
    Literal = "a literal",
    CpuList = "a list of CPUs",
    Binary = "an operation",
    Partial = "a comparison without its left side",
    Unary = "a sign or a negation",
    Range = "a range",
    Parenthesised = "an expression in parentheses",
    List = "a list",
    Call = "a call",
    Arguments = "the arguments of a call",
    Record = "a structured value",
    Field = "a field of a structured value",
    Words = "a value in words",
    // What could not be understood.
    Error = "something that cannot be understood",
}

impl SyntaxKind {
    /// Whether the parser passes over it.
    pub fn is_trivia(self) -> bool {
        self <= Self::ForeignComment
    }

    /// Whether it compares two values: `==` to `>=`.
    pub fn is_comparison(self) -> bool {
        (Self::EqualsEquals..=Self::GreaterEquals).contains(&self)
    }

    /// The bracket that ends what this one begins.
    pub fn closer(self) -> Option<Self> {
        match self {
            Self::OpenBrace => Some(Self::CloseBrace),
            Self::OpenParen => Some(Self::CloseParen),
            Self::OpenBracket => Some(Self::CloseBracket),
            _ => None,
        }
    }

    /// Whether it ends a bracket.
    pub fn is_closer(self) -> bool {
        matches!(self, Self::CloseBrace | Self::CloseParen | Self::CloseBracket)
    }
}

/// KernelScript, for `rowan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelScript {}

impl rowan::Language for KernelScript {
    type Kind = SyntaxKind;

    fn kind_from_raw(raw: rowan::SyntaxKind) -> SyntaxKind {
        ALL.get(usize::from(raw.0)).copied().unwrap_or(SyntaxKind::Error)
    }

    fn kind_to_raw(kind: SyntaxKind) -> rowan::SyntaxKind {
        rowan::SyntaxKind(kind as u16)
    }
}

/// A node of the tree.
pub type SyntaxNode = rowan::SyntaxNode<KernelScript>;
/// A token of the tree.
pub type SyntaxToken = rowan::SyntaxToken<KernelScript>;
/// A node or a token.
pub type SyntaxElement = rowan::SyntaxElement<KernelScript>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_way_through_rowan() {
        use rowan::Language;
        for kind in ALL {
            assert_eq!(KernelScript::kind_from_raw(KernelScript::kind_to_raw(*kind)), *kind);
        }
    }
}
