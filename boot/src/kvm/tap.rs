//! Opening the host's side of a partition's network devices, for its process to have.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use super::message::Device;
use super::spec::TapSpec;

/// Why a network device cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// no network devices at all
    #[error("/dev/net/tun cannot be opened (modprobe tun)")]
    Tun(#[source] io::Error),
    /// somebody else has it
    #[error("the network device {0} is in use")]
    InUse(String),
    /// another kind
    #[error(
        "{0} is a network device of another kind: a tap is needed (ip tuntap add {0} mode tap)"
    )]
    Kind(String),
    /// a name that the kernel does not take
    #[error("`{0}` is no name of a network device")]
    Name(String),
    /// anything else
    #[error("the network device {name} cannot be {action}")]
    Device {
        /// Which.
        name: String,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// What stands before each packet: `struct virtio_net_hdr_v1` (virtio 1.2, section 5.1.6).
const HEADER: libc::c_int = 12;

/// Opens a tap, and makes it where it is not there; one that we made goes with the last who has it open. It is
/// up when this returns.
///
/// # Errors
///
/// [`TapError`]
pub fn open(tap: &TapSpec) -> Result<(Device, File), TapError> {
    let name = &tap.name;
    let failed = |action| move |source| TapError::Device { name: name.clone(), action, source };
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open("/dev/net/tun").map_err(TapError::Tun)?;
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags =
        (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    ask(&file, libc::TUNSETIFF as _, &mut request).map_err(|error| match error.raw_os_error() {
        Some(libc::EBUSY) => TapError::InUse(name.clone()),
        Some(libc::EINVAL) => TapError::Kind(name.clone()),
        _ => failed("had")(error),
    })?;
    let mut header = HEADER;
    ask(&file, libc::TUNSETVNETHDRSZ as _, &mut header).map_err(failed("set up"))?;
    // SAFETY: the number is given by value, and no memory is touched.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD as _, 0) } != 0 {
        return Err(failed("set up")(io::Error::last_os_error()));
    }
    let mtu = switch_on(name).map_err(failed("switched on"))?;
    Ok((Device::Net { mac: tap.mac, mtu }, file))
}

/// Switches a device on, and returns the largest packet that it takes.
fn switch_on(name: &str) -> io::Result<u16> {
    // SAFETY: no memory is passed; the descriptor is a new one of ours.
    let socket = unsafe {
        match libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) {
            -1 => return Err(io::Error::last_os_error()),
            socket => OwnedFd::from_raw_fd(socket),
        }
    };
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let mut request = request(name).map_err(invalid)?;
    ask(&socket, libc::SIOCGIFFLAGS as _, &mut request)?;
    // SAFETY: the kernel has just written this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags } | libc::IFF_UP as libc::c_short;
    request.ifr_ifru.ifru_flags = flags;
    ask(&socket, libc::SIOCSIFFLAGS as _, &mut request)?;
    ask(&socket, libc::SIOCGIFMTU as _, &mut request)?;
    // SAFETY: as above.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    Ok(u16::try_from(mtu).unwrap_or(u16::MAX))
}

fn request(name: &str) -> Result<libc::ifreq, TapError> {
    // SAFETY: all zeros are a valid value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // A zero ends it, and a percent sign would have the kernel choose a name.
    let fits = (1..request.ifr_name.len()).contains(&name.len())
        && !name
            .bytes()
            .any(|byte| matches!(byte, 0 | b'%' | b'/' | b':') || byte.is_ascii_whitespace());
    if !fits {
        return Err(TapError::Name(name.chars().take(40).collect()));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// An ioctl(2) whose argument the kernel reads and writes.
fn ask<T>(
    file: &impl std::os::fd::AsRawFd,
    number: libc::Ioctl,
    argument: &mut T,
) -> io::Result<()> {
    // SAFETY: callers pass what the request is documented to take.
    match unsafe { libc::ioctl(file.as_raw_fd(), number, std::ptr::from_mut(argument)) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MacAddress;

    #[test]
    fn names_that_are_none_are_refused() {
        for name in ["", "a b", "tap%d", "a/b", "a:b", "sixteen-bytes-xx", "nul\0"] {
            let tap = TapSpec { name: name.to_owned(), mac: MacAddress::of_name(name) };
            assert!(matches!(request(&tap.name), Err(TapError::Name(_))), "{name}");
        }
        assert!(request("fifteen-bytes-x").is_ok());
    }
}
