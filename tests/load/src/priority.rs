//! How old data are when they arrive: a sender that always has something newer to say.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::Failure;
use crate::arguments::Arguments;
use crate::numbers::{Readings, percentile};
use crate::tcp;

const PORT: u16 = 7006;
/// One picture, one frame of HTTP/2, one row: what the sender decides on at once.
const RECORD: usize = 4096;
/// Until the connection has found its pace.
const WARMING: Duration = Duration::from_secs(2);

/// Sends for `time=` milliseconds: whenever the socket takes something, a record that says when it was made.
pub fn run(arguments: &Arguments) -> Result<Readings, Failure> {
    let time = arguments.milliseconds("time")?;
    let begun = Instant::now();
    let (listening, is_listening) = channel();
    let receiver = tcp::far(move || {
        let listener = tcp::listener(PORT)?;
        listening.send(())?;
        let (mut stream, _) = listener.accept()?;
        let (mut ages, mut record) = (Vec::new(), [0; RECORD]);
        while stream.read_exact(&mut record).is_ok() {
            let made = record.first_chunk().copied().map_or(0, u64::from_le_bytes);
            let made = Duration::from_nanos(made);
            if made > WARMING {
                ages.push(begun.elapsed().saturating_sub(made));
            }
        }
        Ok(ages)
    })?;
    is_listening.recv()?;
    let mut stream = TcpStream::connect((Ipv4Addr::from(tcp::THERE), PORT))?;
    stream.set_nonblocking(true)?;
    let (mut wakeups, mut bytes) = (0.0, 0.0);
    let (mut record, mut written) = ([0; RECORD], RECORD);
    while begun.elapsed() < time {
        let mut ready = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
        poll(&mut ready, PollTimeout::from(1000u16))?;
        wakeups += 1.0;
        loop {
            if written == RECORD {
                let made = u64::try_from(begun.elapsed().as_nanos())?;
                record[..8].copy_from_slice(&made.to_le_bytes());
                written = 0;
            }
            match stream.write(&record[written..]) {
                Ok(some) => (written, bytes) = (written + some, bytes + some as f64),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
            // Only as long as the kernel says that it wants more.
            let mut more = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
            if poll(&mut more, PollTimeout::ZERO)? == 0 {
                break;
            }
        }
    }
    drop(stream);
    let mut ages = tcp::joined(receiver)?;
    Ok(Readings::default()
        .with("median_ms", percentile(&mut ages, 0.5))
        .with("p99_ms", percentile(&mut ages, 0.99))
        .with("mbit_per_s", bytes * 8.0 / 1e6 / time.as_secs_f64())
        .with("wakeups_per_mib", wakeups / (bytes / 1048576.0)))
}
