//! From the first instruction of PID 1 to the last.

use std::path::Path;
use std::time::{Duration, Instant};

use protocol::Stop;
use protocol::image::{CONFIGURATION, ImageConfig};
use protocol::mailbox::{GuestState, Mailbox};

use crate::configuration::{cmdline, devices, image, modules};
use crate::guest::{Ending, Guest, Setting};
use crate::link::Link;
use crate::sys::files::{Proc, read_or_empty};
use crate::sys::{kmsg, machine, mounts, namespace, power};

/// How long the last messages may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Everything that PID 1 does. Never returns: the kernel panics when PID 1 ends.
pub fn run() -> ! {
    let mut warnings = mounts::mount_all();
    machine::open_standard_streams();
    kmsg::install_panic_hook();
    kmsg::info("started");
    let mut note = |what: &str, result: std::io::Result<()>| {
        if let Err(error) = result {
            warnings.push(format!("{what}: {error}"));
        }
    };
    machine::precise_sleeps();
    note("cannot run before all programs", machine::schedule_before_programs());
    note("cannot be spared by the OOM killer", machine::spare_from_oom());
    note("cannot bring the loopback interface up", machine::bring_up_loopback());
    let image = read_image(&mut warnings);
    load_virtio(&mut warnings);
    load_modules(&image.modules, &mut warnings);
    let cgroup = mounts::programs_cgroup()
        .map_err(|error| warnings.push(format!("no limit on the number of processes: {error}")))
        .ok();
    // Before the programs' own procfs is mounted over it.
    let proc = Proc::open();
    let namespace_init = namespace::enter()
        .map_err(|error| {
            warnings.push(format!(
                "programs run without a PID namespace, reboot(2) in one stops the kernel: {error}"
            ));
        })
        .ok();
    let link = connect(&mut warnings);
    for warning in &warnings {
        kmsg::warning(warning);
    }
    let setting = Setting { proc, cgroup, namespace_init, image, warnings };
    let mut guest = Guest::new(setting, link);
    let ending = guest.run();
    stop(&mut guest, &ending)
}

fn read_image(warnings: &mut Vec<String>) -> ImageConfig {
    let path = Path::new("/").join(CONFIGURATION);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return ImageConfig::default();
        }
        Err(error) => {
            warnings.push(format!("cannot read {}: {error}", path.display()));
            return ImageConfig::default();
        }
    };
    image::parse(&text).unwrap_or_else(|error| {
        warnings.push(format!("{}: {error}; nothing of it is used", path.display()));
        ImageConfig::default()
    })
}

fn load_modules(wanted: &[String], warnings: &mut Vec<String>) {
    if wanted.is_empty() {
        return;
    }
    let text = read_or_empty(&directory().join(modules::FILE).to_string_lossy());
    let list = match modules::ModuleList::parse(&text) {
        Ok(list) => list,
        Err(error) => return warnings.push(format!("no kernel modules loaded: {error}")),
    };
    let (paths, missing) = list.order(wanted);
    for name in missing {
        warnings.push(format!("kernel module {name} is not in the image"));
    }
    for path in paths {
        if let Err(error) = crate::sys::modules::load(&directory().join(path)) {
            warnings.push(format!("cannot load kernel module {path}: {error}"));
        }
    }
}

/// Loads what drives the devices of a virtual machine: first what finds them, then each one's own.
fn load_virtio(warnings: &mut Vec<String>) {
    let entries = |path: &str| {
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path())
    };
    let is_ours = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(devices::VIRTIO_MMIO)
    };
    if !entries("/sys/bus/acpi/devices").any(|path| is_ours(&path)) {
        return;
    }
    let mut load = |module: &str, driver: &str| {
        // Built in, it has a driver and no module.
        if !Path::new("/sys/bus").join(driver).exists()
            && let Err(error) = load_module(module)
        {
            warnings.push(format!("a device of this machine is not there: {error}"));
        }
    };
    load("virtio_mmio", "platform/drivers/virtio-mmio");
    for device in entries("/sys/bus/virtio/devices") {
        let alias = read_or_empty(&device.join("modalias").to_string_lossy());
        if let Some(module) = devices::module(&alias) {
            load(module, &format!("virtio/drivers/{module}"));
        }
    }
}

/// Where the modules of this kernel lie.
fn directory() -> std::path::PathBuf {
    Path::new("/lib/modules").join(machine::kernel_release())
}

/// Loads one module and what it needs.
pub(crate) fn load_module(name: &str) -> Result<(), String> {
    // Loaded, or built in.
    if Path::new("/sys/module").join(name.replace('-', "_")).exists() {
        return Ok(());
    }
    let mut warnings = Vec::new();
    load_modules(&[name.to_owned()], &mut warnings);
    match warnings.into_iter().next() {
        None => Ok(()),
        Some(warning) => Err(warning),
    }
}

/// The keeper behind the mailbox that the kernel command line names.
fn connect(warnings: &mut Vec<String>) -> Link {
    let address = match cmdline::mailbox(&read_or_empty("/proc/cmdline")) {
        Ok(Some(address)) => address,
        Ok(None) => {
            kmsg::info("no mailbox on the kernel command line: running without a keeper");
            return Link::none();
        }
        Err(error) => {
            warnings.push(error.to_string());
            return Link::none();
        }
    };
    let link = machine::map_mailbox(address)
        .map_err(|error| error.to_string())
        .and_then(|memory| Mailbox::open(memory).map_err(|error| error.to_string()))
        .and_then(|mailbox| Link::mailbox(mailbox).map_err(|error| error.to_string()));
    link.unwrap_or_else(|error| {
        warnings.push(format!("no keeper: mailbox at {address:#x}: {error}"));
        Link::none()
    })
}

/// Ends all programs, sees to it that nothing is lost, and stops the kernel.
fn stop(guest: &mut Guest, ending: &Ending) -> ! {
    if let Some(init) = guest.namespace_init() {
        init.kill();
        while init.try_wait().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    power::sync();
    mounts::unmount_all(&guest.mounts());
    power::sync();
    let link = guest.link();
    let patience = Instant::now() + LAST_WORDS;
    while !link.is_clear() && Instant::now() < patience {
        link.flush();
        std::thread::sleep(Duration::from_micros(100));
    }
    link.show_state(match ending.stop {
        Stop::PowerOff => GuestState::PoweringOff,
        Stop::Reboot => GuestState::Rebooting,
    });
    let error = power::stop(ending.stop);
    kmsg::warning(&format!("the kernel does not stop: {error}"));
    loop {
        std::thread::park();
    }
}
