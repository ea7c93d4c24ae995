//! What the grammar alone does not say: clauses that stand once, words that exclude each other, names
//! that are known.

use std::ops::Range;

use super::kind::{SyntaxKind, SyntaxNode, SyntaxToken};
use super::problems::Problems;
use crate::diagnostic::{codes, quoted};

/// By what a workload's programs can be known.
const MATCHED_BY: [&str; 5] = ["exec", "cgroup", "unit", "image", "user"];

/// Checks a whole tree.
pub(super) fn validate(root: &SyntaxNode, problems: &mut Problems) {
    for node in root.descendants() {
        check_node(&node, problems);
    }
}

/// The bytes of a node, without the doc comments that it begins with.
fn bytes(node: &SyntaxNode) -> Range<usize> {
    let first = node.children_with_tokens().find(|part| !part.kind().is_trivia());
    let range = node.text_range();
    let start = first.map_or(range.start(), |first| first.text_range().start());
    start.into()..range.end().into()
}

fn token_bytes(token: &SyntaxToken) -> Range<usize> {
    token.text_range().into()
}

fn check_node(node: &SyntaxNode, problems: &mut Problems) {
    match node.kind() {
        SyntaxKind::Rule => check_rule(node, problems),
        SyntaxKind::Guard => {
            let children = node.children().filter(|child| child.kind() == SyntaxKind::Body);
            let confirms = children.flat_map(|body| body.children());
            let confirms = confirms.filter(|child| child.kind() == SyntaxKind::Confirm);
            repeated(confirms.map(|confirm| ("confirm".to_owned(), bytes(&confirm))), problems);
        }
        SyntaxKind::Setting | SyntaxKind::Bound | SyntaxKind::RawSetting => {
            check_modifiers(node, problems);
        }
        SyntaxKind::Record => {
            let fields = node.children().filter(|child| child.kind() == SyntaxKind::Field);
            let names = fields.filter_map(|field| {
                field.children().find(|child| child.kind() == SyntaxKind::Name)
            });
            repeated(names.map(|name| (name.text().to_string(), bytes(&name))), problems);
        }
        SyntaxKind::KernelClause => check_kernel_clause(node, problems),
        SyntaxKind::Match => check_match(node, problems),
        _ => {}
    }
    let named = matches!(
        node.kind(),
        SyntaxKind::Waiver | SyntaxKind::RawSetting | SyntaxKind::Group | SyntaxKind::Match
    );
    if named {
        let literals = node.children().filter(|child| child.kind() == SyntaxKind::Literal);
        // The value of a raw setting may be empty, its path may not.
        let count = if node.kind() == SyntaxKind::RawSetting { 1 } else { usize::MAX };
        for literal in literals.take(count).filter(|literal| literal.text() == "\"\"") {
            problems.error(codes::EMPTY, bytes(&literal), "this text is empty");
        }
    }
}

/// Each of these may stand once.
fn repeated(clauses: impl Iterator<Item = (String, Range<usize>)>, problems: &mut Problems) {
    let mut seen: Vec<(String, Range<usize>)> = Vec::new();
    for (name, place) in clauses {
        match seen.iter().find(|(other, _)| *other == name) {
            Some((_, first)) => {
                let message = format!("`{}` stands here twice", quoted(&name));
                let error = problems.error(codes::REPEATED, place, message);
                error.related(first.clone(), "first here");
            }
            None if seen.len() < 64 => seen.push((name, place)),
            None => {}
        }
    }
}

fn keyword(node: &SyntaxNode) -> Option<SyntaxToken> {
    let tokens = node.children_with_tokens().filter_map(rowan::NodeOrToken::into_token);
    tokens.into_iter().find(|token| token.kind() == SyntaxKind::Keyword)
}

fn check_rule(node: &SyntaxNode, problems: &mut Problems) {
    let clauses = node
        .children()
        .filter(|child| matches!(child.kind(), SyntaxKind::Duration | SyntaxKind::Until));
    let words = clauses.filter_map(|clause| {
        keyword(&clause).map(|word| (word.text().to_owned(), token_bytes(&word)))
    });
    repeated(words, problems);
    let partial = node
        .children()
        .filter(|child| child.kind() == SyntaxKind::Until)
        .find_map(|until| until.children().find(|child| child.kind() == SyntaxKind::Partial));
    let condition = node.children().next();
    if let (Some(partial), Some(condition)) = (partial, condition) {
        let operators = condition.children_with_tokens().filter_map(|part| part.into_token());
        let compares = condition.kind() == SyntaxKind::Binary
            && operators.into_iter().any(|operator| operator.kind().is_comparison());
        if !compares {
            let message = "it is not said what is compared";
            let error = problems.error(codes::MISSING, bytes(&partial), message);
            error
                .related(bytes(&condition), "this is no single comparison")
                .help("write the whole comparison behind `until`");
        }
    }
}

/// `default` and `force` exclude each other, and say nothing about bounds.
fn check_modifiers(node: &SyntaxNode, problems: &mut Problems) {
    let tokens = node.children_with_tokens().filter_map(rowan::NodeOrToken::into_token);
    let words: Vec<SyntaxToken> =
        tokens.filter(|token| token.kind() == SyntaxKind::Keyword).collect();
    repeated(words.iter().map(|word| (word.text().to_owned(), token_bytes(word))), problems);
    let find = |text: &str| words.iter().find(|word| word.text() == text);
    let priority = find("default").or(find("force"));
    if let (Some(default), Some(force)) = (find("default"), find("force")) {
        let message = "a setting is either `default` or `force`";
        let error = problems.error(codes::MISPLACED, token_bytes(force), message);
        error.related(token_bytes(default), "the other one");
    } else if let (Some(priority), SyntaxKind::Bound) = (priority, node.kind()) {
        let message = format!("a bound has no priority: `{}`", priority.text());
        let error = problems.error(codes::MISPLACED, token_bytes(priority), message);
        error.help("bounds of all profiles hold together; the strictest counts");
    }
}

fn check_kernel_clause(node: &SyntaxNode, problems: &mut Problems) {
    let Some(expression) = node.children().next() else { return };
    let fact = expression.children().next();
    let tokens = expression.children_with_tokens().filter_map(rowan::NodeOrToken::into_token);
    let compares =
        tokens.into_iter().any(|token| token.kind().is_comparison() || token.text() == "in");
    let named = fact.is_some_and(|fact| fact.kind() == SyntaxKind::Path);
    if !(expression.kind() == SyntaxKind::Binary && compares && named) {
        let message = "expected a comparison of a fact about the kernel";
        let error = problems.error(codes::UNEXPECTED, bytes(&expression), message);
        error.help("for example `version >= 5.10`, or `flavour in [cloud, generic]`");
    }
}

fn check_match(node: &SyntaxNode, problems: &mut Problems) {
    let kind = node.children().find(|child| child.kind() == SyntaxKind::NameRef);
    let Some(kind) = kind else { return };
    let word = kind.text().to_string();
    if MATCHED_BY.contains(&word.as_str()) {
        return;
    }
    let message = format!("programs are not known by `{}`", quoted(&word));
    let error = problems.error(codes::UNEXPECTED, bytes(&kind), message);
    match notation::closest(&word, MATCHED_BY) {
        Some(meant) => error.fix(format!("did you mean `{meant}`?"), bytes(&kind), meant),
        None => error.help("expected `exec`, `cgroup`, `unit`, `image` or `user`"),
    };
}
