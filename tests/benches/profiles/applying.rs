//! A hundred settings into force, beside the bare writes and beside TuneD, in one virtual server.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use boot::units::Bytes;
use rig::Topology;
use scenarios::{Server, Setup};

use super::settings::{Pair, harmless, script};
use crate::cargo::{built, cargo};
use crate::figures::{Table, against, median, seconds, spread};
use crate::{Bench, RIG_CPUS};

const SETTINGS: usize = 100;
const COST_GOAL: f64 = 2.0;
const TUNED_GOAL: f64 = 30.0;
/// How often a profile is switched for one time of ours; TuneD's are long enough alone.
const SWITCHES: usize = 10;

pub fn run(bench: &Bench) -> String {
    bench.say("building profiles/transaction/examples/apply_time.rs");
    cargo("build", &["--release", "-p", "transaction", "--example", "apply_time"]);
    bench.say("starting a server with TuneD in it");
    let server = start();
    let pairs = settings(&server);
    assert_eq!(pairs.len(), SETTINGS, "settings that can be changed without a word");
    let cost = cost(bench, &server, &pairs);
    let tuned = against_tuned(bench, &server, &pairs);
    format!("{cost}\n{tuned}")
}

/// A server whose `/var/lib` is on a disk: what has to be there after a power cut costs what it costs.
fn start() -> Server {
    let server = Server::start(&Setup {
        images: &[],
        topology: Topology::flat(RIG_CPUS),
        modules: &["virtio_blk", "ext4"],
        packages: &["tuned", "dbus", "e2fsprogs"],
        disk: Bytes::gib(1),
        ..Setup::default()
    });
    server
        .sh("/sbin/mkfs.ext4 -q /dev/vda && mkdir -p /var/lib && mount -t ext4 /dev/vda /var/lib");
    server
}

/// The settings: each as it is, and one more.
fn settings(server: &Server) -> Vec<Pair> {
    harmless("6.12-cloud", SETTINGS, &mut |paths| {
        server.write("/paths", &(paths.join("\n") + "\n"));
        let tried = server.sh("takes() { echo $2 2>/dev/null >$1 && [ \"$(cat $1)\" = $2 ]; }; \
             while read -r path; do \
             value=$(cat $path 2>/dev/null); \
             case $value in ''|*[!0-9]*) echo -; continue;; esac; \
             found=-; \
             for other in $((value + 1)) $((value - 1)); do \
             if takes $path $other && takes $path $value; then found=\"$value $other\"; break; fi; \
             takes $path $value; done 2>/dev/null; \
             echo $found; done </paths");
        let numbers = |line: &str| {
            let (value, other) = line.trim().split_once(' ')?;
            Some([value.parse().ok()?, other.parse().ok().filter(|other| *other >= 0)?])
        };
        tried.lines().map(numbers).collect()
    })
}

/// The engine, beside what it is made of.
fn cost(bench: &Bench, server: &Server, pairs: &[Pair]) -> String {
    bench.say("transactions of 100 sysctls, and the bare writes and reads");
    let program = built("release/examples/apply_time");
    server.rig().put(&program, Path::new("/usr/bin/apply_time")).expect("the example arrives");
    let list = pairs.iter().fold(String::new(), |mut list, pair| {
        let _ = writeln!(list, "{} {} {}", pair.path, pair.values[0], pair.values[1]);
        list
    });
    server.write("/list", &list);
    let printed = server.sh("chmod +x /usr/bin/apply_time && apply_time /var/lib /list");
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
fn against_tuned(bench: &Bench, server: &Server, pairs: &[Pair]) -> String {
    for (which, name) in ["one", "other"].into_iter().enumerate() {
        server.write(&format!("/{name}.ks"), &script(name, pairs, which));
        let lines = pairs.iter().fold(String::new(), |mut lines, pair| {
            let _ = writeln!(lines, "{}={}", pair.name, pair.values[which]);
            lines
        });
        server.sh(&format!("mkdir -p /etc/tuned/{name}"));
        let text = format!("[main]\nsummary={name}\n\n[sysctl]\n{lines}");
        server.write(&format!("/etc/tuned/{name}/tuned.conf"), &text);
    }
    bench.say("starting TuneD");
    server.sh(
        "mkdir -p /run/dbus /run/tuned /var/lib/dbus /var/log/tuned && dbus-uuidgen --ensure && dbus-daemon --system --fork",
    );
    server.sh("tuned --daemon");
    server.wait_for("tuned-adm list >/dev/null", Duration::from_secs(120));
    let ours = |count: usize| {
        format!(
            "for i in $(seq {count}); do for name in other one; do \
             partitiond --quiet profile apply /$name.ks --host >/dev/null || exit 1; done; done"
        )
    };
    let theirs = "for name in other one; do tuned-adm profile $name || exit 1; done";
    // The first time, Python writes what it has compiled, and the journal is made.
    switched(server, &ours(1), pairs);
    server.sh("partitiond profile rollback --host");
    switched(server, theirs, pairs);
    let (mut own, mut tuned, mut shells, mut starts) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 1..=bench.rounds {
        let each = switched(server, &ours(SWITCHES / 2), pairs) / SWITCHES as u32;
        let other = switched(server, theirs, pairs) / 2;
        let shell = timed(server, "true");
        let begun = timed(server, "tuned-adm --version >/dev/null");
        bench.say(&format!(
            "round {round} of {}: partitiond {each:.1?}, tuned-adm {other:.1?}",
            bench.rounds
        ));
        own.push(each);
        tuned.push(other);
        shells.push(shell);
        starts.push(begun);
    }
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
    let start = median(&seconds(&starts));
    format!(
        "{}\nMedian (least to most) of {} rounds, one beside the other. `tuned-adm` waits until its daemon has \
         applied the profile. Of its time, starting Python for `tuned-adm --version` takes {start:.2} s; \
         the way into the server, which the times have in them, {:.3} s.\n",
        table.text(),
        own.len(),
        median(&seconds(&shells)),
    )
}

fn timed(server: &Server, line: &str) -> Duration {
    let begun = Instant::now();
    server.sh(line);
    begun.elapsed()
}

/// How long some switches take, the last of which leads to the first values.
fn switched(server: &Server, line: &str, pairs: &[Pair]) -> Duration {
    let took = timed(server, line);
    let paths: Vec<&str> = pairs.iter().map(|pair| pair.path.as_str()).collect();
    let values = server.sh(&format!("cat {}", paths.join(" ")));
    let wanted: Vec<String> = pairs.iter().map(|pair| pair.values[0].to_string()).collect();
    assert_eq!(values.lines().collect::<Vec<_>>(), wanted, "`{line}` did not do it");
    took
}
