//! The same kernel and initramfs on a QEMU of their own, without `partitiond`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rig::RigSpec;
use rig::qemu::Qemu;
use scenarios::ImageFiles;
use tempfile::TempDir;

/// What guest-init writes to the console where there is no keeper.
const READY: &str = "guest-init: ready";
/// A boot that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Words of a partition's command line that mean nothing on a machine of its own: its serial port
/// is there, and what is the partition's is not.
const NOT_PLAIN: [&str; 3] = ["8250.nr_uarts", "disable_cpu_apicid", "partition.mailbox"];

/// A virtual machine, as large as a partition.
pub struct Plain {
    qemu: Qemu,
    image: ImageFiles,
    initramfs: PathBuf,
    command_line: String,
    megabytes: u64,
    cpus: u32,
    preallocated: bool,
    _folder: TempDir,
}

impl Plain {
    /// From the image and the command line that a partition had.
    pub fn new(qemu: Qemu, image: &ImageFiles, command_line: &str, megabytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let initramfs = folder.path().join("initramfs");
        let mut file = File::create(&initramfs).expect("an initramfs");
        let mut length = 0_u64;
        for part in &image.initramfs {
            let padding = length.next_multiple_of(4) - length;
            io::copy(&mut io::repeat(0).take(padding), &mut file).expect("padding");
            let mut part = File::open(part).expect("a part of the initramfs");
            length += padding + io::copy(&mut part, &mut file).expect("a part of the initramfs");
        }
        let name = |word: &&str| word.split('=').next().unwrap_or_default().to_owned();
        let mut words: Vec<&str> = command_line
            .split_whitespace()
            .filter(|word| !NOT_PLAIN.contains(&name(word).as_str()))
            .collect();
        // Nothing but guest-init's line: a serial port is slow.
        words.extend(["console=ttyS0", "quiet"]);
        let (image, command_line) = (image.clone(), words.join(" "));
        Self {
            qemu,
            image,
            initramfs,
            command_line,
            megabytes,
            cpus: 1,
            preallocated: true,
            _folder: folder,
        }
    }

    /// The same, but QEMU takes its memory when the kernel gets to it.
    pub fn lazy(mut self) -> Self {
        self.preallocated = false;
        self
    }

    /// The same on a machine of more CPUs, of which the kernel takes one: what it costs that an
    /// emulator has several CPUs to keep consistent.
    pub fn among(mut self, cpus: u32) -> Self {
        self.command_line.push_str(" nr_cpus=1");
        self.cpus = cpus;
        self
    }

    /// The kernel as the image has it: unpacked. QEMU puts it into memory, as a keeper does.
    pub fn vmlinux(&self) -> &Path {
        &self.image.vmlinux
    }

    /// The kernel as its package has it: firmware loads it, and it unpacks itself.
    pub fn vmlinuz(&self) -> &Path {
        &self.image.vmlinuz
    }

    /// Boots it with this kernel and gives the time until guest-init was ready.
    pub fn boot(&self, kernel: &Path) -> Duration {
        let begun = Instant::now();
        self.start(kernel).ready(begun)
    }

    /// Boots so many at once and gives the time until the last was ready.
    pub fn boot_at_once(&self, kernel: &Path, count: usize) -> Duration {
        let begun = Instant::now();
        let machines: Vec<Machine> = (0..count).map(|_| self.start(kernel)).collect();
        std::thread::scope(|scope| {
            let waiting: Vec<_> = machines
                .into_iter()
                .map(|machine| scope.spawn(move || machine.ready(begun)))
                .collect();
            let times = waiting.into_iter().map(|thread| thread.join().expect("it gets ready"));
            times.max().expect("at least one")
        })
    }

    /// As a rig does, less what a rig has for its own purposes: agent's port, IOMMU, monitor.
    fn start(&self, kernel: &Path) -> Machine {
        let (program, arguments) = self.qemu.program.split_first().expect("a program");
        let child = Command::new(program)
            .args(arguments)
            .args(["-machine", "q35", "-accel", "tcg,thread=multi"])
            .args(["-cpu", RigSpec::CPU_MODEL, "-smp", &self.cpus.to_string()])
            .args(["-m", &format!("{}M", self.megabytes)])
            // A partition's memory is taken when it starts, not when its kernel gets to it.
            .args(self.preallocated.then_some("-mem-prealloc"))
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(&self.initramfs)
            .args(["-append", &self.command_line])
            .args(["-serial", "stdio"])
            .envs(self.qemu.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("QEMU starts");
        Machine(child)
    }
}

/// A QEMU that ends with this value.
struct Machine(Child);

impl Machine {
    fn ready(mut self, begun: Instant) -> Duration {
        let console = self.0.stdout.take().expect("its console");
        let (sender, receiver) = std::sync::mpsc::channel();
        // Ends with QEMU, whose console ends then.
        std::thread::spawn(move || {
            for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if sender.send((begun.elapsed(), line)).is_err() {
                    return;
                }
            }
        });
        let mut console = String::new();
        while let Ok((after, line)) =
            receiver.recv_timeout(PATIENCE.saturating_sub(begun.elapsed()))
        {
            if line.contains(READY) {
                return after;
            }
            console.push_str(&line);
            console.push('\n');
        }
        panic!("QEMU was not ready within {PATIENCE:?}; its console:\n{console}");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
