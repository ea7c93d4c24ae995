//! A hundred settings into force, beside the bare writes and beside TuneD: on this machine itself, in a network
//! namespace whose sysctls are its own, and in a folder of packages that nobody else uses.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use images::debian::PackageSource;
use rig::provide;
use scenarios::programs;

use super::settings::{Pair, harmless, script};
use crate::Bench;
use crate::cargo::{built, cargo};
use crate::figures::{Table, against, median, seconds, spread};

const SETTINGS: usize = 100;
const COST_GOAL: f64 = 2.0;
const TUNED_GOAL: f64 = 30.0;
/// The release whose TuneD it is.
const SUITE: &str = "bookworm";

pub fn run(bench: &Bench) -> String {
    bench.say("building profiles/transaction/examples/apply_time.rs");
    cargo("build", &["--release", "-p", "transaction", "--example", "apply_time"]);
    let folder = tempfile::tempdir_in(provide::cache_dir().expect("a place on a disk"))
        .expect("a folder on a disk");
    let pairs = settings(folder.path());
    assert_eq!(pairs.len(), SETTINGS, "settings that can be changed without a word");
    let cost = cost(bench, folder.path(), &pairs);
    let tuned = against_tuned(bench, folder.path(), &pairs);
    format!("{cost}\n{tuned}")
}

/// Runs a line of shell with sysctls of its own, and gives what it prints.
fn apart(line: &str) -> String {
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "sh", "-ec", line])
        .stdin(Stdio::null())
        .output()
        .expect("unshare runs");
    let (text, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`{line}` failed: {text}{errors}");
    text.into_owned()
}

/// The settings, all of one network namespace: each as it is, and one more.
fn settings(folder: &Path) -> Vec<Pair> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a kernel");
    let mut numbers = release.split(['.', '-', '+']);
    let version = [numbers.next(), numbers.next()].map(|part| part.unwrap_or_default());
    harmless(&format!("{}-generic", version.join(".")), SETTINGS, &mut |paths| {
        let list = folder.join("paths");
        fs::write(&list, paths.join("\n") + "\n").expect("a list");
        let tried = apart(&format!(
            "takes() {{ echo $2 2>/dev/null >$1 && [ \"$(cat $1)\" = $2 ]; }}; \
             while read -r path; do \
             value=$(cat $path 2>/dev/null) || true; \
             case $path in /proc/sys/net/*) ;; *) value=;; esac; \
             case $value in ''|*[!0-9]*) echo -; continue;; esac; \
             found=-; \
             for other in $((value + 1)) $((value - 1)); do \
             if takes $path $other && takes $path $value; then found=\"$value $other\"; break; fi; \
             takes $path $value || true; done 2>/dev/null; \
             echo $found; done <{}",
            list.display()
        ));
        let numbers = |line: &str| {
            let (value, other) = line.trim().split_once(' ')?;
            Some([value.parse().ok()?, other.parse().ok().filter(|other| *other >= 0)?])
        };
        tried.lines().map(numbers).collect()
    })
}

/// The engine, beside what it is made of.
fn cost(bench: &Bench, folder: &Path, pairs: &[Pair]) -> String {
    bench.say("transactions of 100 sysctls, and the bare writes and reads");
    let list = pairs.iter().fold(String::new(), |mut list, pair| {
        let _ = writeln!(list, "{} {} {}", pair.path, pair.values[0], pair.values[1]);
        list
    });
    let file = folder.join("list");
    fs::write(&file, list).expect("a list");
    let program = built("release/examples/apply_time");
    let printed = apart(&format!("{} {} {}", program.display(), folder.display(), file.display()));
    let figure = |name: &str| -> f64 {
        let words = printed.split_whitespace();
        let value = words.filter_map(|word| word.split_once('=')).find(|(key, _)| *key == name);
        let value = value.and_then(|(_, value)| value.parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("the example does not say `{name}`:\n{printed}")) / 1000.0
    };
    let least = figure("bare_us") + figure("syncs_us");
    let mut table = Table::new(["100 sysctls changed", "time", "against the first two", "goal"]);
    let mut row = |what: &str, ms: f64, goal: bool| {
        let ratio = ms / least;
        let (ratio, goal) = match goal {
            true => (format!("{ratio:.2}×"), against(COST_GOAL, ratio)),
            false => (String::new(), String::new()),
        };
        table.row([what.to_owned(), format!("{ms:.2} ms"), ratio, goal]);
    };
    row("read, written, read back", figure("bare_us"), false);
    row("the journal's syncs, of as many bytes", figure("syncs_us"), false);
    row("as a transaction", figure("plain_us"), true);
    row("as a transaction, written by a confined process", figure("confined_us"), true);
    table.text()
}

/// The commands, side by side.
fn against_tuned(bench: &Bench, folder: &Path, pairs: &[Pair]) -> String {
    bench.say("unpacking TuneD");
    let root = folder.join("root");
    unpack(&root);
    for (which, name) in ["one", "other"].into_iter().enumerate() {
        let list = |between: &str, key: fn(&Pair) -> &str| {
            pairs.iter().fold(String::new(), |mut lines, pair| {
                let _ = writeln!(lines, "{}{between}{}", key(pair), pair.values[which]);
                lines
            })
        };
        let put = |path: String, text: String| fs::write(root.join(path), text).expect("a file");
        put(format!("{name}.ks"), script(name, pairs, which));
        put(format!("{name}.list"), list(" ", |pair| &pair.path));
        fs::create_dir_all(root.join(format!("etc/tuned/{name}"))).expect("a folder");
        let sysctls = list("=", |pair| &pair.name);
        put(
            format!("etc/tuned/{name}/tuned.conf"),
            format!("[main]\nsummary={name}\n\n[sysctl]\n{sysctls}"),
        );
    }
    bench.say(&format!("switching {} times with each", 2 * bench.rounds));
    let printed = apart(&format!(
        "cd {}; mount --make-rprivate /; mount -t proc none proc; mount -t sysfs none sys; \
         mount --rbind /dev dev; mount -t tmpfs none run; mkdir run/dbus run/tuned; \
         chroot . /usr/bin/python3 /beside_tuned.py {}",
        root.display(),
        bench.rounds,
    ));
    let (mut own, mut tuned, mut start) = (Vec::new(), Vec::new(), Duration::ZERO);
    for line in printed.lines() {
        let time = |word: &str| Duration::from_secs_f64(word.parse().expect("seconds"));
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["switch", ours, theirs] => {
                own.push(time(ours));
                tuned.push(time(theirs));
            }
            ["start", took] => start = time(took),
            _ => panic!("what is `{line}`?"),
        }
    }
    assert_eq!(own.len(), 2 * bench.rounds, "{printed}");
    let (own, tuned) = (seconds(&own), seconds(&tuned));
    let ratios: Vec<f64> = tuned.iter().zip(&own).map(|(theirs, ours)| theirs / ours).collect();
    let ratio = median(&ratios);
    let verdict = if ratio >= TUNED_GOAL { "met" } else { "**not met**" };
    let mut table =
        Table::new(["switching between two profiles of these 100", "time", "against ours", "goal"]);
    table.row([
        "`partitiond profile apply --host`".to_owned(),
        spread(&own),
        String::new(),
        String::new(),
    ]);
    table.row([
        "`tuned-adm profile`, with the daemon running".to_owned(),
        spread(&tuned),
        format!("{ratio:.0}×"),
        format!("at least {TUNED_GOAL}×: {verdict}"),
    ]);
    format!(
        "{}\nMedian (least to most) of {} switches each, one beside the other, on Linux {}. `tuned-adm` waits \
         until its daemon has applied the profile. Starting Python for `tuned-adm --version` takes {:.2} s.\n",
        table.text(),
        own.len(),
        fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        start.as_secs_f64(),
    )
}

/// A folder with Debian's package, all that it needs, and our program. Nobody runs the packages' scripts: the
/// accounts that they would make are here.
fn unpack(root: &Path) {
    let cache = provide::cache_dir().expect("a place for the cache");
    let source = PackageSource::new(cache.join("apt"));
    let packages = source.fetch_closure(&["tuned", "dbus"], SUITE, &()).expect("TuneD's packages");
    fs::create_dir(root).expect("a folder");
    for package in packages {
        let ended = Command::new("dpkg-deb").arg("-x").arg(&package).arg(root).status();
        assert!(ended.is_ok_and(|ended| ended.success()), "dpkg-deb -x {}", package.display());
    }
    for folder in ["proc", "sys", "dev", "run", "tmp", "var/lib/dbus", "var/log/tuned"] {
        fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    let put = |path: &str, text: &str| fs::write(root.join(path), text).expect("a file");
    put(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/nonexistent:/bin/false\n",
    );
    put("etc/group", "root:x:0:\nmessagebus:x:100:\n");
    put("beside_tuned.py", include_str!("beside_tuned.py"));
    fs::copy(&programs().partitiond, root.join("usr/bin/partitiond")).expect("our program");
}
