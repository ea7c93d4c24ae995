//! The examples, as people try them: from a checkout, in a virtual server that `--rig` starts.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a scenario ends where something does not work"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use scenarios::programs;

/// Somebody at a shell in the checkout, with a rig of their own, which ends with this value.
struct Person {
    rig: String,
}

impl Person {
    fn run(&self, words: &[&str]) -> Output {
        // Emulated, and perhaps with packages to be fetched; but not for ever.
        let output = Command::new("timeout")
            .arg("400")
            .arg(&programs().partitiond)
            .args(words)
            .current_dir(root())
            .output()
            .expect("the program starts");
        println!("$ partitiond {}\n{}", words.join(" "), both(&output));
        output
    }

    /// Runs `partitiond --rig=… WORDS`, which must succeed, and gives what it prints.
    fn rig(&self, words: &[&str]) -> String {
        let output = self.try_rig(words);
        assert!(output.status.success(), "{words:?}: {}\n{}", output.status, both(&output));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn try_rig(&self, words: &[&str]) -> Output {
        let rig = format!("--rig={}", self.rig);
        self.run(&[&[rig.as_str()], words].concat())
    }

    /// Waits until what the command prints is as it should be.
    fn wait_for(&self, words: &[&str], good: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let output = self.try_rig(words);
            if output.status.success() && good(&String::from_utf8_lossy(&output.stdout)) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(90), "{words:?}: {}", both(&output));
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn show(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.rig(&["--format", "json", "show", name])).unwrap()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.run(&["rig", "down", &self.rig]);
        }
    }
}

fn both(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Processes that have this word on their command line.
fn processes(word: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(word)).collect()
}

#[test]
fn every_example_does_what_it_says() {
    let mut examples: Vec<_> = std::fs::read_dir(root().join("docs/examples"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    examples.sort();
    assert_eq!(examples, ["image-configures", "quickstart", "two-cpus"], "each is tried below");

    let person = Person { rig: format!("examples-{}", std::process::id()) };
    quickstart(&person);
    two_cpus(&person);
    image_configures(&person);

    // Nothing of the rig is left: no process, no folder.
    assert!(!processes(&person.rig).is_empty(), "it runs until it is taken down");
    let output = person.run(&["rig", "down", &person.rig]);
    assert!(output.status.success(), "{}", both(&output));
    let listed = person.run(&["--format", "json", "rig", "ls"]);
    assert!(!both(&listed).contains(&person.rig), "{}", both(&listed));
    assert_eq!(processes(&person.rig), [""; 0]);
    let folder = rig::StateDir::of_user().unwrap().find(&person.rig.parse().unwrap());
    assert!(folder.is_err(), "{folder:?} is left");
}

fn quickstart(person: &Person) {
    let up = person.rig(&["up", "docs/examples/quickstart/cluster.ron"]);
    assert!(up.contains("db") && up.contains("trading"), "{up}");
    assert!(person.rig(&["exec", "db", "--", "uname", "-r"]).starts_with("6.1."));
    assert!(person.rig(&["exec", "trading", "--", "uname", "-r"]).starts_with("6.12."));
    assert!(person.rig(&["exec", "trading", "--", "uname", "-v"]).contains("PREEMPT_RT"));
    let map = person.rig(&["map"]);
    assert!(map.contains("0 host") && map.contains("db") && map.contains("trading"), "{map}");
    person.rig(&["down"]);
    assert_eq!(person.rig(&["--format", "json", "ps"]), "[]");
}

fn two_cpus(person: &Person) {
    person.rig(&["up", "docs/examples/two-cpus/cluster.ron"]);
    assert_eq!(person.rig(&["exec", "batch", "--", "nproc"]), "2");
    let heartbeat = |log: &str| log.contains("heartbeat of 6.1.") && log.contains("on 2 CPUs");
    person.wait_for(&["logs", "batch"], heartbeat);

    let before = person.show("batch")["boot_id"].clone();
    let crash =
        person.try_rig(&["exec", "batch", "--", "sh", "-c", "echo c > /proc/sysrq-trigger"]);
    assert_eq!(crash.status.code(), Some(125), "{}", both(&crash));
    person.wait_for(&["exec", "batch", "--", "nproc"], |nproc| nproc.trim() == "2");
    assert_ne!(person.show("batch")["boot_id"], before, "its kernel was booted again");
    let events = person.rig(&["events"]);
    assert!(events.contains("restarting") && events.contains("sysrq"), "{events}");
    let ps = person.rig(&["ps"]);
    assert!(ps.contains("1 restart"), "{ps}");
    person.rig(&["down"]);
}

fn image_configures(person: &Person) {
    let built = person.run(&["image", "build", "docs/examples/image-configures/beacon.ron"]);
    assert!(built.status.success(), "{}", both(&built));
    let shown = person.run(&["image", "show", "beacon"]);
    assert!(both(&shown).contains("quiet skew_tick=1"), "{}", both(&shown));
    person.rig(&["up", "docs/examples/image-configures/cluster.ron"]);
    person.wait_for(&["logs", "beacon"], |log| log.contains("hello from beacon"));
    let words = person.rig(&["exec", "beacon", "--", "cat", "/proc/cmdline"]);
    assert!(words.starts_with("quiet skew_tick=1 "), "{words}");
    let modules = person.rig(&["exec", "beacon", "--", "cat", "/proc/modules"]);
    assert!(modules.lines().any(|line| line.starts_with("tun ")), "{modules}");
    person.rig(&["down"]);
}
