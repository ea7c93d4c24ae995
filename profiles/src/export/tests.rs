//! Each format with values that try to leave it.

use proptest::prelude::*;

use super::*;

fn entry(at: Where, value: &str) -> Entry {
    Entry { at, value: value.into(), comment: "p.ks:1\\\nx".into() }
}

fn file(path: &str, value: &str) -> Entry {
    entry(Where::File(path.into()), value)
}

/// The lines of the one file that comes of an entry, without comments; or why there is none.
fn lines(entry: Entry) -> Result<Vec<String>, String> {
    let exported = export("p", &[entry]);
    match (exported.files.as_slice(), exported.remarks.as_slice()) {
        ([file], []) => {
            let lines = file.text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            Ok(lines.map(str::to_owned).collect())
        }
        ([], [remark]) => Err(remark.why.clone()),
        other => panic!("{other:?}"),
    }
}

fn line(entry: Entry) -> String {
    let lines = lines(entry).unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.concat()
}

#[test]
fn every_format_with_its_file() {
    let cgroup = |file: &str, value: &str| {
        entry(Where::Cgroup("system.slice/db.service".into(), file.into()), value)
    };
    let exported = export(
        "my profile/..",
        &[
            file("/proc/sys/vm/swappiness", "3"),
            file("/proc/sys/net/ipv4/conf/eth0.100/rp_filter", "2"),
            file("/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456"),
            file("/sys/block/sd*/queue/scheduler", "mq-deadline"),
            file("/sys/class/net/eth0/gro_flush_timeout", "20000"),
            file("/sys/kernel/mm/transparent_hugepage/enabled", "never"),
            file("/proc/irq/default_smp_affinity", "3"),
            entry(Where::ModuleOption("nvme_core.io_timeout".into()), "30"),
            entry(Where::CommandLine("skew_tick=".into()), "1"),
            entry(Where::CommandLine("nosmt".into()), "nosmt"),
            entry(Where::CommandLine("nokaslr".into()), ""),
            cgroup("memory.max", "max"),
            cgroup("cpu.max", "150000 100000"),
            cgroup("memory.oom.group", "1"),
            entry(Where::Task("setpriority".into()), "5"),
            entry(Where::Link("eth0".into(), "mtu".into()), "9000"),
        ],
    );
    let mut told = String::new();
    for File { path, text } in &exported.files {
        told += &format!("==> {path}\n{text}\n");
    }
    for Remark { what, why } in &exported.remarks {
        told += &format!("{what}: {why}\n");
    }
    insta::assert_snapshot!(told);
}

#[test]
fn sysctl_d_holds_lines() {
    let key = |key: &str, value: &str| lines(file(&format!("/proc/sys/{key}"), value));
    assert_eq!(
        key("kernel/core_pattern", "|/x %p $a \"b\" #c"),
        Ok(vec!["kernel.core_pattern = |/x %p $a \"b\" #c".into()])
    );
    assert!(key("kernel/core_pattern", "a\nvm.overcommit_memory = 2").is_err());
    assert!(key("kernel/core_pattern", " a").is_err());
    assert!(key("kernel/core_pattern", "").is_err());
    assert!(key("net/ipv4/conf/*/rp_filter", "1").is_err());
    assert!(key("kernel/a=b", "1").is_err());
    assert!(key("kernel/../../etc/passwd", "1").is_err());
}

#[test]
fn udev_escapes() {
    let rule = |value: &str| line(file("/sys/block/sda/queue/scheduler", value));
    let head =
        "ACTION==\"add|change\", SUBSYSTEM==\"block\", KERNEL==\"sda\", ATTR{queue/scheduler}=";
    assert_eq!(rule("none"), format!("{head}\"none\""));
    assert_eq!(rule("a$b%c"), format!("{head}\"a$$b%%c\""));
    assert_eq!(rule("a\"b\\"), format!("{head}e\"a\\\"b\\\\\""));
    assert!(lines(file("/sys/block/sda/queue/x}y", "1")).is_err());
    assert!(lines(file("/sys/block/sda\", RUN+=\"x/queue", "1")).is_err());
    assert!(lines(file("/sys/block/a|b/queue/scheduler", "1")).is_err());
    assert!(lines(file("/sys/block/sda/queue/scheduler", "a\nb")).is_err());
}

#[test]
fn modprobe_d_quotes() {
    let option = |value: &str| lines(entry(Where::ModuleOption("a_b.c".into()), value));
    assert_eq!(option("1"), Ok(vec!["options a_b c=1".into()]));
    assert_eq!(option("a b"), Ok(vec!["options a_b c=\"a b\"".into()]));
    assert_eq!(option("a\\"), Ok(vec!["options a_b c=\"a\\\"".into()]));
    assert!(option("a\"b").is_err());
    assert!(option("a\ninstall x").is_err());
    assert!(lines(entry(Where::ModuleOption("a b.c".into()), "1")).is_err());
}

#[test]
fn the_command_line_takes_plain_words() {
    let word = |word: &str, value: &str| lines(entry(Where::CommandLine(word.into()), value));
    assert_eq!(
        word("isolcpus=", "2-3,6"),
        Ok(vec!["GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX isolcpus=2-3,6\"".into()])
    );
    for value in ["a b", "a\"b", "$(x)", "`x`", "a;b", "a\\b", "a'b", "a\nb", ""] {
        assert!(word("x=", value).is_err(), "{value:?}");
    }
}

#[test]
fn tmpfiles_d_escapes() {
    let argument =
        |value: &str| line(file("/sys/kernel/x", value)).replace("w /sys/kernel/x - - - - ", "");
    assert_eq!(argument("a\"b $c"), "a\"b $c");
    assert_eq!(argument("50%\\"), "50%%\\\\");
    assert_eq!(argument("-"), "\\x2d");
    assert_eq!(argument(" a\nb "), "\\x20a\\x0ab\\x20");
    assert_eq!(line(file("/sys/kernel/a%b*", "1")), "w /sys/kernel/a%%b* - - - - 1");
    assert!(lines(file("/sys/kernel/a b", "1")).is_err());
    assert!(lines(file("/etc/passwd", "1")).is_err());
}

#[test]
fn drop_ins_are_for_units() {
    let of = |group: &str, file: &str, value: &str| {
        lines(entry(Where::Cgroup(group.into(), file.into()), value))
    };
    assert_eq!(
        of("a.slice", "memory.high", "max"),
        Ok(vec!["[Slice]".into(), "MemoryHigh=infinity".into()])
    );
    assert_eq!(
        of("a.slice/b.service", "io.weight", "default 50").unwrap().last().unwrap(),
        "IOWeight=50"
    );
    assert_eq!(
        of("b.service", "cpu.max", "12345 100000"),
        Err("this share of the period is no whole number of hundredths of a percent".into())
    );
    assert_eq!(
        of("b.service", "cpu.max", "1250 100000").unwrap().get(1).unwrap(),
        "CPUQuota=1.25%"
    );
    assert!(of("b.service", "cpu.max", "1 0").is_err());
    assert!(of("plain", "memory.high", "1").is_err());
    assert!(of("../x y.service", "memory.high", "1").is_err());
    assert!(of("a.slice", "memory.high", "1\nExecStart=x").is_err());
}

/// What systemd makes of an `e"…"` or plain string of udev, and of doubled signs.
fn read_by_udev(rule: &str) -> Option<String> {
    let (_, value) = rule.split_once("ATTR{queue/scheduler}=")?;
    let value = match value.strip_prefix("e\"") {
        Some(inner) => {
            let mut out = String::new();
            let mut chars = inner.strip_suffix('"')?.chars();
            while let Some(char) = chars.next() {
                out.push(if char == '\\' { chars.next()? } else { char });
            }
            out
        }
        None => {
            let inner = value.strip_prefix('"')?.strip_suffix('"')?;
            if inner.contains(['"', '\\']) {
                return None;
            }
            inner.to_owned()
        }
    };
    Some(value.replace("$$", "$").replace("%%", "%"))
}

proptest! {
    /// Whatever the value, a format holds it on one line of its own, or says that it cannot.
    #[test]
    fn values_stay_where_they_are(value in "\\PC{0,12}|[ -~\n\t]{0,12}") {
        for at in [
            Where::File("/proc/sys/kernel/core_pattern".into()),
            Where::File("/sys/block/sda/queue/scheduler".into()),
            Where::File("/sys/kernel/x".into()),
            Where::ModuleOption("a.b".into()),
            Where::CommandLine("x=".into()),
        ] {
            let exported = export("p", &[Entry { at: at.clone(), value: value.clone(), comment: String::new() }]);
            prop_assert_eq!(exported.files.len() + exported.remarks.len(), 1);
            for File { text, .. } in &exported.files {
                prop_assert_eq!(text.lines().count(), 3, "{}", text);
                prop_assert!(!text.trim_end().ends_with('\\') || at == Where::File("/proc/sys/kernel/core_pattern".into()) || text.trim_end().ends_with("\\\\"));
            }
            if let (Where::File(path), [File { text, .. }]) = (&at, exported.files.as_slice())
                && path.starts_with("/sys/block")
            {
                let rule = text.lines().last().unwrap();
                prop_assert_eq!(read_by_udev(rule), Some(value.clone()), "{}", rule);
            }
        }
    }
}
