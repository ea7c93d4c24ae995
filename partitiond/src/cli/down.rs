//! `down`: partitions end, and the host gets back what they had.

use super::exit::Failure;
use super::table::Down;
use super::{Context, connect, up};
use crate::api::DownRequest;

/// `down [NAME…]`
pub fn run(context: &Context, options: Down) -> Result<(), Failure> {
    // Partitions outlive their supervisor: one that is started now finds them, and can end them.
    let client = connect::started(context)?;
    let board = context.board();
    let request = DownRequest { names: options.names, force: options.force };
    up::follow(context, &board, client.down(&request)?)?.result()
}
