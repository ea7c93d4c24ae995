//! Sends back what comes in on a unix socket; the tests put it into a rig.

use std::io;
use std::os::unix::net::UnixListener;

fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "/run/echo".into());
    for client in UnixListener::bind(path)?.incoming() {
        let mut client = client?;
        std::thread::spawn(move || io::copy(&mut client.try_clone()?, &mut client));
    }
    Ok(())
}
