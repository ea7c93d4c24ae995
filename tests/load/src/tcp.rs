//! Sockets here and in the namespace `far`, which plays another machine.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread::JoinHandle;

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt,
};

use crate::Failure;

/// The address of the machine that is tuned, as the far side sees it.
pub const HERE: [u8; 4] = [10, 0, 1, 1];
/// The address of the far side.
pub const THERE: [u8; 4] = [10, 0, 2, 1];

/// Runs a function in a thread on the far side.
///
/// # Errors
/// There is no far side.
pub fn far<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<JoinHandle<Result<T, Failure>>, Failure> {
    inside("far", run)
}

/// Runs a function in a thread in a network namespace.
///
/// # Errors
/// There is none of this name.
pub fn inside<T: Send + 'static>(
    namespace: &str,
    run: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<JoinHandle<Result<T, Failure>>, Failure> {
    // Where `ip netns add` leaves it.
    let path = format!("/run/netns/{namespace}");
    let namespace = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
    Ok(std::thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        run()
    }))
}

/// What a thread came to.
///
/// # Errors
/// It failed, or panicked.
pub fn joined<T>(thread: JoinHandle<Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().unwrap_or_else(|_| Err("a thread panicked".into()))
}

/// The address of a port.
pub fn address([a, b, c, d]: [u8; 4], port: u16) -> SockaddrIn {
    SockaddrIn::new(a, b, c, d, port)
}

/// A socket of TCP.
///
/// # Errors
/// The kernel gives none.
pub fn stream_socket(flags: SockFlag) -> nix::Result<OwnedFd> {
    socket(AddressFamily::Inet, SockType::Stream, flags | SockFlag::SOCK_CLOEXEC, None)
}

/// Listens on all addresses, with a queue as long as the kernel grants, and Fast Open with it.
///
/// # Errors
/// The port is taken.
pub fn listener(port: u16) -> Result<TcpListener, Failure> {
    let socket = stream_socket(SockFlag::empty())?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &address([0, 0, 0, 0], port))?;
    option(&socket, libc::TCP_FASTOPEN, 1024)?;
    // nix grants no more than 4,096, whatever the kernel's limit is.
    // SAFETY: the call takes no pointers.
    if unsafe { libc::listen(socket.as_raw_fd(), 65535) } != 0 {
        return Err(io::Error::last_os_error().into());
    }
    Ok(socket.into())
}

/// Sets an option of TCP.
///
/// # Errors
/// The kernel refuses it.
pub fn option(socket: &impl AsRawFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer is to a `c_int` that lives through the call, and `size` is its size.
    let result = unsafe {
        let value = (&raw const value).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, option, value, size)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What the kernel knows of a connection.
///
/// # Errors
/// The socket is none of TCP.
pub fn information(socket: &impl AsRawFd) -> io::Result<libc::tcp_info> {
    // SAFETY: `tcp_info` consists of integers, for which zeros are values.
    let mut information: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut size = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes no more than `size` bytes, the size of what is pointed to.
    let result = unsafe {
        let target = (&raw mut information).cast();
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            target,
            &raw mut size,
        )
    };
    if result == 0 { Ok(information) } else { Err(io::Error::last_os_error()) }
}

/// A client of Fast Open: `connect` returns at once, and what is written first goes out with the SYN where
/// the kernels of both sides have it so.
///
/// # Errors
/// The kernel has no Fast Open.
pub fn fast_open_client() -> Result<OwnedFd, Failure> {
    let socket = stream_socket(SockFlag::empty())?;
    option(&socket, libc::TCP_FASTOPEN_CONNECT, 1)?;
    Ok(socket)
}

/// Owned anew; for what the standard library wants to own.
pub fn as_stream(socket: OwnedFd) -> std::net::TcpStream {
    socket.into()
}
