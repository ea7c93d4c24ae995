//! `snapshot`: all that a partition is, into a folder.

use super::exit::Failure;
use super::table::Snapshot;
use super::{Context, connect};
use crate::api::SnapshotRequest;

/// `snapshot NAME FOLDER`
pub fn run(context: &Context, options: Snapshot) -> Result<(), Failure> {
    let client = connect::existing(context)?;
    let board = context.board();
    let task = board.task(&options.name);
    task.now("is held, and written down");
    client
        .snapshot(&options.name, &SnapshotRequest { path: options.folder, stop: options.stop })?;
    task.done(if options.stop { "has ended" } else { "goes on" });
    Ok(())
}
