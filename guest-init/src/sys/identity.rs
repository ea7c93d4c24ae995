//! What must not be the same in two partitions that go on from one snapshot.

use std::fs::{self, File};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;

use super::check;

/// Adds entropy, and has random numbers come from it at once (random(4)).
///
/// # Errors
///
/// What open(2) and ioctl(2) say.
pub fn reseed(seed: &[u8; 32]) -> io::Result<()> {
    /// `struct rand_pool_info`: how many bits, how many bytes, and those.
    #[repr(C)]
    struct Entropy {
        bits: i32,
        size: i32,
        bytes: [u8; 32],
    }
    const RNDADDENTROPY: libc::c_ulong = 0x4008_5203;
    const RNDRESEEDCRNG: libc::c_ulong = 0x5207;
    let device = File::options().write(true).open("/dev/urandom")?;
    let entropy = Entropy { bits: 256, size: 32, bytes: *seed };
    // SAFETY: the request reads this structure, which says how long it is.
    check(unsafe { libc::ioctl(device.as_raw_fd(), RNDADDENTROPY as _, &raw const entropy) })?;
    // SAFETY: it has no argument.
    check(unsafe { libc::ioctl(device.as_raw_fd(), RNDRESEEDCRNG as _) })?;
    Ok(())
}

/// Sets the time of day, in nanoseconds since 1970.
///
/// # Errors
///
/// What clock_settime(2) says.
pub fn set_clock(realtime_ns: u64) -> io::Result<()> {
    let time = libc::timespec {
        tv_sec: (realtime_ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (realtime_ns % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: it reads one `timespec`, which lives through the call.
    check(unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) })?;
    Ok(())
}

/// Writes another id where there is one (machine-id(5)).
///
/// # Errors
///
/// What read(2) and write(2) say.
pub fn set_machine_id(id: &[u8; 16]) -> io::Result<()> {
    let path = Path::new("/etc/machine-id");
    match fs::read(path) {
        // Nothing that could be the same, or to be made by whoever comes first.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(old) if old.len() < 32 => Ok(()),
        Err(error) => Err(error),
        Ok(_) => fs::write(path, format!("{}\n", text(id))),
    }
}

/// An id as the file has it: a random UUID (RFC 9562, version 4) without its dashes.
fn text(id: &[u8; 16]) -> String {
    let mut id = *id;
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Gives the network devices of a virtual machine their addresses, in the order of their places.
///
/// # Errors
///
/// What sysfs, socket(2) and ioctl(2) say; the first of them.
pub fn set_addresses(macs: &[[u8; 6]]) -> io::Result<()> {
    if macs.is_empty() {
        return Ok(());
    }
    // SAFETY: takes numbers, gives a descriptor.
    let fd =
        check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: just opened, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    for (name, mac) in devices(Path::new("/sys/class/net"))?.iter().zip(macs) {
        // SAFETY: `ifreq` is plain data for which zeros are valid.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        // One byte less than there is room: it ends with a zero.
        let room = libc::IFNAMSIZ - 1;
        for (into, from) in request.ifr_name.iter_mut().zip(name.bytes().take(room)) {
            *into = from as libc::c_char;
        }
        // SAFETY: all bytes of the union are there, and this is the member that goes with the request.
        let address = unsafe { &mut request.ifr_ifru.ifru_hwaddr };
        address.sa_family = libc::ARPHRD_ETHER;
        for (into, from) in address.sa_data.iter_mut().zip(mac) {
            *into = *from as libc::c_char;
        }
        // SAFETY: SIOCSIFHWADDR reads one `ifreq`, which lives through the call.
        check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFHWADDR as _, &request) })?;
    }
    Ok(())
}

/// The names of virtio network devices, by where their registers are.
fn devices(net: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(net)? {
        let entry = entry?;
        // …/LNRO0005:03/virtio3: the number counts the devices that ACPI tells of.
        let Ok(device) = fs::canonicalize(entry.path().join("device")) else { continue };
        let virtio = device.file_name().and_then(|name| name.to_str());
        let number = virtio.and_then(|name| name.strip_prefix("virtio")?.parse::<u32>().ok());
        if let Some(number) = number {
            found.push((number, entry.file_name().to_string_lossy().into_owned()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn network_devices_stand_in_the_order_of_their_places() {
        let folder = std::env::temp_dir().join(format!("identity-{}", std::process::id()));
        let (net, devices_folder) = (folder.join("net"), folder.join("devices"));
        for (name, device) in [("a", Some("virtio10")), ("b", Some("virtio9")), ("lo", None)] {
            fs::create_dir_all(net.join(name)).unwrap();
            if let Some(device) = device {
                fs::create_dir_all(devices_folder.join(device)).unwrap();
                symlink(devices_folder.join(device), net.join(name).join("device")).unwrap();
            }
        }
        let found = devices(&net);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found.unwrap(), ["b", "a"]);
    }

    #[test]
    fn an_id_is_a_random_uuid() {
        assert_eq!(text(&[0xff; 16]), "ffffffffffff4fffbfffffffffffffff");
    }
}
