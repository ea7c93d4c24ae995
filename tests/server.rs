//! A virtual server with `partitiond` in it.

mod debian;
mod kill;
mod lives;
mod store;
mod view;

use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use boot::units::Bytes;
use images::definition::{Definition, KernelSource, shipped};
use rig::qemu::{self, QemuVersion};
use rig::{GuestFile, KeptBy, Output, Rig, RigSpec, Topology, provide};

use crate::programs::programs;
pub use lives::Lives;
pub use store::{ImageFiles, image_files};
pub use view::HostState;

/// How long a line of shell may take, on a machine that has other things to do. A host whose kernel
/// hangs says nothing.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long a server may take to show the logs of its partitions when its scenario has failed.
const LAST_LOOK: Duration = Duration::from_secs(20);

/// Lines of logs that are shown when a scenario fails.
const LAST_LINES: usize = 40;

/// What a server is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The definition whose kernel plays the host's.
    pub host: &'static str,
    /// Another kernel for the host: a Debian package and its suite.
    pub kernel: Option<(&'static str, &'static str)>,
    /// More devices, as arguments of QEMU.
    pub devices: &'static [&'static str],
    /// The definitions whose images are in the server's store, under their own names.
    pub images: &'static [&'static str],
    /// CPUs, sockets, nodes.
    pub topology: Topology,
    /// Memory.
    pub memory: Bytes,
    /// QEMU. Version 10 has x2APIC; with 7.2 the host's kernel starts CPUs.
    pub qemu: QemuVersion,
    /// Words for the host's command line, behind the usual ones.
    pub words: &'static str,
    /// Modules that the host has loaded besides those that it always has.
    pub modules: &'static [&'static str],
    /// Packages of Debian that it has, with all that they need. Their scripts have not run.
    pub packages: &'static [&'static str],
    /// Bytes of an empty disk, `/dev/vda`; none where that is 0. Its module is `virtio_blk`.
    pub disk: Bytes,
    /// Further words for the disk in QEMU, such as how slow it is: `,KEY=VALUE…`.
    pub disk_words: &'static str,
    /// Whether QEMU takes the memory at once, as a real server has it, or page by page when it is first
    /// touched, which costs whoever touches it.
    pub preallocated: bool,
    /// Files and folders of this machine that the server has, too.
    pub files: Vec<GuestFile>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            host: "linux-6.12-cloud",
            kernel: None,
            devices: &[],
            images: &["linux-6.1-cloud", "linux-6.12-rt"],
            topology: Topology::flat(4),
            memory: Bytes::gib(4),
            qemu: QemuVersion::V10,
            words: "",
            modules: &[],
            packages: &[],
            disk: Bytes::mib(0),
            disk_words: "",
            preallocated: false,
            files: Vec::new(),
        }
    }
}

/// A running server. It ends with this value.
pub struct Server {
    rig: Rig,
    /// What its disk holds; gone with it.
    _disk: Option<tempfile::NamedTempFile>,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub fn start(setup: &Setup) -> Self {
        let cache = provide::cache_dir().expect("a place for the cache");
        let quiet = ();
        let names = setup.images;
        let mut archives = vec![store::archive(names, &cache)];
        if !setup.packages.is_empty() {
            archives.push(debian::archive(setup.packages, &cache));
        }
        let (package, suite) = match setup.kernel {
            Some((package, suite)) => (package.to_owned(), suite.to_owned()),
            None => kernel_package(setup.host),
        };
        let kernel = provide::kernel(&package, &suite, &cache, &quiet).expect("the host's kernel");
        let qemu = qemu::provide(&setup.qemu, &cache, &quiet).expect("QEMU");
        let programs = programs();
        let mut qemu_args = setup.qemu.arguments();
        qemu_args.extend(setup.devices.iter().map(|argument| (*argument).to_owned()));
        qemu_args.extend(setup.preallocated.then(|| "-mem-prealloc".to_owned()));
        let disk = (setup.disk > Bytes::mib(0)).then(|| disk(setup.disk));
        if let Some(disk) = &disk {
            let (file, words) = (disk.path().display(), setup.disk_words);
            let drive = format!("file={file},if=virtio,format=raw{words}");
            qemu_args.extend(["-drive".to_owned(), drive]);
        }
        let command = GuestFile {
            guest: "/usr/bin/partitiond".into(),
            host: programs.partitiond.clone(),
            mode: Some(0o755),
        };
        let spec = RigSpec {
            name: unique_name(),
            topology: setup.topology,
            memory: setup.memory,
            kernel,
            command_line: format!("{} {}", RigSpec::COMMAND_LINE, setup.words),
            modules: ["msr allow_writes=on"]
                .iter()
                .chain(setup.modules)
                .map(|module| (*module).to_owned())
                .collect(),
            files: setup.files.iter().cloned().chain([command]).collect(),
            archives,
            cpu_model: RigSpec::CPU_MODEL.to_owned(),
            qemu_args,
            qemu,
            agent: programs.rig_agent.clone(),
            busybox: provide::busybox(&cache, &quiet).expect("busybox"),
            boot_timeout: Duration::from_secs(120),
        };
        let rig = Rig::start(&spec, KeptBy::Thread, |_| ()).unwrap_or_else(|error| {
            crate::retry::examine(&error.console());
            panic!("the server does not start: {error}");
        });
        let server = Self { rig, _disk: disk };
        server.bind_interrupts();
        server
    }

    /// Binds interrupts to a CPU that scenarios give to partitions. Those that may go to any CPU keep
    /// their affinity when one is taken, and nobody would see that it is not put back.
    fn bind_interrupts(&self) {
        let bound = self
            .sh("for file in /proc/irq/*/smp_affinity_list; do echo 2 >$file; done 2>/dev/null; \
             grep -lx 2 /proc/irq/*/smp_affinity_list");
        assert!(!bound.is_empty(), "some interrupt can be bound");
    }

    /// A server of the usual kind with these images in its store, and how its host is as long as nobody
    /// has touched it.
    pub fn untouched(images: &'static [&'static str]) -> (Self, HostState) {
        let server = Self::start(&Setup { images, ..Setup::default() });
        let state = server.state();
        (server, state)
    }

    /// Writes this cluster to `/cluster.ron` and brings it up.
    pub fn up(&self, cluster: &str) {
        self.write("/cluster.ron", cluster);
        self.sh("partitiond up /cluster.ron");
    }

    /// The rig that it is.
    pub fn rig(&self) -> &Rig {
        &self.rig
    }

    /// Runs a line of shell, whatever comes of it. A server that does not answer is ended.
    pub fn try_sh(&self, line: &str) -> Output {
        self.within(PATIENCE, line)
            .unwrap_or_else(|error| panic!("the server is gone, with `{line}`: {error}"))
    }

    fn within(&self, patience: Duration, line: &str) -> Result<Output, rig::ClientError> {
        let (done, answered) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                if answered.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                    println!("`{line}` has not ended within {patience:?}");
                    let _ = self.rig.qmp().map(|mut qmp| qmp.run("quit", serde_json::json!({})));
                }
            });
            let output = self.rig.run(["sh", "-c", line]);
            drop(done);
            output
        })
    }

    /// Runs a line of shell that must succeed, and returns what it prints, without the newline.
    pub fn sh(&self, line: &str) -> String {
        let output = self.try_sh(line);
        assert!(output.status.success(), "`{line}` failed: {output:?}");
        output.text().trim_end().to_owned()
    }

    /// Runs a line of shell that must fail, and returns its exit status and what it complains of.
    pub fn refused(&self, line: &str) -> (i32, String) {
        let output = self.try_sh(line);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status {
            rig::wire::Status::Exited(code) if code != 0 => (code, complaint),
            status => panic!("`{line}` was to be refused, but: {status:?}, {output:?}"),
        }
    }

    /// Writes a file.
    pub fn write(&self, path: &str, text: &str) {
        let local = std::env::temp_dir().join(format!("{}-file", unique_name()));
        std::fs::write(&local, text).expect("a temporary file");
        self.rig.put(&local, Path::new(path)).expect("the file arrives");
        let _ = std::fs::remove_file(&local);
    }

    /// Waits until a line of shell succeeds.
    pub fn wait_for(&self, line: &str, patience: Duration) {
        let begun = Instant::now();
        while !self.try_sh(line).status.success() {
            assert!(begun.elapsed() < patience, "`{line}` did not succeed within {patience:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What the server's kernel has printed.
    pub fn console(&self) -> String {
        self.rig.console_log().unwrap_or_default()
    }
}

/// An empty disk: what is never written takes no room.
fn disk(size: Bytes) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.as_file().set_len(size.0).expect("its size");
    file
}

/// The package and suite of a shipped definition.
fn kernel_package(name: &str) -> (String, String) {
    match definition(name).kernel {
        KernelSource::Debian { package, suite: Some(suite) } => (package, suite),
        other => panic!("{name} is no package of a suite: {other:?}"),
    }
}

fn definition(name: &str) -> Definition {
    let definition = shipped(name).unwrap_or_else(|| panic!("there is no definition {name}"));
    definition.expect("shipped definitions make sense")
}

fn unique_name() -> rig::RigName {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{count}", std::process::id()).parse().expect("a valid name")
}

/// What tells best why something ended.
fn last_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// A path below the cache.
fn in_cache(cache: &Path, name: &str) -> PathBuf {
    cache.join("tests").join(name)
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let console = self.console();
            crate::retry::examine(&console);
            // A partition's kernel runs on the same QEMU.
            let list = "cd /var/lib/partitiond/log && ls | sed -n 's/\\.jsonl$//p'";
            let Ok(names) = self.within(LAST_LOOK, list) else {
                println!("the server's last words:\n{}", last_words(&console));
                return;
            };
            for name in names.text().lines() {
                if let Ok(log) = self.within(LAST_LOOK, &format!("partitiond logs {name}")) {
                    crate::retry::examine(&log.text());
                    println!("{name}'s last words:\n{}", last_words(&log.text()));
                }
            }
        }
    }
}
