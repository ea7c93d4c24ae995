//! File systems, modules, the host name and the port.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use rig::inside::{Module, SETUP, Setup};
use rig::wire::PORT;

/// Source and type, where, and options.
const MOUNTS: [(&str, &str, &str); 12] = [
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", "mode=0755"),
    ("devpts", "/dev/pts", "mode=0620,ptmxmode=0666"),
    ("tmpfs", "/dev/shm", "mode=1777"),
    ("tmpfs", "/tmp", "mode=1777,size=75%"),
    ("tmpfs", "/run", "mode=0755"),
    ("cgroup2", "/sys/fs/cgroup", ""),
    ("securityfs", "/sys/kernel/security", ""),
    ("debugfs", "/sys/kernel/debug", ""),
    ("tracefs", "/sys/kernel/tracing", ""),
    ("hugetlbfs", "/dev/hugepages", ""),
];

/// Mounts what a machine is expected to have. A kernel without one of them is told on the console:
/// whoever needs it will fail with its own message.
pub fn mount_all() {
    for (kind, target, options) in MOUNTS {
        // Fails where sysfs has the folder already, or where the file system's absence shows next.
        let _ = fs::create_dir_all(target);
        if let Err(error) = mount(Some(kind), target, Some(kind), MsFlags::empty(), Some(options)) {
            eprintln!("rig-agent: {target} ({kind}) is not mounted: {error}");
        }
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Does what the outside wrote down for us.
pub fn apply() -> io::Result<()> {
    let setup: Setup = serde_json::from_slice(&fs::read(SETUP)?)
        .map_err(|error| invalid(format!("{SETUP}: {error}")))?;
    // The kernel makes its root file system writable for everybody.
    fs::set_permissions("/", fs::Permissions::from_mode(0o755))?;
    nix::unistd::sethostname(&setup.hostname)?;
    for module in &setup.modules {
        load(module)?;
    }
    busybox(&["--install", "-s"]);
    busybox(&["ip", "link", "set", "lo", "up"]);
    Ok(())
}

fn load(module: &Module) -> io::Result<()> {
    let file = File::open(&module.path)?;
    let parameters = CString::new(module.parameters.as_str())
        .map_err(|_| invalid(format!("{}: a NUL in its parameters", module.path.display())))?;
    match finit_module(file, &parameters, ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(io::Error::new(
            io::Error::from(error).kind(),
            format!("module {}: {error}", module.path.display()),
        )),
    }
}

/// A start without these still gives a machine to look into.
fn busybox(arguments: &[&str]) {
    let status = Command::new("/bin/busybox").args(arguments).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => eprintln!("rig-agent: busybox {}: {status}", arguments.join(" ")),
        Err(error) => eprintln!("rig-agent: busybox {}: {error}", arguments.join(" ")),
    }
}

/// Opens the port once its driver has found it.
pub fn open_port() -> io::Result<OwnedFd> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(device) = find_port(Path::new("/sys/class/virtio-ports"))? {
            let file = File::options().read(true).write(true).open(&device);
            match file {
                Ok(file) => return Ok(file.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if Instant::now() > deadline {
            return Err(invalid(format!("no virtio-serial port named {PORT} appeared in 20 s")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn find_port(class: &Path) -> io::Result<Option<PathBuf>> {
    let ports = match fs::read_dir(class) {
        Ok(ports) => ports,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for port in ports {
        let port = port?;
        // The name appears a moment after the port itself.
        let name = fs::read_to_string(port.path().join("name")).unwrap_or_default();
        if name.trim_end() == PORT {
            return Ok(Some(Path::new("/dev").join(port.file_name())));
        }
    }
    Ok(None)
}
