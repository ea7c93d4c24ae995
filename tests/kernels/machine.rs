//! The machine that a kernel of the matrix is booted in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use boot::units::Bytes;
use profiles::catalogue::Member;
use rig::qemu::{self, QemuVersion};
use rig::{
    GuestFile, KeptBy, KernelFiles, ModuleError, ModuleIndex, Rig, RigSpec, Topology, provide,
};
use tempfile::TempDir;

use super::Wanted;
use crate::programs::programs;

/// How long a machine may take to start.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Where the modules and the script lie in the machine.
pub const INSIDE: &str = "/matrix";

/// A machine that runs a kernel of the matrix. It ends with this value.
pub struct Machine {
    rig: Rig,
    release: String,
    config: BTreeMap<String, String>,
    /// The options that the kernel's modules have, of those that are wanted.
    pub module_options: BTreeSet<String>,
    /// Wanted, and built into the kernel.
    built_in: BTreeSet<String>,
    /// In load order.
    loadable: Vec<String>,
    /// Held for as long as the files may be read.
    _files: TempDir,
}

impl Machine {
    /// Boots a kernel of the matrix.
    pub fn boot(member: &Member, wanted: &Wanted) -> Self {
        let cache = provide::cache_dir().expect("a place for the cache");
        let kernel = provide::kernel(&member.package, &member.suite, &cache, &())
            .unwrap_or_else(|error| panic!("the kernel of {}: {error}", member.name()));
        let config = config(&kernel);
        let mut files = Files::new();
        let modules = Modules::of(&kernel, wanted, &mut files);
        files.add("patterns", format!("{}\n", wanted.files.join("\n")).as_bytes());
        files.add("collect.sh", include_bytes!("collect.sh"));
        files.add("probe.sh", include_bytes!("probe.sh"));

        let qemu = qemu::provide(&QemuVersion::V10, &cache, &()).expect("QEMU");
        let mut qemu_args = QemuVersion::V10.arguments();
        qemu_args.extend(DEVICES.iter().map(|argument| (*argument).to_owned()));
        let spec = RigSpec {
            name: format!("kernels-{}", std::process::id()).parse().expect("a valid name"),
            topology: Topology::flat(2),
            memory: Bytes::gib(1),
            kernel,
            command_line: RigSpec::COMMAND_LINE.to_owned(),
            modules: ["virtio_blk", "virtio_net", "virtio_scsi", "sd_mod"]
                .map(str::to_owned)
                .to_vec(),
            files: files.list,
            archives: Vec::new(),
            cpu_model: RigSpec::CPU_MODEL.to_owned(),
            qemu_args,
            qemu,
            agent: programs().rig_agent.clone(),
            busybox: provide::busybox(&cache, &()).expect("busybox"),
            boot_timeout: PATIENCE,
        };
        let release = spec.kernel.release.clone();
        let rig = Rig::start(&spec, KeptBy::Thread, |_| ()).unwrap_or_else(|error| {
            crate::retry::examine(&error.console());
            panic!("the machine does not start: {error}");
        });
        let machine = Self {
            rig,
            release,
            config,
            module_options: modules.options,
            built_in: modules.built_in,
            loadable: modules.loadable,
            _files: files.folder,
        };
        machine.prepare();
        machine
    }
}

/// A disk behind each kind of driver, and a network device. Nothing is behind them.
const DEVICES: &[&str] = &[
    "-blockdev",
    "driver=null-co,node-name=disk,size=1073741824,read-zeroes=on",
    "-device",
    "virtio-blk-pci,drive=disk",
    "-blockdev",
    "driver=null-co,node-name=scsi,size=1073741824,read-zeroes=on",
    "-device",
    "virtio-scsi-pci",
    "-device",
    "scsi-hd,drive=scsi",
    "-netdev",
    "user,id=net,restrict=on",
    "-device",
    "virtio-net-pci,netdev=net",
];

impl Machine {
    /// Waits for the devices, and makes a control group with all controllers.
    fn prepare(&self) {
        self.sh(
            "for device in /sys/block/vda /sys/block/sda /sys/class/net/eth0; do \
                 tries=0; \
                 until [ -e $device ]; do \
                     tries=$((tries + 1)); [ $tries -lt 100 ] || { echo no $device >&2; exit 1; }; \
                     sleep 0.2; \
                 done; \
             done; \
             hostname matrix; ip link set eth0 up; \
             cd /sys/fs/cgroup && mkdir probe && \
             for it in $(cat cgroup.controllers); do echo +$it >cgroup.subtree_control || exit 1; done",
        );
    }

    /// What the kernel calls itself.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// How an option of the kernel is set; `n` where it is off, or there is none.
    pub fn option(&self, name: &str) -> &str {
        self.config.get(name).map_or("n", String::as_str)
    }

    /// Loads the modules that are wanted, and returns those that are there.
    pub fn load_modules(&self) -> BTreeSet<String> {
        let mut loaded = self.built_in.clone();
        for (number, name) in self.loadable.iter().enumerate() {
            // Some need hardware, and say so.
            let output = self.try_sh(&format!("insmod {INSIDE}/{number}.ko"));
            if output.is_some() || self.try_sh(&format!("test -d /sys/module/{name}")).is_some() {
                loaded.insert(name.clone());
            } else {
                println!("{}: {name} cannot be loaded here", self.release);
            }
        }
        loaded
    }

    /// Shows all that is wanted, as `collect.sh` does.
    pub fn look(&self) -> String {
        self.sh(&format!("sh {INSIDE}/collect.sh {INSIDE}/patterns"))
    }

    /// Writes a file of lines.
    pub fn write_lines(&self, path: &str, lines: &[String]) {
        for (first, piece) in lines.chunks(200).enumerate() {
            let into = if first == 0 { ">" } else { ">>" };
            self.sh(&format!("cat {into}{path} <<'END'\n{}\nEND", piece.join("\n")));
        }
    }

    /// Shows one folder.
    pub fn look_at(&self, folder: &str) -> String {
        self.sh(&format!("echo {folder} >/tmp/one; sh {INSIDE}/collect.sh /tmp/one"))
    }

    /// The I/O schedulers that a disk can have, `none` left out.
    pub fn schedulers(&self, disk: &str) -> Vec<String> {
        self.sh(&format!("cat /sys/block/{disk}/queue/scheduler"))
            .split_whitespace()
            .map(|name| name.trim_matches(['[', ']']).to_owned())
            .filter(|name| name != "none")
            .collect()
    }

    /// Runs a line of shell that must succeed, and returns what it prints.
    pub fn sh(&self, line: &str) -> String {
        let output = self.rig.sh(line).expect("the machine runs");
        assert!(output.status.success(), "`{line}` failed: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The same, and nothing where it fails.
    fn try_sh(&self, line: &str) -> Option<String> {
        let output = self.rig.sh(line).expect("the machine runs");
        output.status.success().then(|| output.text())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::retry::examine(&self.rig.console_log().unwrap_or_default());
        }
    }
}

/// How the kernel was configured: `/boot/config-RELEASE`, or beside the modules.
fn config(kernel: &KernelFiles) -> BTreeMap<String, String> {
    let beside_image = kernel.image.with_file_name(format!("config-{}", kernel.release));
    let text = fs::read_to_string(beside_image)
        .or_else(|_| fs::read_to_string(kernel.modules.join("config")))
        .expect("the kernel's package has its configuration");
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

/// Files that go into the machine.
struct Files {
    folder: TempDir,
    list: Vec<GuestFile>,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), list: Vec::new() }
    }

    fn add(&mut self, name: &str, contents: &[u8]) {
        let host = self.folder.path().join(name);
        fs::write(&host, contents).expect("a temporary file");
        let guest = format!("{INSIDE}/{name}").into();
        self.list.push(GuestFile { guest, host, mode: Some(0o644) });
    }
}

/// Modules of one kernel.
#[derive(Default)]
struct Modules {
    loadable: Vec<String>,
    built_in: BTreeSet<String>,
    options: BTreeSet<String>,
}

impl Modules {
    /// Gathers those that are wanted and that there are, with what they depend on.
    fn of(kernel: &KernelFiles, wanted: &Wanted, files: &mut Files) -> Self {
        let index = ModuleIndex::read(&kernel.modules).expect("the kernel's modules");
        let mut all = Self::default();
        let built_in = fs::read(kernel.modules.join("modules.builtin.modinfo")).unwrap_or_default();
        for entry in built_in.split(|byte| *byte == 0) {
            let entry = String::from_utf8_lossy(entry);
            if let Some((module, option)) = entry.split_once('.') {
                all.learn(module, option, wanted);
            }
        }
        for name in &wanted.modules {
            let modules = match index.resolve(&[name]) {
                Ok(modules) => modules,
                Err(ModuleError::Missing { .. }) => continue,
                Err(error) => panic!("module {name}: {error}"),
            };
            if modules.is_empty() {
                all.built_in.insert(name.clone());
            }
            for module in modules {
                for entry in module.contents.split(|byte| *byte == 0) {
                    all.learn(&module.name, &String::from_utf8_lossy(entry), wanted);
                }
                if !all.loadable.contains(&module.name) {
                    files.add(&format!("{}.ko", all.loadable.len()), &module.contents);
                    all.loadable.push(module.name);
                }
            }
        }
        all
    }

    /// Learns of an option from an entry of `.modinfo`: `parm=name:text` is there for options with a
    /// description, `parmtype=name:type` for those of a plain type.
    fn learn(&mut self, module: &str, entry: &str, wanted: &Wanted) {
        let option = entry.strip_prefix("parm=").or_else(|| entry.strip_prefix("parmtype="));
        let Some((option, _)) = option.and_then(|option| option.split_once(':')) else { return };
        let option = format!("{}.{option}", module.replace('-', "_"));
        if wanted.module_options.contains(&option) {
            self.options.insert(option);
        }
    }
}
