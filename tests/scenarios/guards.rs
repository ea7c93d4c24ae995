//! Guards and policies on a machine's own kernel: who is not confirmed is undone, with nobody at the keyboard.

use std::time::{Duration, Instant};

use scenarios::{Server, Setup, scenario};

const SWAPPINESS: &str = "cat /proc/sys/vm/swappiness";

fn in_force(server: &Server, script: &str) -> String {
    server.write("/guarded.ks", script);
    server.sh("partitiond profile apply /guarded.ks --host")
}

/// Waits until a setting is so.
fn until(server: &Server, swappiness: &str, patience: Duration) {
    let begun = Instant::now();
    while server.sh(SWAPPINESS) != swappiness {
        let log = || server.sh("cat /var/lib/partitiond/tuning/steward.log");
        assert!(begun.elapsed() < patience, "it never became {swappiness}: {}", log());
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn newest(server: &Server) -> String {
    let history = server.sh("partitiond --format json profile history --host");
    let mut states = history.lines().filter_map(|line| line.trim().strip_prefix("\"state\": \""));
    states.next_back().unwrap_or_default().trim_end_matches(['"', ',']).to_owned()
}

#[test]
fn guards_and_policies() {
    scenario(|| {
        let server = Server::start(&Setup { images: &[], ..Setup::default() });
        assert_eq!(server.sh(SWAPPINESS), "60");
        nobody_confirms(&server);
        somebody_confirms(&server);
        a_reason_holds(&server);
        the_watcher_dies(&server);
        one_profile_replaces_another(&server);
        a_policy_switches(&server);
    });
}

const GUARDED: &str = "profile p { vm.swappiness = 7 }\nguard p { confirm within 4s }\n";

fn nobody_confirms(server: &Server) {
    let said = in_force(server, GUARDED);
    assert!(said.contains("confirm it within 4 s"), "{said}");
    assert_eq!(server.sh(SWAPPINESS), "7");
    until(server, "60", Duration::from_secs(30));
    assert_eq!(newest(server), "rolled back");
}

fn somebody_confirms(server: &Server) {
    in_force(server, GUARDED);
    server.sh("partitiond profile confirm --host");
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(server.sh(SWAPPINESS), "7");
    assert_eq!(newest(server), "confirmed");
    server.sh("partitiond profile rollback --host");
    assert_eq!(server.sh(SWAPPINESS), "60");
}

fn a_reason_holds(server: &Server) {
    in_force(
        server,
        "profile p { vm.swappiness = 8 }\nguard p { rollback if load.avg1 >= 0.0 for 2s }\n",
    );
    assert_eq!(server.sh(SWAPPINESS), "8");
    until(server, "60", Duration::from_secs(30));
    let log = server.sh("tail -n 1 /var/lib/partitiond/tuning/steward.log");
    assert!(log.contains("rollback if load.avg1"), "{log}");
}

fn the_watcher_dies(server: &Server) {
    in_force(server, &GUARDED.replace("4s", "1h"));
    assert_eq!(server.sh(SWAPPINESS), "7");
    let watcher = server.sh("grep -l attend /proc/[0-9]*/cmdline | cut -d/ -f3 | head -n 1");
    server.sh(&format!("kill -9 {watcher}"));
    let refused = server.try_sh("partitiond profile confirm --host 2>&1");
    assert!(refused.text().contains("who watched it is gone"), "{}", refused.text());
    assert_eq!(server.sh(SWAPPINESS), "60");
}

fn one_profile_replaces_another(server: &Server) {
    let dirty = "cat /proc/sys/vm/dirty_bytes /proc/sys/vm/dirty_ratio | tr '\\n' ' '";
    assert_eq!(server.sh(dirty), "0 20");
    in_force(
        server,
        "profile a { vm.swappiness = 7; vm.dirty = bytes { limit: 256MiB, background: 64MiB } }\n",
    );
    assert_eq!(server.sh(dirty), "268435456 0");
    // What the next one does not speak of goes back to what it was before both.
    in_force(server, "profile b { vm.swappiness = 9 }\n");
    assert_eq!((server.sh(SWAPPINESS), server.sh(dirty)), ("9".into(), "0 20".into()));
    server.sh("partitiond profile rollback --host");
    assert_eq!((server.sh(SWAPPINESS), server.sh(dirty)), ("7".into(), "268435456 0".into()));
    server.sh("partitiond profile rollback --host");
    assert_eq!((server.sh(SWAPPINESS), server.sh(dirty)), ("60".into(), "0 20".into()));
}

fn a_policy_switches(server: &Server) {
    in_force(
        server,
        "profile calm { vm.swappiness = 11 }\nprofile busy extends calm { vm.swappiness = 12 }\n\
         policy {\n    default calm\n    when exists(\"/busy\") for 1s until not exists(\"/busy\") for 1s -> busy\n}\n",
    );
    assert_eq!(server.sh(SWAPPINESS), "11");
    server.sh("touch /busy");
    until(server, "12", Duration::from_secs(30));
    server.sh("rm /busy");
    until(server, "11", Duration::from_secs(30));
    // Whoever takes the profile back ends the policy.
    server.sh("partitiond profile rollback --host; touch /busy; sleep 4");
    assert_eq!(server.sh(SWAPPINESS), "60");
}
