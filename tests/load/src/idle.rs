//! Answers on a connection that was idle.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::arguments::Arguments;
use crate::numbers::{Readings, milliseconds, percentile};
use crate::tcp;

const PORT: u16 = 7003;
/// Requests that let the connection find out what the path carries.
const WARMING: usize = 8;
/// How often the neighbour sends a datagram.
const PERIOD: Duration = Duration::from_millis(4);

/// The far side asks for `kib=` KiB, `requests=` times, each after `pause=` milliseconds. A neighbour sends
/// datagrams on the same way meanwhile.
pub fn run(arguments: &Arguments) -> Result<Readings, Failure> {
    let answer = vec![b'x'; arguments.number("kib")? << 10];
    let (requests, pause) = (arguments.number("requests")?, arguments.milliseconds("pause")?);
    let listener = tcp::listener(PORT)?;
    let size = answer.len();
    let (begun, over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let datagrams = {
        let over = Arc::clone(&over);
        tcp::far(move || receive(begun, &over))?
    };
    let neighbour = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || send(begun, &over))
    };
    let client = tcp::far(move || ask(begun, size, requests, pause))?;
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    for _ in 0..WARMING + requests {
        stream.read_exact(&mut [0])?;
        stream.write_all(&answer)?;
    }
    let asked = tcp::joined(client)?;
    let retransmitted = tcp::information(&stream)?.tcpi_total_retrans;
    over.store(true, Ordering::Relaxed);
    tcp::joined(neighbour)?;
    let delays = tcp::joined(datagrams)?;

    let mut worst: Vec<Duration> = asked
        .iter()
        .filter_map(|(from, to)| {
            let on_the_way = delays.iter().filter(|(sent, _)| (from..to).contains(&sent));
            on_the_way.map(|(_, delay)| *delay).max()
        })
        .collect();
    let mut times: Vec<Duration> = asked.iter().map(|(from, to)| *to - *from).collect();
    Ok(Readings::default()
        .with("median_ms", percentile(&mut times, 0.5))
        .with("neighbour_ms", percentile(&mut worst, 0.5))
        .with("worst_neighbour_ms", worst.iter().copied().max().map_or(0.0, milliseconds))
        .with("retransmitted", f64::from(retransmitted)))
}

/// From when to when each answer was on its way.
fn ask(
    begun: Instant,
    size: usize,
    requests: usize,
    pause: Duration,
) -> Result<Vec<(Duration, Duration)>, Failure> {
    let mut stream = TcpStream::connect((Ipv4Addr::from(tcp::HERE), PORT))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut block = vec![0; size];
    let mut once = || -> Result<(Duration, Duration), Failure> {
        let from = begun.elapsed();
        stream.write_all(b"?")?;
        stream.read_exact(&mut block)?;
        Ok((from, begun.elapsed()))
    };
    for _ in 0..WARMING {
        once()?;
    }
    let mut asked = Vec::new();
    for _ in 0..requests {
        std::thread::sleep(pause);
        asked.push(once()?);
    }
    Ok(asked)
}

fn send(begun: Instant, over: &AtomicBool) -> Result<(), Failure> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    while !over.load(Ordering::Relaxed) {
        let now = u64::try_from(begun.elapsed().as_nanos())?;
        // Nobody may listen yet.
        let _ = socket.send_to(&now.to_le_bytes(), (Ipv4Addr::from(tcp::THERE), PORT));
        std::thread::sleep(PERIOD);
    }
    Ok(())
}

/// When each datagram was sent, and how long it took.
fn receive(begun: Instant, over: &AtomicBool) -> Result<Vec<(Duration, Duration)>, Failure> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let (mut delays, mut datagram) = (Vec::new(), [0; 8]);
    while !over.load(Ordering::Relaxed) {
        if socket.recv(&mut datagram).is_ok() {
            let sent = Duration::from_nanos(u64::from_le_bytes(datagram));
            delays.push((sent, begun.elapsed().saturating_sub(sent)));
        }
    }
    Ok(delays)
}
