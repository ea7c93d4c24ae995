//! Completions and man pages, made from the table of commands.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::exit::Failure;
use super::{Context, Line, output};

/// `completions SHELL`
pub fn completions(_: &Context, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Line::command(), "partitiond", &mut script);
    output::bytes(&script)
}

/// `man DIR`
pub fn man(directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Line::command(), directory))
        .map_err(|error| {
            Failure::failed(format_args!(
                "cannot write man pages to {}: {error}",
                directory.display()
            ))
        })
}
