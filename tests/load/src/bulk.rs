//! A long transfer to the far side.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use crate::Failure;
use crate::arguments::Arguments;
use crate::numbers::Readings;
use crate::tcp;

const PORT: u16 = 7002;

/// Sends for `time=` milliseconds; then once more, beside another transfer that asked for CUBIC by itself.
pub fn run(arguments: &Arguments) -> Result<Readings, Failure> {
    let time = arguments.milliseconds("time")?;
    let alone = transfer(PORT, time, false)?;
    let neighbour = std::thread::spawn(move || transfer(PORT + 1, time, true));
    let beside = transfer(PORT + 2, time, false)?;
    let neighbour = tcp::joined(neighbour)?;
    Ok(Readings::default()
        .with("mbit_per_s", alone.mbit_per_s)
        .with("retransmitted_percent", alone.retransmitted_percent)
        .with("beside_mbit_per_s", beside.mbit_per_s)
        .with("neighbour_mbit_per_s", neighbour.mbit_per_s))
}

struct Transferred {
    mbit_per_s: f64,
    retransmitted_percent: f64,
}

fn transfer(port: u16, time: Duration, cubic: bool) -> Result<Transferred, Failure> {
    let (listening, is_listening) = channel();
    let receiver = tcp::far(move || {
        let listener = tcp::listener(port)?;
        listening.send(())?;
        let (mut stream, _) = listener.accept()?;
        let begun = Instant::now();
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let (mut bytes, mut block) = (0, vec![0; 1 << 16]);
        loop {
            let read = stream.read(&mut block).unwrap_or(0);
            let elapsed = begun.elapsed();
            if read == 0 || elapsed >= time {
                return Ok(bytes as f64 * 8.0 / 1e6 / elapsed.as_secs_f64());
            }
            bytes += read;
        }
    })?;
    is_listening.recv()?;
    let mut stream = TcpStream::connect((std::net::Ipv4Addr::from(tcp::THERE), port))?;
    if cubic {
        setsockopt(&stream, sockopt::TcpCongestion, &"cubic".into())?;
    }
    let block = vec![0; 1 << 14];
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    // The receiver closes when its time is over.
    while stream.write_all(&block).is_ok() {}
    let information = tcp::information(&stream)?;
    let sent = f64::from(information.tcpi_snd_mss).max(1.0);
    let mbit_per_s = tcp::joined(receiver)?;
    let segments = mbit_per_s * 1e6 / 8.0 * time.as_secs_f64() / sent;
    let retransmitted_percent = f64::from(information.tcpi_total_retrans) / segments * 100.0;
    Ok(Transferred { mbit_per_s, retransmitted_percent })
}
