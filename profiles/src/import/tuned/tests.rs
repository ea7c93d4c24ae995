//! TuneD profiles of our own, which between them use every feature.

use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use crate::catalogue::{Flavour, Version};
use crate::import::tests::{catalogue, checked, sound, told};
use crate::import::{Fate, Imported, Memory, Options, Problem, import};

const BASE: &str = "\
# A profile that others build on.
[main]
summary=Broad tuning
description=For machines of all kinds.

[cpu]
governor=performance
energy_perf_bias=performance|normal
min_perf_pct=100
force_latency=cstate.id_no_zero:1|3

[vm]
transparent_hugepages=never
transparent_hugepage.defrag=defer+madvise

[disk]
# At least four megabytes.
readahead=>4096

[sysctl]
vm.swappiness=10 # a comment
vm.dirty_ratio = 40
vm.dirty_background_ratio = 10
net.core.somaxconn=>2048
kernel.pid_max=<65536
net.ipv4.tcp_rmem=\"4096 87380
  16777216\"

[scheduler]
sched_min_granularity_ns = 10000000
";

const ISOLATED: &str = "\
[main]
summary=CPUs for one program
include=base

[variables]
include=/etc/tuned/isolated.conf
check = \\\\${isolated_cores}
isolated_cores = ${isolated_cores}
assert1=${f:assertion_non_equal:cores are set:${isolated_cores}:${check}}
unpacked=${f:cpulist_unpack:${isolated_cores}}
online=${f:cpulist_online:${unpacked}}
others=${f:cpulist2hex_invert:${unpacked}}
assert2=${f:assertion:cores are online:${unpacked}:${online}}
managed=${f:regex_search_ternary:${managed_irq}:\\b[yY1]\\b:managed_irq,domain,:}
made=${f:exec:mktemp:-d}

[sysfs]
/sys/bus/workqueue/devices/writeback/cpumask = ${others}
/sys/devices/virtual/workqueue/cpumask = ${others}
/sys/devices/system/machinecheck/machinecheck*/ignore_ce = 1
/sys/kernel/mm/ksm/run = 2
/sys/kernel/something_else = 1
/sys/block/sd*/queue/nr_requests = 256

[bootloader]
cmdline=+isolcpus=${managed}${isolated_cores} nohz_full=${isolated_cores} skew_tick=1 nosoftlockup
initrd_add_dir=${made}

[scheduler]
isolated_cores=${isolated_cores}
group.net=0:f:2:*:^\\[ksoftirqd

[net]
dynamic=0
channels=combined ${f:check_net_queue_count:${count}}
coalesce=rx-usecs 3 adaptive-rx off rx-usecs-irq 2
txqueuelen=5000

[script]
script=${i:PROFILE_DIR}/script.sh

[irqbalance]
banned_cpus=${isolated_cores}

[sysctl]
kernel.sched_rt_runtime_us=-1
vm.unset=${nobody}
";

const VARIABLES: &str = "# who runs the machine says which\nisolated_cores=${f:calc_isolated_cores:1}\nmanaged_irq=Y\nbare\n";

const OTHERS: &str = "\
[main]
summary=Whatever is left
include=base;-absent

[bootloader]
cmdline_a=+nosmt mitigations=off quiet
cmdline_b=-nosmt

[modules]
netrom=nr_ndevs=2
nvme_core=+r, max_retries=10

[audio]
timeout=10

[video]
radeon_powersave=dpm-balanced, auto

[eeepc_she]

[selinux]
avc_cache_threshold=8192

[mounts]
disable_barriers=force

[usb]
autosuspend=0

[disk-fast]
type=disk
devices=nvme*
elevator=none

[sysctl.arm]
type=sysctl
uname_regex=aarch64
vm.swappiness=1

[sysctl.off]
type=sysctl
enabled=false
vm.swappiness=2

[nobody]
knows=this
";

fn files(own: &[(&str, &str)]) -> Memory {
    let mut files = Memory::new(&[
        ("/usr/lib/tuned/base/tuned.conf", BASE),
        ("/usr/lib/tuned/isolated/tuned.conf", ISOLATED),
        ("/usr/lib/tuned/others/tuned.conf", OTHERS),
        ("/etc/tuned/isolated.conf", VARIABLES),
    ]);
    for (name, text) in own {
        files.insert(&format!("/usr/lib/tuned/{name}/tuned.conf"), text.as_bytes());
    }
    files
}

fn imported_with(names: &[&str], own: &[(&str, &str)], options: &Options) -> Imported {
    let paths: Vec<PathBuf> =
        names.iter().map(|name| format!("/usr/lib/tuned/{name}/tuned.conf").into()).collect();
    let imported = import(&paths, &files(own), catalogue(), options);
    let imported = imported.unwrap_or_else(|error| panic!("{error}"));
    sound(&imported);
    imported
}

fn imported(names: &[&str], own: &[(&str, &str)]) -> Imported {
    imported_with(names, own, &Options::default())
}

fn problems(own: &[(&str, &str)]) -> Vec<Problem> {
    let (name, _) = own.first().unwrap();
    let path = format!("/usr/lib/tuned/{name}/tuned.conf").into();
    import(&[path], &files(own), catalogue(), &Options::default()).unwrap_err().problems
}

#[test]
fn plain_options_become_settings() {
    insta::assert_snapshot!(told(&imported(&["base"], &[])));
}

#[test]
fn cpus_become_expressions() {
    insta::assert_snapshot!(told(&imported(&["isolated"], &[])));
}

#[test]
fn what_cannot_be_said_is_told() {
    insta::assert_snapshot!(told(&imported(&["others"], &[])));
}

#[test]
fn with_a_guard_they_check_clean() {
    let options = Options { guard: Some(Duration::from_secs(30)), ..Options::default() };
    let imported = imported_with(&["base", "isolated", "others"], &[], &options);
    assert_eq!(imported.profiles, ["base", "isolated", "others"]);
    for flavour in [Flavour::Cloud, Flavour::Generic, Flavour::Rt] {
        assert_eq!(checked(&imported, Version::new(6, 12), flavour), [""; 0]);
        assert_eq!(checked(&imported, Version::new(6, 1), flavour), [""; 0]);
    }
}

#[test]
fn each_option_is_accounted_for() {
    let imported = imported(&["base", "isolated", "others"], &[]);
    for (path, text) in [("base", BASE), ("isolated", ISOLATED), ("others", OTHERS)] {
        let mut section = "";
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
            }
            // Options of the unit itself are about its others.
            let own =
                ["type", "devices", "enabled", "uname_regex", "include", "summary", "description"];
            let is_own = own.iter().any(|own| line.split('=').next() == Some(own));
            if !line.contains('=')
                || line.starts_with('#')
                || section == "variables"
                || is_own
                || line.starts_with("dynamic")
            {
                continue;
            }
            let here = |at: &crate::import::Place| {
                at.line == number && at.file.to_string_lossy().contains(&format!("/{path}/"))
            };
            let found = imported.written.iter().any(|it| here(&it.at))
                || imported.remarks.iter().any(|it| here(&it.at));
            assert!(found, "{path}:{number} vanished: {line}");
        }
    }
}

/// The script of the last of some profiles, each extending `base`.
fn child(text: &str) -> Imported {
    imported(&["child"], &[("child", &format!("[main]\ninclude=base\n{text}"))])
}

#[test]
fn a_child_says_what_it_says_itself() {
    let own = child("[sysctl]\nvm.swappiness=20\n");
    assert!(
        own.script.contains("profile child extends base {\n    vm.swappiness = 20\n}"),
        "{}",
        own.script
    );
    assert_eq!(own.profiles, ["base", "child"]);
}

#[test]
fn what_cannot_be_taken_back_is_written_out() {
    for text in [
        // The other form of a value.
        "[sysctl]\nvm.dirty_ratio=0\nvm.dirty_bytes=268435456\n",
        "[sysctl]\nreplace=1\nvm.swappiness=20\n",
        "[sysctl]\ndrop=vm.swappiness\n",
        "[disk]\nenabled=0\n",
        // A bound of the parent's would still hold.
        "[sysctl]\nnet.core.somaxconn=512\n",
        "[sysctl]\nnet.core.somaxconn=>1024\n",
        "[cpu]\ngovernor=conservative|powersave\n",
    ] {
        let own = child(text);
        assert_eq!(own.profiles, ["child"], "{text}\n{}", own.script);
        assert!(own.script.contains("cpu.base_slice = 10ms"), "{text}\n{}", own.script);
        let why = own.remarks.iter().find(|it| it.why.contains("written out in full"));
        assert_eq!(why.map(|it| it.fate), Some(Fate::Changed), "{text}");
    }
    let bound = child("[sysctl]\nnet.core.somaxconn=>4096\n");
    assert!(
        bound.script.contains("child extends base {\n    raise net.core.somaxconn to 4096"),
        "{}",
        bound.script
    );
}

#[test]
fn parents_that_disagree_are_decided_by_the_child() {
    let own = [
        ("child", "[main]\ninclude=one, two\n"),
        ("one", "[sysctl]\nvm.swappiness=1\nvm.page-cluster=0\n"),
        ("two", "[sysctl]\nvm.swappiness=2\nvm.page-cluster=0\n"),
    ];
    let script = imported(&["child"], &own).script;
    assert!(
        script.contains("profile child extends one, two {\n    vm.swappiness = 2\n}"),
        "{script}"
    );
}

#[test]
fn devices_go_to_the_first_that_asks() {
    let some = imported(
        &["x"],
        &[(
            "x",
            "[d1]\ntype=disk\ndevices=sd*\nelevator=bfq\n[d2]\ntype=disk\nelevator=none\n[d3]\ntype=disk\ndevices=sda\nelevator=kyber\n",
        )],
    );
    assert!(some.script.contains("block \"sd*\" { scheduler = bfq }"), "{}", some.script);
    assert!(some.script.contains("block \"*\" { default scheduler = none }"), "{}", some.script);
    assert!(!some.script.contains("kyber }"), "{}", some.script);
    let not = imported(&["x"], &[("x", "[disk]\ndevices=!sda\nelevator=bfq\n")]);
    assert_eq!(not.written, []);
}

#[test]
fn guests_and_hosts_are_told_apart_in_words() {
    let own = [
        ("x", "[main]\ninclude=${f:virt_check:guest:base}\n"),
        ("guest", "[sysctl]\nvm.swappiness=30\n"),
    ];
    let imported = imported(&["x"], &own);
    assert!(imported.script.contains("profile x extends base {"), "{}", imported.script);
    assert!(imported.remarks.iter().any(|it| it.why.contains("in a virtual machine")));
}

#[test]
fn names_that_scripts_do_not_have_are_changed() {
    let own = [
        ("9.x-y", "[main]\nsummary=\"S\" \\ x\ninclude=9-x.y,in,default\n"),
        ("9-x.y", "[sysctl]\nvm.swappiness=1\n"),
        ("in", "[main]\nsummary=\n"),
        ("default", "[cpu]\n[disk]\n"),
    ];
    let imported = imported(&["9.x-y"], &own);
    assert_eq!(imported.profiles, ["profile-9-x-y", "profile-in", "default", "profile-9-x-y-2"]);
}

#[test]
fn circles_and_missing_profiles_are_told() {
    let circle = problems(&[("a", "[main]\ninclude=b\n"), ("b", "[main]\ninclude=a\n")]);
    assert!(
        matches!(circle.as_slice(), [Problem::Circle { circle, .. }] if *circle == ["a", "b", "a"])
    );
    let missing = problems(&[("a", "[main]\ninclude=nowhere, ../base\nx\n")]);
    let told: Vec<String> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter()
            .any(|it| it.contains("there is no TuneD profile `nowhere`: looked in /usr/lib/tuned")),
        "{told:?}"
    );
    assert!(told.iter().any(|it| it.contains("/a/tuned.conf:3: `x` is no option")), "{told:?}");
}

#[test]
fn chains_and_laughs_end() {
    let chain: Vec<(String, String)> =
        (0..60).map(|at| (format!("p{at}"), format!("[main]\ninclude=p{}\n", at + 1))).collect();
    let chain: Vec<(&str, &str)> = chain.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert!(matches!(problems(&chain).as_slice(), [Problem::TooMuch { .. }]));
    let mut laughs = "[variables]\na0=haha\n".to_owned();
    for level in 1..30 {
        laughs += &format!("a{level}={}\n", format!("${{a{}}}", level - 1).repeat(16));
    }
    laughs += "[sysctl]\nvm.swappiness=${a29}\n";
    assert!(problems(&[("a", &laughs)]).iter().all(|it| matches!(it, Problem::Expansion { .. })));
    let itself = imported(&["a"], &[("a", "[variables]\na=${a}\n[sysctl]\nvm.swappiness=${a}\n")]);
    assert!(itself.remarks.iter().any(|it| it.why.contains("the variable `a` is not defined")));
    let options =
        "[sysctl]\n".to_owned() + &(0..5000).map(|at| format!("k{at}=1\n")).collect::<String>();
    assert!(matches!(problems(&[("a", &options)]).as_slice(), [Problem::TooMuch { .. }]));
}

#[test]
fn variables_that_nobody_defines_leave_settings_out() {
    let own = [("x", "[main]\ninclude=isolated\n[variables]\ninclude=/etc/tuned/absent.conf\n")];
    let imported = imported(&["x"], &own);
    assert!(
        imported
            .remarks
            .iter()
            .any(|it| it.why.contains("TuneD refuses this profile as it is: cores are set"))
    );
    assert!(imported.remarks.iter().any(|it| it.why.contains("there is no such file")));
    assert!(!imported.script.contains("boot.isolated ="), "{}", imported.script);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever a profile says, a script comes out that can be read, or an error.
    #[test]
    fn anything_becomes_a_script(
        lines in prop::collection::vec(
            "\\[(main|sysctl|sysfs|variables|cpu|disk|net|bootloader|scheduler|modules|x)\\]|(include|summary|a|b|governor|elevator|readahead|devices|cmdline|isolated_cores|vm\\.swappiness|/sys/block/[a*]/queue/scheduler|coalesce)=(\\$\\{[ab]\\}|\\$\\{f:[a-z_]{1,9}:[0-9,:-]{0,5}\\}|>?[0-9]{1,5}|[ -~é]{0,9})",
            0..14
        )
    ) {
        let text = lines.join("\n");
        let files = files(&[("x", &text)]);
        let options = Options { guard: Some(Duration::from_secs(1)), ..Options::default() };
        if let Ok(imported) = import(&["/usr/lib/tuned/x/tuned.conf".into()], &files, catalogue(), &options) {
            sound(&imported);
            checked(&imported, Version::new(6, 12), Flavour::Generic);
        }
    }
}
