use super::*;
use crate::catalogue::{Flavour, Kernel};
use crate::diagnostic::FileId;
use crate::expression::Cpus;
use crate::script::Script;

mod dangers;
mod inheritance;
mod workloads;

/// A machine of 8 CPUs and 16 GiB, of which much is known.
fn facts(version: &str, flavour: Flavour) -> Facts {
    let kernel = Kernel::new(version.parse().unwrap(), flavour);
    let mut facts = Facts::of_kernel(kernel).with_cpus(8).with_memory(16 << 30);
    for (name, value) in [
        ("memory.available", Value::bytes(12 << 30)),
        ("memory.committed", Value::bytes(4 << 30)),
        ("memory.huge_page", Value::bytes(2 << 20)),
        ("memory.huge_total", Value::bytes(0)),
        ("memory.huge_free", Value::bytes(0)),
        ("tasks.maximum", Value::Number(3000)),
        ("tasks.running", Value::Number(300)),
        ("tasks.realtime_on_shared_cpus", Value::Flag(false)),
        ("kernel.boots_partitions", Value::Flag(true)),
        ("kernel.lockdown", Value::Flag(false)),
        ("net.routes", Value::Flag(false)),
        ("boot.isolated", Value::Cpus(Cpus::new())),
        ("boot.nohz_full", Value::Cpus(Cpus::new())),
        ("vm.committed_limit", Value::bytes(8 << 30)),
    ] {
        facts.know(name, value);
    }
    facts
}

/// What became of the last profile of a script.
struct Outcome {
    /// `NAME = VALUE @ PLACE`
    settings: Vec<String>,
    not_applicable: Vec<String>,
    undecided: Vec<String>,
    /// `error[KS0000]: message`
    told: Vec<String>,
}

fn on(facts: &Facts, present: &Present, text: &str) -> Outcome {
    let read = Script::read(FileId::default(), text);
    assert!(read.is_ok(), "{:?}", read.diagnostics);
    let last = read.script.profiles.last().unwrap().name.text.clone();
    let (mut library, mut diagnostics) = (Library::default(), Vec::new());
    library.add(read.script, &mut diagnostics);
    library.check(&mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let resolution = resolve(&Request {
        library: &library,
        profile: &last,
        arguments: &Arguments::new(),
        facts,
        present,
        catalogue: Catalogue::built_in().unwrap(),
    })
    .unwrap();
    let goal = |resolved: &Resolved<'_>| match &resolved.goal {
        Goal::Exactly(value) => match resolved.setting {
            Some(setting) => setting.kind.written(value),
            None => value.to_string(),
        },
        other => format!("{other:?}"),
    };
    let settings = resolution.settings.iter();
    Outcome {
        settings: settings
            .map(|resolved| format!("{} = {} @ {}", resolved.name, goal(resolved), resolved.place))
            .collect(),
        not_applicable: resolution
            .not_applicable
            .iter()
            .map(|it| format!("{}: {}", it.name, it.reason))
            .collect(),
        undecided: resolution
            .undecided
            .iter()
            .map(|it| format!("{}: {}", it.fact, it.what))
            .collect(),
        told: resolution
            .diagnostics
            .iter()
            .map(|it| {
                let severity = if it.is_error() { "error" } else { "warning" };
                format!("{severity}[{}]: {} ({})", it.code, it.message, it.primary.text)
            })
            .collect(),
    }
}

fn resolved(text: &str) -> Outcome {
    on(&facts("6.12", Flavour::Generic), &Present::default(), text)
}

/// The settings of one profile with these statements, which are in order.
fn settings(statements: &str) -> Vec<String> {
    let outcome = resolved(&format!("profile p {{\n{statements}\n}}"));
    assert_eq!(outcome.told, [""; 0]);
    assert_eq!(outcome.undecided, [""; 0]);
    outcome.settings
}

/// What is told of one profile with these statements.
fn told(statements: &str) -> Vec<String> {
    resolved(&format!("profile p {{\n{statements}\n}}")).told
}

#[test]
fn settings_find_their_place_and_form() {
    assert_eq!(
        settings(
            "vm.swappiness = 3
            vm.dirty = bytes { limit: 512MiB, background: 64MiB }
            mm.thp = never
            cpu.base_slice = 3ms
            net.ipv4.tcp_rmem = { min: 4KiB, default: 128KiB, max: 16MiB }
            net.ipv4.conf.all.log_martians = on
            net { ipv4 { tcp_congestion_control = bbr } }"
        ),
        [
            "cpu.base_slice = 3000000 @ /sys/kernel/debug/sched/base_slice_ns",
            "mm.thp = never @ /sys/kernel/mm/transparent_hugepage/enabled",
            "net.ipv4.conf.log_martians of all = 1 @ /proc/sys/net/ipv4/conf/all/log_martians",
            "net.ipv4.tcp_congestion_control = bbr @ /proc/sys/net/ipv4/tcp_congestion_control",
            "net.ipv4.tcp_rmem = 4096 131072 16777216 @ /proc/sys/net/ipv4/tcp_rmem",
            "vm.dirty_background_bytes = 67108864 @ /proc/sys/vm/dirty_background_bytes",
            "vm.dirty_bytes = 536870912 @ /proc/sys/vm/dirty_bytes",
            "vm.swappiness = 3 @ /proc/sys/vm/swappiness",
        ]
    );
}

#[test]
fn one_script_for_every_kernel() {
    let text = "profile p { cpu.base_slice = 3ms; cpu.latency = 20ms; mm.thp = never }";
    let places = |version, flavour| {
        let outcome = on(&facts(version, flavour), &Present::default(), text);
        assert_eq!(outcome.told, [""; 0]);
        let short = |line: &String| line.rsplit('/').next().unwrap().to_owned();
        let absent =
            outcome.not_applicable.iter().map(|it| it.split(':').next().unwrap().to_owned());
        (outcome.settings.iter().map(short).collect::<Vec<_>>(), absent.collect::<Vec<_>>())
    };
    let (there, absent) = places("5.10", Flavour::Generic);
    assert_eq!(there, ["sched_min_granularity_ns", "sched_latency_ns", "enabled"]);
    assert_eq!(absent, [""; 0]);
    let (there, _) = places("6.1", Flavour::Cloud);
    assert_eq!(there, ["min_granularity_ns", "latency_ns", "enabled"]);
    let (there, absent) = places("6.12", Flavour::Rt);
    assert_eq!(there, ["base_slice_ns"]);
    assert_eq!(absent, ["cpu.latency", "mm.thp"]);
}

#[test]
fn what_is_required_has_to_be_there() {
    let rt = facts("6.12", Flavour::Rt);
    let outcome = on(&rt, &Present::default(), "profile p { required mm.thp = never }");
    assert!(outcome.told[0].contains("`mm.thp` is required, and this kernel does not have it"));
    assert!(outcome.told[0].contains("real-time"), "{}", outcome.told[0]);
}

#[test]
fn devices_are_patterns_until_the_machine_is_known() {
    let text = r#"profile p {
            block "nvme*", "sd?" { scheduler = none }
            net "eth0" { ipv4.conf.rp_filter = 1 }
        } guard p { confirm within 10s }"#;
    let offline = resolved(text);
    assert_eq!(
        offline.settings,
        [
            "block.scheduler of nvme* = none @ /sys/block/nvme*/queue/scheduler",
            "block.scheduler of sd? = none @ /sys/block/sd?/queue/scheduler",
            "net.ipv4.conf.rp_filter of eth0 = 1 @ /proc/sys/net/ipv4/conf/eth0/rp_filter",
        ]
    );
    let mut present = Present::default();
    let disks = ["nvme0n1", "nvme1n1", "vda"].map(str::to_owned).to_vec();
    present.devices.insert(DeviceKind::Block, disks);
    present.devices.insert(DeviceKind::Net, vec!["ens3".to_owned()]);
    let live = on(&facts("6.12", Flavour::Generic), &present, text);
    assert_eq!(
        live.settings,
        [
            "block.scheduler of nvme0n1 = none @ /sys/block/nvme0n1/queue/scheduler",
            "block.scheduler of nvme1n1 = none @ /sys/block/nvme1n1/queue/scheduler",
        ]
    );
    assert_eq!(live.not_applicable, ["net.ipv4.conf.rp_filter: no device is called eth0"]);
    assert!(told("block \"../x\" { scheduler = none }")[0].contains("is not the name of a device"));
    assert!(told("block.scheduler = none")[0].contains("for which one?"));
}

#[test]
fn what_the_catalogue_does_not_know_is_refused_by_name() {
    let message = &told("vm.swapiness = 3")[0];
    assert!(message.contains("the catalogue has no setting `vm.swapiness`"), "{message}");
    assert!(told("vm { swapiness = 3 }")[0].contains("vm.swapiness"));
    assert!(told("vm.swappiness = 3ms")[0].contains("takes a whole number"));
    assert!(told("vm.dirty_bytes = 64")[0].contains("takes a size"));
    assert!(told("mm.thp = newer")[0].contains("there is no value `newer` here"));
    assert!(told("vm.swappiness = 300")[0].contains("the kernel does not take 300"));
    assert!(told("vm.dirty = byte { limit: 1GiB }")[0].contains("no value `byte`"));
    assert!(
        told("vm.dirty = bytes { limits: 1GiB }")[0].contains("has the parts background, limit")
    );
    assert!(told("vm.swappiness += 3")[0].contains("is not a list"));
}

#[test]
fn raw_files_take_a_guard() {
    let text = r#"profile p { raw "/proc/sys/vm/new" = 1 }"#;
    assert!(resolved(text).told[0].contains("takes a guard"));
    let guarded = resolved(&format!("{text} guard p {{ confirm within 10s }}"));
    assert_eq!(guarded.settings, ["/proc/sys/vm/new = 1 @ /proc/sys/vm/new"]);
    assert!(told(r#"raw "/etc/passwd" = 1"#)[0].contains("outside of /proc/sys and /sys"));
}

#[test]
fn old_names_of_values_lead_to_todays() {
    let outcome = resolved(r#"profile p { block "*" { scheduler = noop } }"#);
    assert_eq!(outcome.settings, ["block.scheduler of * = none @ /sys/block/*/queue/scheduler"]);
    assert!(outcome.told[0].starts_with("warning"), "{}", outcome.told[0]);
}

#[test]
fn pairs_are_looked_at() {
    let both = told("vm.dirty_bytes = 512MiB; vm.dirty_ratio = 20%");
    assert_eq!(both.len(), 1);
    assert!(both[0].contains("one value in two forms"), "{}", both[0]);
    let turned = told("vm.dirty = bytes { limit: 64MiB, background: 1GiB }");
    assert_eq!(turned.len(), 1, "{turned:?}");
    assert!(turned[0].contains("`vm.dirty_background_bytes` is above `vm.dirty_bytes`"));
}

#[test]
fn what_is_not_known_is_left_to_the_machine() {
    let kernel = Kernel::new("6.12".parse().unwrap(), Flavour::Generic);
    let described = Facts::of_kernel(kernel).with_cpus(8).with_memory(16 << 30);
    let text = "profile p { kernel.pid_max = 1000000; vm.swappiness = 3 if tasks.running > 5
        vm.min_free_kbytes = 128MiB }";
    let outcome = on(&described, &Present::default(), text);
    assert_eq!(outcome.told, [""; 0]);
    assert_eq!(
        outcome.undecided,
        [
            "tasks.maximum: whether 1000000 is safe for `kernel.pid_max`",
            "tasks.running: vm.swappiness"
        ]
    );
    assert_eq!(outcome.settings.len(), 2, "{:?}", outcome.settings);
}

#[test]
fn the_command_line_is_made_of_settings() {
    assert_eq!(
        settings("boot { cmdline += \"skew_tick=1 nosmt\" }"),
        [
            "boot.nosmt = nosmt @ kernel command line, nosmt",
            "boot.skew_tick = 1 @ kernel command line, skew_tick=",
        ]
    );
    assert!(told("boot { cmdline += \"skew_tik=1\" }")[0].contains("does not know `skew_tik=1`"));
    let twice = told("boot { cmdline += \"skew_tick=1\"; skew_tick = off }");
    assert!(twice[0].contains("sets `boot.skew_tick` to"), "{twice:?}");
}

#[test]
fn requirements_hold_or_are_told() {
    assert_eq!(told("require memory.total >= 4GiB; forbid kernel.lockdown"), [""; 0]);
    let told = told("require memory.total >= 32GiB; kernel flavour in [rt]");
    assert!(
        told[0].contains("requires this") && told[0].contains("memory.total is 16GiB"),
        "{told:?}"
    );
    assert!(
        told[1].contains("not for this kernel") && told[1].contains("kernel.flavour is generic")
    );
}

#[test]
fn each_queue_of_a_device_is_set() {
    let facts = facts("6.12", Flavour::Generic);
    let mut present = Present::default();
    present.devices.insert(DeviceKind::Net, vec!["eth0".to_owned(), "lo".to_owned()]);
    let queues = ["rx-0", "rx-1", "tx-0"].map(str::to_owned).to_vec();
    present.queues.insert("eth0".to_owned(), queues);
    let text = "profile p { net \"eth0\" { rps_cpus = 1-2; xps_cpus = 3 } }";
    let here = on(&facts, &present, text);
    assert_eq!(here.told, [""; 0]);
    assert_eq!(
        here.settings,
        [
            "net.device.rps_cpus of eth0/rx-0 = 6 @ /sys/class/net/eth0/queues/rx-0/rps_cpus",
            "net.device.rps_cpus of eth0/rx-1 = 6 @ /sys/class/net/eth0/queues/rx-1/rps_cpus",
            "net.device.xps_cpus of eth0/tx-0 = 8 @ /sys/class/net/eth0/queues/tx-0/xps_cpus",
        ]
    );
    // Where nobody knows the machine, any queue.
    let anywhere = on(&facts, &Present::default(), text);
    let any = "net.device.rps_cpus of eth0 = 6 @ /sys/class/net/eth0/queues/rx-*/rps_cpus";
    assert_eq!(anywhere.settings[0], any);
    present.queues.insert("eth0".to_owned(), vec!["tx-0".to_owned()]);
    let none = on(&facts, &present, "profile p { net \"eth0\" { rps_cpus = 1 } }");
    assert_eq!(none.not_applicable, ["net.device.rps_cpus of eth0: the device has no such queue"]);
}
