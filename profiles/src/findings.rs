//! What is wrong with scripts on several kernels, and on which.

use crate::catalogue::Kernel;
use crate::diagnostic::{Diagnostic, Help};

/// What is wrong, and on which kernels.
#[derive(Clone, Debug, Default)]
pub struct Found {
    diagnostics: Vec<(Diagnostic, Vec<String>)>,
}

impl Found {
    /// Takes in what is said of one kernel.
    pub fn add(&mut self, kernel: &Kernel, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        let name = kernel.to_string();
        for diagnostic in diagnostics {
            match self.diagnostics.iter_mut().find(|(known, _)| *known == diagnostic) {
                Some((_, kernels)) if kernels.contains(&name) => {}
                Some((_, kernels)) => kernels.push(name.clone()),
                None => self.diagnostics.push((diagnostic, vec![name.clone()])),
            }
        }
    }

    /// Each once, with the kernels where it is not all of so many.
    pub fn told(self, all: usize) -> impl Iterator<Item = Diagnostic> {
        self.diagnostics.into_iter().map(move |(mut diagnostic, kernels)| {
            if kernels.len() < all {
                let text = format!("on {}", kernels.join(", "));
                diagnostic.help.push(Help { text, edit: None });
            }
            diagnostic
        })
    }
}
