//! KernelScript as text: lexer, lossless tree, parser, and the canonical form.
//!
//! [`parse`] never fails: it gives a tree that holds every byte of the text, and everything that is
//! wrong with it at once. The grammar stands in `docs/kernelscript-grammar.md`; each function of the
//! parser is one of its rules.
//!
//! ```
//! use profiles::diagnostic::FileId;
//! use profiles::syntax::parse;
//!
//! let parse = parse(FileId::default(), "profile quiet { vm.swappiness = 3 }");
//! assert!(parse.is_ok());
//! let profile = parse.tree().profiles().next().unwrap();
//! assert_eq!(profile.name().unwrap().text(), "quiet");
//! ```

pub mod ast;
pub mod fmt;
mod kind;
mod lexer;
pub mod literal;
mod parser;
mod problems;
mod validate;

#[cfg(test)]
mod tests;

pub use kind::{KernelScript, SyntaxElement, SyntaxKind, SyntaxNode, SyntaxToken};
pub use parser::{MAX_DEPTH, MAX_OPERATIONS};

use crate::diagnostic::{Diagnostic, FileId, MAX_SCRIPT, codes};
use problems::Problems;
use rowan::GreenNode;

/// A script, understood as far as possible.
#[derive(Clone, Debug)]
pub struct Parse {
    green: GreenNode,
    file: FileId,
    diagnostics: Vec<Diagnostic>,
    dropped: usize,
}

impl Parse {
    /// The tree; its text is the script, byte for byte. (Of a script that is too large it is empty.)
    pub fn tree(&self) -> ast::SourceFile {
        ast::SourceFile::new(self.syntax())
    }

    /// The tree without types.
    pub fn syntax(&self) -> SyntaxNode {
        SyntaxNode::new_root(self.green.clone())
    }

    /// The tree as data that can be shared between threads.
    pub fn green(&self) -> &GreenNode {
        &self.green
    }

    /// Which file it is.
    pub fn file(&self) -> FileId {
        self.file
    }

    /// Everything that is wrong, in the order of the file.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// How many more there are: of a badly damaged file only the first 500 are kept.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Whether there is no error. (There may be warnings.)
    pub fn is_ok(&self) -> bool {
        self.dropped == 0 && !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Parses a script.
pub fn parse(file: FileId, text: &str) -> Parse {
    parse_with(file, text, parser::script)
}

/// Parses one expression on its own, as it stands in catalogue entries: the tree is a
/// [`ast::SourceFile`] with that expression in it.
pub fn parse_expression(file: FileId, text: &str) -> Parse {
    parse_with(file, text, parser::lone_expression)
}

fn parse_with(
    file: FileId,
    text: &str,
    grammar: fn(&str, Vec<lexer::Token>, Problems) -> (GreenNode, Problems),
) -> Parse {
    let mut problems = Problems::new(file);
    if text.len() > MAX_SCRIPT {
        let size = text.len() >> 10;
        let message = format!("the script is too large: {size} KiB, and at most 1024 KiB are read");
        problems.error(codes::TOO_LARGE, 0..0, message).help("is this the right file?");
        let (green, _) = grammar("", Vec::new(), Problems::new(file));
        let (diagnostics, dropped) = problems.finish();
        return Parse { green, file, diagnostics, dropped };
    }
    let tokens = lexer::tokens(text, &mut problems);
    let (green, mut problems) = grammar(text, tokens, problems);
    validate::validate(&SyntaxNode::new_root(green.clone()), &mut problems);
    let (diagnostics, dropped) = problems.finish();
    Parse { green, file, diagnostics, dropped }
}
