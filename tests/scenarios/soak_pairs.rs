//! Every kernel as a partition of every kernel. Too long for every change: `make soak` runs it.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use scenarios::{Server, Setup, scenario};

/// A kernel: its definition, how its release begins, and what it needs on its command line as a host.
struct Kernel {
    definition: &'static str,
    release: &'static str,
    as_host: &'static str,
}

const KERNELS: [Kernel; 4] = [
    // Before 5.13 Linux uses memory below 1 MiB unless it is told not to.
    Kernel { definition: "linux-5.10-cloud", release: "5.10.", as_host: "reservelow=640K" },
    Kernel { definition: "linux-6.1-cloud", release: "6.1.", as_host: "" },
    Kernel { definition: "linux-6.12-cloud", release: "6.12.", as_host: "" },
    Kernel { definition: "linux-7.2-cloud", release: "7.2.", as_host: "" },
];

const IMAGES: [&str; 4] =
    ["linux-5.10-cloud", "linux-6.1-cloud", "linux-6.12-cloud", "linux-7.2-cloud"];

#[test]
#[ignore = "soak: several minutes"]
fn a_5_10_host_runs_every_kernel() {
    runs_every_kernel(&KERNELS[0]);
}

#[test]
#[ignore = "soak: several minutes"]
fn a_6_1_host_runs_every_kernel() {
    runs_every_kernel(&KERNELS[1]);
}

#[test]
#[ignore = "soak: several minutes"]
fn a_6_12_host_runs_every_kernel() {
    runs_every_kernel(&KERNELS[2]);
}

#[test]
#[ignore = "soak: several minutes"]
fn a_7_2_host_runs_every_kernel() {
    runs_every_kernel(&KERNELS[3]);
}

/// Runs each kernel once on two CPUs, beside the next one on one. What fails does not keep the
/// others from being tried.
fn runs_every_kernel(host: &Kernel) {
    let setup =
        Setup { host: host.definition, images: &IMAGES, words: host.as_host, ..Setup::default() };
    // The same server for all, as long as it is in order: what one kernel leaves in memory is there
    // for the next.
    let server = RefCell::new(None);
    let mut failed = Vec::new();
    for (two, one) in KERNELS.iter().zip(KERNELS.iter().cycle().skip(1)) {
        let pair =
            format!("{} host, {} on two CPUs, {} on one", host.release, two.release, one.release);
        let begun = Instant::now();
        let tried = catch_unwind(AssertUnwindSafe(|| {
            scenario(|| {
                let running = server.take().unwrap_or_else(|| Server::start(&setup));
                assert!(running.sh("uname -r").starts_with(host.release), "the host's kernel");
                side_by_side(&running, two, one);
                server.replace(Some(running));
            });
        }));
        println!("{pair}: {:?}, {:.0?}", tried.is_ok(), begun.elapsed());
        if tried.is_err() {
            failed.push(pair);
        }
    }
    assert!(failed.is_empty(), "these failed, for the reasons above: {failed:#?}");
}

fn side_by_side(server: &Server, two: &Kernel, one: &Kernel) {
    let before = server.state();
    let host = server.boot_id();
    // A log outlives its partition; so each has a name of its own.
    let names = [(two, "two"), (one, "one")];
    let names = names.map(|(kernel, name)| format!("{name}-{}", kernel.release.replace('.', "")));
    server.write(
        "/cluster.ron",
        &format!(
            r#"Cluster(trust: Mutual, partitions: {{
                "{}": (image: "{}", cpus: Count(2)),
                "{}": (image: "{}"),
            }})"#,
            names[0], two.definition, names[1], one.definition,
        ),
    );
    server.sh("partitiond up /cluster.ron");
    assert_eq!(server.sh("cat /sys/devices/system/cpu/online"), "0");

    let names = names.each_ref().map(String::as_str);
    for (name, kernel, cpus) in [(names[0], two, "2"), (names[1], one, "1")] {
        let release = server.sh(&format!("partitiond exec {name} -- uname -r"));
        assert!(release.starts_with(kernel.release), "{name} runs {release}");
        assert_eq!(server.sh(&format!("partitiond exec {name} -- nproc")), cpus);
        let first =
            server.sh(&format!("partitiond logs {name} | grep -v 'guest-init' | head -n 1"));
        assert!(first.contains(&format!("Linux version {release}")), "{name}: {first}");
        assert_eq!(server.partition(name)["restart_guard"], true, "{name}");
    }
    let lives = server.lives(&names);
    std::thread::sleep(Duration::from_secs(5));
    server.assert_lived_on(&lives, 3, "side by side");

    // One goes; the other, and the host, go on.
    let other = server.lives(&names[1..]);
    server.sh(&format!("partitiond down {}", names[0]));
    std::thread::sleep(Duration::from_secs(3));
    server.assert_lived_on(&other, 1, "the other gone");

    server.sh("partitiond down");
    assert_eq!(server.state(), before, "the host is as it was found");
    assert_eq!(server.boot_id(), host, "the host is the same boot");
}
