//! Programs that a profile speaks of: what runs and what starts later, and both as before when it goes.

use std::time::{Duration, Instant};

use scenarios::{Server, Setup, scenario};

const SCRIPT: &str = r#"profile p {
    vm.swappiness = 7
    workload worker {
        match exec "busybox-worker"
        cpus = 2-3
        sched = batch nice 5
        oom_score_adjust = 300
        memory { high = 64MiB }
    }
}
"#;

const HUGE: &str = r#"profile huge {
    workload holder { match exec "busybox-holder"; huge_pages = collapse }
    workload contained { match image "postgres"; oom_score_adjust = 200 }
}
"#;

/// The number of a container, and where Docker says what it was made from.
const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const POLICY: &str = r#"profile calm { vm.swappiness = 11 }

profile busy extends calm {
    vm.swappiness = 12
    workload worker { match exec "busybox-worker"; nice = 5 }
}

policy {
    default calm
    when workload.worker.active -> busy
}
"#;

/// What a process is: CPUs, nice level and policy of the scheduler, OOM adjustment, control group.
fn told(server: &Server, pid: &str) -> String {
    server.sh(&format!(
        "cd /proc/{pid} && grep Cpus_allowed_list status | cut -f2; cut -d' ' -f19,41 stat; \
         cat oom_score_adj cgroup"
    ))
}

fn start(server: &Server) -> String {
    server.sh("test -e /bin/busybox-worker || cp /bin/busybox /bin/busybox-worker");
    server.sh("(setsid /bin/busybox-worker sleep 1000 </dev/null >/dev/null 2>&1 & echo $!)")
}

#[test]
fn programs_are_placed_and_put_back() {
    scenario(|| {
        let server = Server::start(&Setup { images: &[], ..Setup::default() });
        server.sh(
            "mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; cp /bin/busybox /bin/busybox-worker",
        );
        let first = start(&server);
        std::thread::sleep(Duration::from_millis(500));
        let before = told(&server, &first);
        assert_eq!(before, "0-3\n0 0\n0\n0::/");
        let shell = server.sh("grep Cpus_allowed_list /proc/self/status | cut -f2");

        let controllers = server.sh("cat /sys/fs/cgroup/cgroup.subtree_control");
        assert!(!controllers.contains("memory"), "{controllers}");

        server.write("/p.ks", SCRIPT);
        server.sh("partitiond profile apply /p.ks --host");
        let second = start(&server);
        let placed = "2-3\n5 3\n300\n0::/partitiond.worker";
        for pid in [&first, &second] {
            until(&server, placed, || told(&server, pid));
        }
        let high = "cat /sys/fs/cgroup/partitiond.worker/memory.high";
        assert_eq!(server.sh(high), "67108864");
        assert_eq!(server.sh("grep Cpus_allowed_list /proc/self/status | cut -f2"), shell);

        server.sh("partitiond profile rollback --host");
        assert_eq!(told(&server, &first), before);
        assert_eq!(told(&server, &second), before);
        assert_eq!(
            server.sh("ls -d /sys/fs/cgroup/partitiond.* 2>/dev/null; \
                 cat /sys/fs/cgroup/cgroup.subtree_control /proc/sys/vm/swappiness"),
            format!("{controllers}\n60").trim()
        );
        // Nobody is placed any more.
        let third = start(&server);
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(told(&server, &third), before);

        // A policy may ask whether they run.
        server.write("/policy.ks", POLICY);
        server.sh("partitiond profile apply /policy.ks --host");
        let swappiness = || server.sh("cat /proc/sys/vm/swappiness");
        until(&server, "12", swappiness);
        until(&server, "0-3\n5 0\n0\n0::/", || told(&server, &third));
        server.sh(&format!("kill {first} {second} {third}"));
        until(&server, "11", swappiness);
        server.sh("partitiond profile rollback --host");
        assert_eq!(swappiness(), "60");
    });
}

#[test]
fn memory_is_put_together_and_images_are_known() {
    scenario(|| {
        let server = Server::start(&Setup { images: &[], ..Setup::default() });
        server.sh(&format!(
            "mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; cp /bin/busybox /bin/busybox-holder; \
             echo never >/sys/kernel/mm/transparent_hugepage/enabled; \
             mkdir -p /sys/fs/cgroup/docker-{CONTAINER}.scope /var/lib/docker/containers/{CONTAINER}; \
             echo '{{\"Config\":{{\"Image\":\"docker.io/library/postgres:16\"}}}}' \
             >/var/lib/docker/containers/{CONTAINER}/config.v2.json"
        ));
        // It holds what it has read until the end, which does not come.
        let holder = server
            .sh("mkfifo /pipe; (head -c 67108864 /dev/zero; exec sleep 1000) >/pipe 2>/dev/null </dev/null & \
             (setsid /bin/busybox-holder tail -c 60000000 </pipe >/dev/null 2>&1 & echo $!)");
        let huge = || {
            server.sh(&format!("grep AnonHugePages /proc/{holder}/smaps_rollup | tr -dc 0-9; true"))
        };
        let held = || {
            server.sh(&format!(
                "test $(grep Rss /proc/{holder}/smaps_rollup | tr -dc 0-9) -gt 58000 && echo yes; true"
            ))
        };
        until(&server, "yes", held);
        assert_eq!(huge(), "0");
        let contained = start(&server);
        let other = start(&server);
        let group = format!("/sys/fs/cgroup/docker-{CONTAINER}.scope/cgroup.procs");
        server.sh(&format!("echo {contained} >{group}"));

        server.write("/huge.ks", HUGE);
        server.sh("partitiond profile apply /huge.ks --host");
        let most = || match huge().parse::<u64>() {
            Ok(kib) if kib > 40_000 => "most".to_owned(),
            _ => huge(),
        };
        until(&server, "most", most);
        let adjust = |pid: &str| server.sh(&format!("cat /proc/{pid}/oom_score_adj"));
        until(&server, "200", || adjust(&contained));
        assert_eq!(adjust(&other), "0", "it is in no container");
        server.sh("partitiond profile rollback --host");
        assert_eq!(adjust(&contained), "0");
    });
}

fn until(server: &Server, wanted: &str, seen: impl Fn() -> String) {
    let begun = Instant::now();
    while seen() != wanted {
        let log = || server.sh("cat /var/lib/partitiond/tuning/steward.log");
        let late = begun.elapsed() > Duration::from_secs(20);
        assert!(!late, "{:?} and not {wanted:?}: {}", seen(), log());
        std::thread::sleep(Duration::from_millis(200));
    }
}
