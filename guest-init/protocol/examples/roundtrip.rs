//! What a ping and its answer cost in one thread, without the time that memory takes to travel.
use std::time::Instant;

use protocol::channel::Channel;
use protocol::mailbox::{BootClock, Mailbox, SIZE};
use protocol::{SharedMemory, ToGuest, ToHost};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mailbox = Mailbox::create(SharedMemory::private(SIZE), BootClock::default())?;
    let (mut host, mut guest) = (mailbox.host_channel()?, mailbox.guest_channel()?);
    let count = 2_000_000;
    let start = Instant::now();
    for sequence in 0..count {
        host.send(&ToGuest::Ping { sequence })?;
        if let Some(ToGuest::Ping { sequence }) = guest.receive()? {
            guest.send(&ToHost::Pong { sequence })?;
        }
        if host.receive()? != Some(ToHost::Pong { sequence }) {
            return Err("no answer".into());
        }
    }
    println!("{:?} a round trip", start.elapsed() / count as u32);
    Ok(())
}
