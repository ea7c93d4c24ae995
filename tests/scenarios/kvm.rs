//! Partitions in virtual machines. The server's virtualisation is emulated: this proves that it works, not how
//! fast it is.

use std::time::Duration;

use scenarios::{Server, Setup, scenario};

const CLUSTER: &str = r#"Cluster(
    trust: Isolated,
    partitions: {
        "one": (image: "linux-6.1-cloud", memory: "256MiB"),
    },
)
"#;

fn server() -> Server {
    Server::start(&Setup {
        modules: &["kvm_amd"],
        images: &["linux-6.1-cloud"],
        ..Setup::default()
    })
}

fn names(obstacles: &serde_json::Value) -> Vec<&str> {
    let all = obstacles.as_array().expect("an array");
    all.iter().filter_map(|obstacle| obstacle["name"].as_str()).collect()
}

#[test]
fn a_kernel_boots_in_a_virtual_machine() {
    scenario(|| {
        let server = server();
        let before = server.state();
        let report = || -> serde_json::Value {
            // It fails where a back end does not work: what it prints is what counts here.
            let output = server.try_sh("partitiond --format json doctor");
            serde_json::from_str(output.text().trim()).expect("JSON")
        };
        assert_eq!(names(&report()["kvm"]), [""; 0]);

        server.up(CLUSTER);
        let inside = server.sh("partitiond exec one -- uname -r");
        assert!(inside.starts_with("6.1."), "{inside}");
        assert_eq!(server.sh("partitiond exec one -- nproc"), "1");
        let boot_id = server.sh("partitiond exec one -- cat /proc/sys/kernel/random/boot_id");
        let one = server.partition("one");
        assert_eq!(one["boot_id"], boot_id.as_str());
        assert_eq!(one["backend"], "kvm");
        let log = server.sh("partitiond logs one");
        assert!(log.contains("Hypervisor detected: KVM"), "{log}");
        let first = server.heartbeats(&["one"])[0];
        std::thread::sleep(Duration::from_secs(3));
        assert!(server.heartbeats(&["one"])[0] >= first + 2);

        server.sh("partitiond down");
        assert_eq!(server.state(), before, "the host is as it was found");
        server.sh("test ! -e /sys/fs/cgroup/partitiond-kvm");

        server.sh("rmmod kvm_amd");
        assert_eq!(names(&report()["kvm"]), ["kvm"]);
        let (_, refused) = server.refused("partitiond up /cluster.ron");
        assert!(refused.contains("/dev/kvm cannot be opened"), "{refused}");
        assert_eq!(server.state(), before, "nothing was taken");
    });
}
