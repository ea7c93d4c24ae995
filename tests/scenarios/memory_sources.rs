//! Where partitions' memory comes from: scattered huge pages, memory that the host was booted without
//! (`memmap=`, the Soft-Reserved pool).

use rig::Topology;
use scenarios::{Server, Setup, scenario};

/// The rig's memory ends at 6 GiB: 2 GiB of it lie below 4 GiB, on node 0, the others on node 1. There
/// one half GiB is reserved, the next one soft-reserved.
const POOLS: &str = "memmap=512M$5G memmap=512M%0x160000000-1+0xefffffff";

const CLUSTER: &str = r#"Cluster(
    trust: Mutual,
    partitions: {
        "huge": (image: "linux-6.12-cloud"),
        "mapped": (image: "linux-6.1-cloud", memory: "256MiB", memory_source: Memmap),
        "soft": (image: "linux-6.12-cloud", memory_source: SoftReserved),
    },
)
"#;

const NAMES: [&str; 3] = ["huge", "mapped", "soft"];

/// What a partition's kernel says of its own memory, in MiB.
fn memory_inside(server: &Server, name: &str) -> u64 {
    let total = server.sh(&format!("partitiond exec {name} -- grep MemTotal /proc/meminfo"));
    let kib: u64 =
        total.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default();
    kib >> 10
}

#[test]
fn partitions_of_every_source_run_side_by_side() {
    scenario(|| {
        let server = Server::start(&Setup {
            images: &["linux-6.1-cloud", "linux-6.12-cloud"],
            words: POOLS,
            topology: Topology { nodes: 2, ..Topology::flat(4) },
            ..Setup::default()
        });
        let before = server.state();
        server.write("/cluster.ron", CLUSTER);
        let plan = server.sh("partitiond plan /cluster.ron");
        assert!(plan.contains("256MiB on node 1 (memmap)"), "{plan}");
        for round in 0..2 {
            server.sh("partitiond up /cluster.ron");
            for (name, least, most) in
                [("huge", 350, 512), ("mapped", 120, 256), ("soft", 350, 512)]
            {
                let inside = memory_inside(&server, name);
                assert!((least..most).contains(&inside), "{name} sees {inside} MiB");
                assert_eq!(server.partition(name)["restart_guard"], true);
            }
            // Each lies where its source is, and says so.
            let start = |name: &str| server.partition(name)["ranges"][0]["start"].as_u64();
            assert_eq!((start("mapped"), start("soft")), (Some(5 << 30), Some(0x1_6000_0000)));
            assert_eq!(start("huge"), None);
            let node = |name: &str| server.partition(name)["nodes"][0]["node"].as_u64();
            assert_eq!(NAMES.map(node), [Some(0), Some(1), Some(1)]);
            let cpus = |name: &str| server.partition(name)["cpus"].to_string();
            assert_eq!(cpus("huge"), "\"1\"", "beside its memory; the others have 2 and 3");
            let ram = server.sh("partitiond exec mapped -- grep 'System RAM' /proc/iomem");
            assert!(ram.contains("14fdfffff : System RAM"), "all but the mailbox: {ram}");
            let shown = server.sh("partitiond show mapped");
            assert!(shown.contains("256 MiB on node 1, memmap 0x140000000-0x14fffffff"), "{shown}");
            assert!(server.sh("partitiond ps").contains("512 MiB soft-reserved"));
            let map = server.sh("partitiond map");
            assert!(map.contains("mapped 256M memmap") && map.contains("soft 512M soft"), "{map}");

            // A keeper finds such memory again.
            let boots = server.boot_ids(&NAMES);
            if round == 0 {
                for name in NAMES {
                    let keeper = server.partition(name)["keeper"].to_string();
                    server.sh(&format!("kill -9 {keeper}"));
                    let patience = std::time::Duration::from_secs(30);
                    server.wait_for(&format!("partitiond exec {name} -- true"), patience);
                }
                assert_eq!(server.boot_ids(&NAMES), boots);
            }
            server.sh("partitiond down");
            assert_eq!(server.state(), before, "the host is as it was found");
        }

        // There is no more of a pool than there is.
        server.sh("sed -i 's/\"256MiB\"/\"514MiB\"/' /cluster.ron");
        let (_, complaint) = server.refused("partitiond up /cluster.ron");
        assert!(complaint.contains("asks for 514MiB, and 512MiB are left"), "{complaint}");
        assert_eq!(server.state(), before);
    });
}

#[test]
fn device_dax_gives_its_memory_once_it_has_a_driver() {
    scenario(|| {
        let server = Server::start(&Setup {
            images: &["linux-6.12-cloud"],
            words: "memmap=512M%0x160000000-1+0xefffffff",
            modules: &["device_dax", "dax_hmem"],
            ..Setup::default()
        });
        let before = server.state();
        let cluster = |source: &str| {
            format!(
                r#"Cluster(trust: Mutual, partitions: {{
                    "db": (image: "linux-6.12-cloud", memory_source: {source}),
                }})"#
            )
        };
        server.write("/cluster.ron", &cluster("Memmap"));
        let (_, complaint) = server.refused("partitiond up /cluster.ron");
        assert!(complaint.contains("asks for Memmap memory, which this machine"), "{complaint}");

        // Device DAX holds the pool, and has no driver: the message says what to do.
        server.write("/cluster.ron", &cluster("SoftReserved"));
        let (_, complaint) = server.refused("partitiond up /cluster.ron");
        assert!(complaint.contains("dax0.0 holds it and has no driver"), "{complaint}");
        server.sh("echo dax0.0 > /sys/bus/dax/drivers/device_dax/new_id");
        server.sh("partitiond up /cluster.ron");
        assert_eq!(server.sh("partitiond exec db -- nproc"), "1");
        let keeper = server.partition("db")["keeper"].to_string();
        let maps = server.sh(&format!("cat /proc/{keeper}/maps"));
        assert!(maps.contains("/dev/dax0.0") && !maps.contains("hugepages"), "{maps}");
        server.sh("partitiond down");
        assert_eq!(server.state(), before, "the host is as it was found");
    });
}

/// Leaves the host's free memory in pieces that follow each other in no order: many small files of huge
/// pages, removed at random.
const SCATTER: &str = "mkdir -p /mnt/scatter && mount -t hugetlbfs none /mnt/scatter && \
    cd /sys/kernel/mm/hugepages/hugepages-2048kB && echo 1400 >nr_hugepages && \
    count=$(($(cat nr_hugepages) / 2)) && \
    for n in $(seq $count); do fallocate -l 4194304 /mnt/scatter/$n; done && \
    for n in $(seq $count | shuf); do rm /mnt/scatter/$n; done && \
    echo 0 >nr_hugepages && umount /mnt/scatter && echo $count";

#[test]
fn a_kernel_finds_its_piece_where_free_memory_is_scattered() {
    scenario(|| {
        let server = Server::start(&Setup { images: &["linux-7.2-cloud"], ..Setup::default() });
        let files: u64 = server.sh(SCATTER).parse().expect("a count");
        assert!(files > 500, "most of the host's memory was in them: {files}");
        let before = server.state();
        server.up(r#"Cluster(trust: Mutual, partitions: {
            "db": (image: "linux-7.2-cloud", memory: "320MiB"),
        })"#);
        let inside = memory_inside(&server, "db");
        assert!((160..320).contains(&inside), "it sees {inside} MiB");
        let pool = "cat /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
        assert_eq!(server.sh(pool), "160", "what was taken to choose from is back");
        server.sh("partitiond down");
        assert_eq!(server.state(), before, "the host is as it was found");
    });
}
