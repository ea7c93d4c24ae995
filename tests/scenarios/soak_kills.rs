//! `kill -9` of anything of `partitiond` at random moments. Too long for every change: `make soak`
//! runs it.
//!
//! The seed that is printed chooses the same rounds and the same moments again; how far the programs
//! have come by then is up to the machine.

use std::time::{Duration, Instant};

use rig::qemu::QemuVersion;
use scenarios::{HostState, Lives, Random, Server, Setup, scenario};

/// One partition that nothing is asked of, and two that come and go.
const CLUSTER: &str = r#"Cluster(
    trust: Mutual,
    partitions: {
        "other":   (image: "linux-6.1-cloud",  cpus: Set("1")),
        "db":      (image: "linux-6.12-cloud", cpus: Set("2")),
        "trading": (image: "linux-7.2-cloud",  cpus: Set("3"), memory: "320MiB"),
    },
)
"#;

const ALL: [&str; 3] = ["other", "db", "trading"];

/// What is under way when something dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Up,
    UpEdited,
    Down,
    DownForced,
    Exec,
}

/// What dies: command lines, as extended regular expressions.
const VICTIMS: [(&str, &str); 7] = [
    ("the supervisor", "serve"),
    ("the command", "(up|down|exec)"),
    ("a keeper", "keeper .*/db *$"),
    ("the other's keeper", "keeper .*/other *$"),
    ("every keeper", "keeper"),
    ("supervisor and keepers", "(serve|keeper)"),
    ("all", "(serve|keeper|up|down|exec)"),
];

#[test]
#[ignore = "soak: half an hour"]
fn whoever_is_killed_whenever_one_down_mends_it() {
    rounds(QemuVersion::V10, 80);
}

#[test]
#[ignore = "soak: a quarter of an hour"]
fn whoever_is_killed_whenever_one_down_mends_it_in_xapic_mode() {
    rounds(QemuVersion::V7, 15);
}

fn rounds(qemu: QemuVersion, count: u32) {
    let seed = Random::announced();
    scenario(|| {
        let mut random = seed.clone();
        let mut soak = Soak::start(&qemu);
        for number in 1..=count {
            let round = Round::choose(&mut random);
            println!("round {number}: {round:?}");
            let before = soak.killed;
            soak.round(&round);
            println!("round {number}: {} were killed", soak.killed - before);
        }
        println!("{} processes were killed in {count} rounds", soak.killed);
        assert!(soak.killed >= count as usize / 2, "as a rule there is somebody to be killed");
    });
}

/// What happens in a round.
#[derive(Debug)]
struct Round {
    doing: Doing,
    victim: (&'static str, &'static str),
    /// As a part of how long the thing that is done takes.
    moment: f64,
    /// After a while of mending everything dies once more.
    again: Option<Duration>,
    /// What was interrupted is completed before it is undone.
    completed: bool,
    /// The other goes too, and the host must be as it was at first.
    everything: bool,
}

impl Round {
    fn choose(random: &mut Random) -> Self {
        const DOING: [Doing; 5] =
            [Doing::Up, Doing::UpEdited, Doing::Down, Doing::DownForced, Doing::Exec];
        Self {
            doing: *random.choose(&DOING),
            victim: *random.choose(&VICTIMS),
            // More early ones than late ones: much is taken at first, then a kernel boots for long.
            moment: random.moment(Duration::from_secs(1)).as_secs_f64().powi(2) * 1.1,
            again: random.once_in(4).then(|| random.moment(Duration::from_secs(2))),
            completed: random.once_in(3),
            everything: random.once_in(3),
        }
    }
}

struct Soak {
    server: Server,
    /// The host without partitions, and with the other alone.
    before: HostState,
    with_other: HostState,
    /// How long an `up` and a `down` of two partitions take here.
    up: Duration,
    down: Duration,
    killed: usize,
}

impl Soak {
    fn start(qemu: &QemuVersion) -> Self {
        let server = Server::start(&Setup {
            images: &["linux-6.1-cloud", "linux-6.12-cloud", "linux-7.2-cloud"],
            qemu: qemu.clone(),
            ..Setup::default()
        });
        let before = server.state();
        server.write("/cluster.ron", CLUSTER);
        server.sh(
            "sed 's/\"2\"/\"2\", memory: \"448MiB\"/;s/320MiB/384MiB/' /cluster.ron >/edited.ron",
        );
        server.sh("grep -v '\"db\"\\|\"trading\"' /cluster.ron >/other.ron");
        server.sh("partitiond up /other.ron");
        let with_other = server.state();
        let timed = |line: &str| {
            let begun = Instant::now();
            server.sh(line);
            begun.elapsed()
        };
        let up = timed("partitiond up /cluster.ron");
        let down = timed("partitiond down db trading");
        assert_eq!(server.state(), with_other, "without any kill");
        println!("`up` takes {up:.1?}, `down` {down:.1?}");
        Self { server, before, with_other, up, down, killed: 0 }
    }

    fn round(&mut self, round: &Round) {
        let server = &self.server;
        if round.doing != Doing::Up {
            self.done("partitiond up /cluster.ron");
        }
        let other = server.lives(&["other"]);
        let (line, takes) = match round.doing {
            Doing::Up => ("up /cluster.ron", self.up),
            Doing::UpEdited => ("up /edited.ron", self.up + self.down),
            Doing::Down => ("down db trading", self.down),
            Doing::DownForced => ("down --force db trading", self.down),
            Doing::Exec => ("exec db -- yes", Duration::from_secs(2)),
        };
        self.killed += server.kill_during(line, takes.mul_f64(round.moment), round.victim.1);
        if let Some(pause) = round.again {
            self.killed += server.kill_during("up /cluster.ron", pause, VICTIMS[6].1);
        }
        server.kill("partitiond exec");
        if round.completed {
            self.obeyed("up /cluster.ron");
            self.done("partitiond wait db trading --for=ready --timeout 30s");
            self.done("partitiond exec db -- true && partitiond exec trading -- true");
        }
        self.mended(round, &other);
    }

    /// One `down`, by whatever supervisor there is or by a new one.
    fn mended(&self, round: &Round, other: &Lives) {
        let server = &self.server;
        server.wait_for_commands();
        let there = "partitiond --format json ps >/dev/null 2>&1 || partitiond serve --background";
        server.sh(there);
        self.done("partitiond wait other --for=ready --timeout 30s");
        // A heartbeat comes every second.
        std::thread::sleep(Duration::from_secs(3));
        server.assert_lived_on(other, 1, "the other partition");
        let gone: Vec<&str> = ALL[1..].iter().copied().filter(|name| server.has(name)).collect();
        if round.everything {
            self.obeyed("down --force");
            self.is(&self.before);
            server.sh("partitiond up /other.ron");
        } else if !gone.is_empty() {
            self.obeyed(&format!("down --force {}", gone.join(" ")));
        }
        self.is(&self.with_other);
    }

    /// Runs a command of ours, again while an earlier one is still being carried out.
    fn obeyed(&self, line: &str) {
        let begun = Instant::now();
        loop {
            let output = self.server.try_sh(&format!("partitiond {line}"));
            if output.status.success() {
                return;
            }
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            let busy = complaint.contains("is being carried out");
            let patient = begun.elapsed() < Duration::from_secs(120);
            let situation = self.server.situation();
            assert!(busy && patient, "`{line}`: {complaint}\n{situation}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Runs a line that must succeed.
    fn done(&self, line: &str) {
        let output = self.server.try_sh(line);
        let succeeded = output.status.success();
        let told = if succeeded { String::new() } else { self.server.situation() };
        assert!(succeeded, "`{line}`: {}\n{told}", String::from_utf8_lossy(&output.stderr));
    }

    fn is(&self, expected: &HostState) {
        let now = self.server.state();
        let told = if now == *expected { String::new() } else { self.server.situation() };
        assert_eq!(now, *expected, "the host after one `down`\n{told}");
    }
}
