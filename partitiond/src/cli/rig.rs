//! Virtual servers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ::rig::qemu::QemuVersion;
use ::rig::{GuestFile, KeptBy, KernelFiles, Progress, Rig, RigName, RigSpec, Topology};
use boot::units::Bytes;
use images::definition::KernelSource;

use super::board::Task;
use super::exit::{FAILED, Failure, INVALID, NOT_FOUND, USAGE};
use super::render::{Table, clean};
use super::table::{Rig as RigCommand, RigShape};
use super::{Context, companions, output};

/// Where this program is, inside.
const INSIDE: &str = "/usr/bin/partitiond";

/// The kernel of a rig that names none.
const KERNEL: &str = "linux-6.12-cloud";

/// How long a rig may take to boot: QEMU emulates.
const BOOT_TIMEOUT: Duration = Duration::from_secs(180);

/// `rig …`
pub fn run(context: &Context, command: RigCommand) -> Result<(), Failure> {
    match command {
        RigCommand::Ls => list(context),
        RigCommand::Start { name, shape } => {
            ensure(context, &name, &shape).map(|_| context.remark(&format!("rig `{name}` is up")))
        }
        RigCommand::Down { name } => {
            Rig::attach(&name)?.stop()?;
            context.remark(&format!("rig `{name}` is down"));
            Ok(())
        }
        RigCommand::Console { name } => {
            let log = Rig::attach(&name)?.console_log().map_err(|error| Failure::of(&error))?;
            output::text(&log.lines().map(|line| clean(line) + "\n").collect::<String>())
        }
    }
}

/// The whole of a rig's keeper.
pub fn keep(directory: &Path) -> Result<(), Failure> {
    ::rig::keeper::keep_as_process(directory).map_err(|error| Failure::of(&error))
}

fn list(context: &Context) -> Result<(), Failure> {
    let mut rigs = Vec::new();
    for name in Rig::list()? {
        // It may have ended since.
        if let Some(spec) = Rig::attach(&name).ok().as_ref().and_then(spec) {
            rigs.push(spec);
        }
    }
    if context.json() {
        return output::json(&rigs);
    }
    let style = context.out();
    let heading = ["NAME", "CPUS", "SOCKETS", "NODES", "MEMORY", "KERNEL"];
    let mut table = Table::with_heading(&heading, |text| style.dim(text));
    for spec in rigs {
        table.row([
            spec.name.to_string(),
            spec.topology.cpus.to_string(),
            spec.topology.sockets.to_string(),
            spec.topology.nodes.to_string(),
            spec.memory.human(),
            spec.kernel.release,
        ]);
    }
    output::text(&table.render())
}

/// What a rig that runs was made of.
fn spec(rig: &Rig) -> Option<RigSpec> {
    serde_json::from_slice(&std::fs::read(rig.dir().spec()).ok()?).ok()
}

/// The rig of this name; started where it does not run.
pub fn ensure(context: &Context, name: &RigName, shape: &RigShape) -> Result<Rig, Failure> {
    match Rig::attach(name) {
        Ok(rig) => {
            let different = spec(&rig).and_then(|spec| difference(&spec, shape));
            match different {
                Some(what) => Err(Failure::with_status(USAGE, format_args!("rig `{name}` runs already, {what}"))
                    .hint(format!("leave the option out, choose another name, or stop it with `partitiond rig down {name}`"))),
                None => {
                    remark_other_build(context, &rig);
                    Ok(rig)
                }
            }
        }
        Err(::rig::RigError::State(::rig::StateError::NotRunning(_))) => {
            start(context, name, shape)
        }
        Err(error) => Err(error.into()),
    }
}

/// The file in a rig's directory that says which build of this program runs inside.
const BUILD: &str = "partitiond.digest";

/// The digest of this very program, `None` where it cannot be read.
fn own_build() -> Option<String> {
    let program = std::fs::read(companions::own().ok()?).ok()?;
    Some(images::manifest::Digest::of(&program).to_string())
}

/// Says that a rig which runs already has another build of this program inside. It is left there:
/// partitions may be running.
fn remark_other_build(context: &Context, rig: &Rig) {
    let inside = std::fs::read_to_string(rig.dir().path().join(BUILD)).ok();
    if is_other_build(inside.as_deref(), own_build().as_deref()) {
        let name = rig.name();
        context.remark(&format!(
            "rig `{name}` runs another build of partitiond than this one; `partitiond rig down \
             {name}` ends it, and the next command starts one with this build"
        ));
    }
}

/// Whether two builds are known and differ.
fn is_other_build(inside: Option<&str>, own: Option<&str>) -> bool {
    matches!((inside, own), (Some(inside), Some(own)) if inside != own)
}

/// What was asked for and is not so.
fn difference(spec: &RigSpec, shape: &RigShape) -> Option<String> {
    let Topology { cpus, sockets, .. } = spec.topology;
    if shape.cpus.is_some_and(|asked| asked != cpus) {
        return Some(format!("with {cpus} CPUs"));
    }
    if shape.sockets.is_some_and(|asked| asked != sockets) {
        return Some(format!("with {sockets} sockets"));
    }
    if shape.memory.is_some_and(|asked| asked != spec.memory) {
        return Some(format!("with {}", spec.memory));
    }
    shape.kernel.is_some().then(|| format!("with kernel {}", spec.kernel.release))
}

fn start(context: &Context, name: &RigName, shape: &RigShape) -> Result<Rig, Failure> {
    let own = companions::own()?;
    companions::must_be_static(&own)?;
    let agent = companions::find(companions::RIG_AGENT)?;
    let definition = rig_kernel(context, shape.kernel.as_deref().unwrap_or(KERNEL))?;
    let board = context.board();
    let task = board.task("rig");
    let cache = ::rig::provide::cache_dir().map_err(|error| Failure::of(&error))?;
    let version = match shape.qemu.as_deref() {
        Some("7") => QemuVersion::V7,
        None | Some("10") => QemuVersion::V10,
        Some(path) => QemuVersion::System(PathBuf::from(path)),
    };
    let qemu =
        ::rig::qemu::provide(&version, &cache, &task).map_err(|error| Failure::of(&error))?;
    let kernel = kernel_files(definition, &cache, &task)?;
    let busybox = ::rig::provide::busybox(&cache, &task).map_err(|error| Failure::of(&error))?;
    let sockets = shape.sockets.unwrap_or(1);
    let topology = Topology {
        cpus: shape.cpus.unwrap_or(4.max(sockets)),
        sockets,
        threads: 1,
        nodes: sockets,
    };
    let spec = RigSpec {
        name: name.clone(),
        topology,
        memory: shape.memory.unwrap_or(Bytes::gib(4)),
        kernel,
        command_line: RigSpec::COMMAND_LINE.to_owned(),
        modules: vec!["msr".to_owned()],
        files: vec![GuestFile { guest: INSIDE.into(), host: own.clone(), mode: Some(0o755) }],
        archives: Vec::new(),
        qemu,
        cpu_model: RigSpec::CPU_MODEL.to_owned(),
        qemu_args: version.arguments(),
        agent,
        busybox,
        boot_timeout: BOOT_TIMEOUT,
    };
    let mut keeper = Command::new(own);
    keeper.arg("rig-keeper");
    task.now("boot a virtual server");
    let started = Rig::start(&spec, KeptBy::Process(keeper), |progress| match progress {
        Progress::Step(text) => task.now(&text),
        Progress::Console(line) => task.console(&line),
    });
    match started {
        Ok(rig) => {
            if let Some(build) = own_build() {
                // Without it nobody is told when the program has become another.
                let _ = std::fs::write(rig.dir().path().join(BUILD), build);
            }
            let release = rig.hello().map(|hello| hello.release.clone()).unwrap_or_default();
            task.done(&format!("virtual server `{name}` runs Linux {}", clean(&release)));
            Ok(rig)
        }
        Err(error) => {
            task.failed("did not start");
            Err(error.into())
        }
    }
}

/// The kernel of a definition: a file's, or one that comes with partitiond.
fn rig_kernel(context: &Context, name: &str) -> Result<KernelSource, Failure> {
    let definition = match super::image::shipped_definition(name) {
        Some(shipped) => shipped?,
        None if name.ends_with(".ron") || name.contains('/') => {
            super::image::read_definition(context, Path::new(name))?
        }
        None => {
            let known = super::image::known_definitions();
            return Err(Failure::with_status(
                NOT_FOUND,
                format_args!("no image definition `{name}` for the rig's kernel; there are {known}"),
            )
            .hint("a stored image holds its kernel unpacked, which firmware cannot boot: name a definition, or its file"));
        }
    };
    Ok(definition.kernel)
}

fn kernel_files(source: KernelSource, cache: &Path, task: &Task) -> Result<KernelFiles, Failure> {
    match source {
        KernelSource::Debian { package, suite } => {
            let suite = suite.as_deref().ok_or_else(|| {
                Failure::with_status(INVALID, "the definition of a rig's kernel must name its suite: Debian(package: \"…\", suite: \"…\")")
            })?;
            ::rig::provide::kernel(&package, suite, cache, task)
                .map_err(|error| Failure::of(&error))
        }
        KernelSource::Host => {
            let (image, modules) =
                images::kernel::host_files().map_err(|error| Failure::of(&error))?;
            kernel_beside(image, modules)
        }
        KernelSource::File { path, modules: Some(modules) } => kernel_beside(path, modules),
        KernelSource::File { path, modules: None } => Err(Failure::with_status(
            INVALID,
            format_args!(
                "kernel {} comes without modules, and a rig needs some: File(path: \"vmlinuz\", modules: \"lib/modules/RELEASE\")",
                path.display()
            ),
        )),
    }
}

fn kernel_beside(image: PathBuf, modules: PathBuf) -> Result<KernelFiles, Failure> {
    let release = modules.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let release = release.ok_or_else(|| {
        Failure::with_status(
            INVALID,
            format_args!("{} is no directory of modules", modules.display()),
        )
    })?;
    Ok(KernelFiles { image, release, modules })
}

/// Sees to it that a supervisor answers inside.
pub fn supervise(rig: &Rig) -> Result<(), Failure> {
    if rig.connect(crate::api::SOCKET).is_ok() {
        return Ok(());
    }
    let output = rig.run([INSIDE, "serve", "--background"])?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<String> = said.lines().map(clean).collect();
    Err(Failure::with_status(
        FAILED,
        format_args!("no supervisor could be started in rig `{}`: {}", rig.name(), said.join("\n")),
    ))
}
