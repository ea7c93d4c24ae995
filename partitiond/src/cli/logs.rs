//! `logs` and `events`.

use super::exit::Failure;
use super::render::{entry, event};
use super::{Context, connect, output};

/// `logs NAME`
pub fn logs(context: &Context, name: &str, follow: bool) -> Result<(), Failure> {
    let client = connect::existing(context)?;
    for line in client.log(name, follow)? {
        let line = line?;
        match context.json() {
            true => output::json_line(&line)?,
            false => output::text(&entry(&line, context.out()))?,
        }
    }
    Ok(())
}

/// `events`
pub fn events(context: &Context, follow: bool) -> Result<(), Failure> {
    let client = connect::existing(context)?;
    for happened in client.events(follow)? {
        let happened = happened?;
        match context.json() {
            true => output::json_line(&happened)?,
            false => output::text(&event(&happened, context.out()))?,
        }
    }
    Ok(())
}
