//! `console`: a shell on a terminal, behind the last lines of the kernel's log.

use std::collections::VecDeque;

use protocol::ExecRequest;

use super::exec::{How, attach};
use super::exit::Failure;
use super::render::entry;
use super::session::SESSION;
use super::{Context, connect, output, stdio, terminal};

/// `console NAME`
pub fn run(context: &Context, name: &str, lines: usize) -> Result<(), Failure> {
    let client = connect::existing(context)?;
    let mut last = VecDeque::new();
    for line in client.log(name, false)? {
        let line = line?;
        if line.source == "kernel" {
            last.push_back(entry(&line, context.out()));
            if last.len() > lines {
                last.pop_front();
            }
        }
    }
    output::text(&last.into_iter().collect::<String>())?;
    context.remark("a shell in the partition; Ctrl-] leaves");
    let request = ExecRequest {
        session: SESSION,
        argv: vec!["/bin/sh".to_owned(), "-l".to_owned()],
        env: terminal_type(),
        cwd: String::new(),
        user: String::new(),
        terminal: Some(terminal::size().unwrap_or(terminal::USUAL)),
    };
    attach(&client, name, request, How { stdin: true, detach: Some(stdio::DETACH) })
}

/// What the terminal understands.
fn terminal_type() -> Vec<(String, String)> {
    std::env::var("TERM").ok().map(|term| ("TERM".to_owned(), term)).into_iter().collect()
}
