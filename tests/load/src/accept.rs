//! A burst of connections to a server that does not accept for a while.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::linger;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::socket::{SockFlag, connect, setsockopt, sockopt};

use crate::Failure;
use crate::arguments::Arguments;
use crate::memory::mebibytes_of;
use crate::numbers::{Readings, milliseconds, percentile};
use crate::tcp;

const PORT: u16 = 7001;

/// `clients=` connect at once, while the server is away for `pause=` milliseconds; then it answers them one
/// by one.
pub fn run(arguments: &Arguments) -> Result<Readings, Failure> {
    let (clients, pause) = (arguments.number("clients")?, arguments.milliseconds("pause")?);
    let files = (clients as u64 + 100) * 2;
    setrlimit(Resource::RLIMIT_NOFILE, files, files)?;
    let listener = tcp::listener(PORT)?;
    let overflowed = overflows()?;
    let before = mebibytes_of("/proc/meminfo", "Slab")?;
    let burst = tcp::inside("way", move || burst(clients))?;
    std::thread::sleep(pause);
    let during = mebibytes_of("/proc/meminfo", "Slab")?;
    let begun = Instant::now();
    for _ in 0..clients {
        let (mut stream, _) = listener.accept()?;
        stream.write_all(b"!")?;
    }
    let answering = begun.elapsed();
    let overflows = overflows()? - overflowed;
    let (mut times, connecting) = tcp::joined(burst)?;
    Ok(Readings::default()
        .with("median_ms", percentile(&mut times, 0.5))
        .with("p90_ms", percentile(&mut times, 0.9))
        .with("p99_ms", percentile(&mut times, 0.99))
        .with("connecting_ms", milliseconds(connecting))
        .with("answering_ms", milliseconds(answering))
        .with("overflows", overflows)
        .with("slab_mib", during - before))
}

struct Client {
    stream: TcpStream,
    begun: Instant,
}

/// Connections that found the queue full, since boot.
fn overflows() -> Result<f64, Failure> {
    let text = std::fs::read_to_string("/proc/net/netstat")?;
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let names = lines.next().unwrap_or_default().split(' ');
    let found = names.zip(lines.next().unwrap_or_default().split(' '));
    let mut found = found.filter(|(name, _)| *name == "ListenOverflows");
    let value = found.next().and_then(|(_, value)| value.parse().ok());
    value.ok_or_else(|| "the kernel counts no overflows".into())
}

/// How long each waited, from its `connect` to its answer, and how long it took to connect them all.
fn burst(count: usize) -> Result<(Vec<Duration>, Duration), Failure> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let server = tcp::address(tcp::HERE, PORT);
    let from = Instant::now();
    let mut clients = Vec::with_capacity(count);
    for number in 0..count {
        let socket: OwnedFd = tcp::stream_socket(SockFlag::SOCK_NONBLOCK)?;
        // It goes with a reset, so that its port is free for the next burst.
        setsockopt(&socket, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })?;
        let begun = Instant::now();
        match connect(socket.as_raw_fd(), &server) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(format!("client {number}: {error}").into()),
        }
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        clients.push(Some(Client { stream: tcp::as_stream(socket), begun }));
    }
    let connecting = from.elapsed();
    let mut times = Vec::with_capacity(count);
    let mut events = vec![EpollEvent::empty(); 256];
    while times.len() < count {
        let ready = epoll.wait(&mut events, EpollTimeout::from(60_000u16))?;
        if ready == 0 {
            return Err(format!("{} of {count} clients wait in vain", count - times.len()).into());
        }
        for event in events.iter().take(ready) {
            let place = usize::try_from(event.data())?;
            let Some(mut client) = clients.get_mut(place).and_then(Option::take) else { continue };
            let mut answer = [0];
            client.stream.read_exact(&mut answer)?;
            times.push(client.begun.elapsed());
        }
    }
    Ok((times, connecting))
}
