//! Short connections: one request, one answer.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::connect;

use crate::Failure;
use crate::arguments::Arguments;
use crate::numbers::{Readings, percentile};
use crate::tcp;

const PORT: u16 = 7004;
/// The first get a cookie.
const WARMING: usize = 2;

/// The far side makes `requests=` connections, one after the other, through `interface=`.
pub fn run(arguments: &Arguments) -> Result<Readings, Failure> {
    let requests = arguments.number("requests")?;
    let interface = arguments.text("interface")?;
    let listener = tcp::listener(PORT)?;
    let client = tcp::far(move || ask(requests))?;
    let mut bytes = 0.0;
    for number in 0..WARMING + requests {
        if number == WARMING {
            bytes = on_the_wire(interface)?;
        }
        let (mut stream, _) = listener.accept()?;
        stream.read_exact(&mut [0; 200])?;
        stream.write_all(&[b'x'; 1000])?;
    }
    let mut times = tcp::joined(client)?;
    let bytes = on_the_wire(interface)? - bytes;
    Ok(Readings::default()
        .with("median_ms", percentile(&mut times, 0.5))
        .with("p99_ms", percentile(&mut times, 0.99))
        .with("bytes", bytes / requests as f64))
}

fn ask(requests: usize) -> Result<Vec<Duration>, Failure> {
    let server = tcp::address(tcp::HERE, PORT);
    let mut times = Vec::new();
    for number in 0..WARMING + requests {
        let socket = tcp::fast_open_client()?;
        let begun = Instant::now();
        match connect(socket.as_raw_fd(), &server) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let mut stream = tcp::as_stream(socket);
        stream.write_all(&[b'?'; 200])?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        if number >= WARMING {
            times.push(begun.elapsed());
        }
        drop(stream);
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(times)
}

fn on_the_wire(interface: &str) -> Result<f64, Failure> {
    let count = |name: &str| -> Result<f64, Failure> {
        let path = format!("/sys/class/net/{interface}/statistics/{name}_bytes");
        Ok(fs::read_to_string(path)?.trim().parse()?)
    };
    Ok(count("rx")? + count("tx")?)
}
