//! The ways in which kernels lie about their settings, each shown on a real one; and that a profile which
//! meets them leaves everything as it was.

use scenarios::{Server, Setup, scenario};

/// A disk that can be polled.
const DISK: &[&str] = &[
    "-blockdev",
    "driver=null-co,node-name=disk,size=1073741824,read-zeroes=on",
    "-device",
    "virtio-blk-pci,drive=disk,num-queues=4",
];

/// A script that writes these files without asking the catalogue, in order.
fn raw(writes: &[(&str, &str)]) -> String {
    let mut script = "profile lie {\n".to_owned();
    for (file, value) in writes {
        script += &format!("    raw \"{file}\" = \"{value}\"\n");
    }
    script + "}\n\nguard lie { confirm within 1h }\n"
}

/// Applies a script that cannot come into force, and gives what was said.
fn fails(server: &Server, script: &str) -> String {
    server.write("/lie.ks", script);
    let output = server.try_sh("partitiond profile apply /lie.ks --host 2>&1");
    let said = output.text();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("everything was set back as it was"), "{said}");
    said
}

/// Applies a script and takes it back.
fn there_and_back(server: &Server, script: &str, during: impl FnOnce()) {
    server.write("/lie.ks", script);
    server.sh("partitiond profile apply /lie.ks --host");
    during();
    server.sh("partitiond profile rollback --host");
}

fn reads(server: &Server, files: &[&str]) -> Vec<String> {
    files.iter().map(|file| server.sh(&format!("cat {file}"))).collect()
}

#[test]
fn kernels_lie_and_are_not_believed() {
    scenario(|| {
        let server = Server::start(&Setup {
            images: &[],
            modules: &["virtio_blk poll_queues=1"],
            devices: DISK,
            ..Setup::default()
        });
        server.sh("test -e /sys/block/vda");
        a_write_that_fails_changes_something(&server);
        a_write_that_succeeds_is_void(&server);
        words_behind_a_number_are_taken(&server);
        undoing_is_not_the_inverse(&server);
        an_invalid_partition_of_cpus(&server);
    });
}

fn a_write_that_fails_changes_something(server: &Server) {
    let file = "/proc/sys/net/ipv4/tcp_rmem";
    let before = server.sh(&format!("cat {file}"));
    // The lie: refused, and yet the first number is there.
    let output = server.try_sh(&format!("echo '999999 100 50' >{file}"));
    assert!(!output.status.success());
    assert!(server.sh(&format!("cat {file}")).starts_with("999999"), "this kernel does not lie");
    server.sh(&format!("echo '{before}' >{file}"));

    let said = fails(server, &raw(&[(file, "999999 100 50")]));
    assert!(said.contains("tcp_rmem"), "{said}");
    assert_eq!(server.sh(&format!("cat {file}")), before);
}

fn a_write_that_succeeds_is_void(server: &Server) {
    for (file, given, made) in [
        ("/sys/block/vda/queue/read_ahead_kb", "3", "0"),
        ("/sys/block/vda/queue/nr_requests", "1", "4"),
        ("/sys/block/vda/queue/io_poll", "0", "1"),
        ("/proc/sys/fs/pipe-max-size", "1", "4096"),
    ] {
        let before = server.sh(&format!("cat {file}"));
        server.sh(&format!("echo {given} >{file}"));
        assert_eq!(server.sh(&format!("cat {file}")), made, "{file} does not lie here");
        server.sh(&format!("echo {before} >{file}"));

        let said = fails(server, &raw(&[("/proc/sys/vm/swappiness", "7"), (file, given)]));
        assert!(said.contains(&format!("reads {made:?}")), "{said}");
        assert_eq!(server.sh(&format!("cat {file}")), before);
        assert_eq!(server.sh("cat /proc/sys/vm/swappiness"), "60", "the step before it");
    }
}

fn words_behind_a_number_are_taken(server: &Server) {
    let file = "/proc/sys/vm/swappiness";
    server.sh(&format!("echo '61 junk' >{file}"));
    assert_eq!(server.sh(&format!("cat {file}")), "61", "this kernel does not lie");
    server.sh(&format!("echo 60 >{file}"));

    fails(server, &raw(&[(file, "61 junk")]));
    assert_eq!(server.sh(&format!("cat {file}")), "60");
}

fn undoing_is_not_the_inverse(server: &Server) {
    let dirty = ["bytes", "background_bytes", "ratio", "background_ratio"];
    let dirty = dirty.map(|name| format!("/proc/sys/vm/dirty_{name}"));
    let dirty: Vec<&str> = dirty.iter().map(String::as_str).collect();
    let before = reads(server, &dirty);
    assert_eq!(before, ["0", "0", "20", "10"]);
    let script = "profile lie {\n    vm.dirty = bytes { limit: 256MiB, background: 64MiB }\n}\n";
    there_and_back(server, script, || {
        assert_eq!(reads(server, &dirty), ["268435456", "67108864", "0", "0"]);
        // The lie: what was there cannot be written back.
        let output = server.try_sh("echo 0 >/proc/sys/vm/dirty_bytes");
        assert!(!output.status.success(), "this kernel does not lie");
    });
    assert_eq!(reads(server, &dirty), before);

    let overcommit = ["/proc/sys/vm/overcommit_kbytes", "/proc/sys/vm/overcommit_ratio"];
    let before = reads(server, &overcommit);
    server.sh("echo 4000000 >/proc/sys/vm/overcommit_kbytes");
    assert_eq!(reads(server, &overcommit)[1], "0", "this kernel does not lie");
    server.sh(&format!("echo {} >/proc/sys/vm/overcommit_ratio", before[1]));
    assert_eq!(reads(server, &overcommit), before);
    let script = "profile lie {\n    vm.overcommit_kbytes = 3GiB\n}\n";
    there_and_back(server, script, || {
        assert_eq!(reads(server, &overcommit)[1], "0");
    });
    assert_eq!(reads(server, &overcommit), before);

    // Huge pages on demand make the kernel keep more free, and it does not go back by itself.
    let (thp, least) =
        ("/sys/kernel/mm/transparent_hugepage/enabled", "/proc/sys/vm/min_free_kbytes");
    server.sh(&format!("echo never >{thp}; echo 8000 >{least}"));
    server.sh(&format!("echo always >{thp}"));
    let raised = server.sh(&format!("cat {least}"));
    assert_ne!(raised, "8000", "this kernel does not lie");
    server.sh(&format!("echo never >{thp}"));
    assert_eq!(server.sh(&format!("cat {least}")), raised, "this kernel does not lie");
    server.sh(&format!("echo 8000 >{least}"));
    there_and_back(server, "profile lie {\n    mm.thp = always\n}\n", || {
        assert_eq!(server.sh(&format!("cat {least}")), raised);
    });
    assert_eq!(server.sh(&format!("cat {least}")), "8000");
    assert!(server.sh(&format!("cat {thp}")).ends_with("[never]"));
}

fn an_invalid_partition_of_cpus(server: &Server) {
    server.sh("mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; \
               echo +cpuset >/sys/fs/cgroup/cgroup.subtree_control && mkdir /sys/fs/cgroup/island");
    let file = "/sys/fs/cgroup/island/cpuset.cpus.partition";
    server.sh(&format!("echo isolated >{file}"));
    let void = server.sh(&format!("cat {file}"));
    assert!(void.starts_with("isolated invalid"), "this kernel does not lie: {void}");
    server.sh(&format!("echo member >{file}"));
    let said = fails(server, &raw(&[(file, "isolated")]));
    assert!(said.contains("invalid"), "{said}");
    assert_eq!(server.sh(&format!("cat {file}")), "member");
}
