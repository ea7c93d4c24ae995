//! The machine that is tuned: its disk, and its way to another one.

use boot::units::Bytes;
use rig::{GuestFile, Topology, provide};
use scenarios::{Server, Setup, programs};

/// Modules that experiments need: links, congestion control, disks and their schedulers, swap.
const MODULES: [&str; 10] = [
    "virtio_blk",
    // What ext4 needs without saying so, and itself.
    "crc32c_generic",
    "ext4",
    "veth",
    "sch_netem",
    "sch_fq",
    "tcp_bbr",
    "bfq",
    "mq_deadline",
    // 32 requests at a time, of 20 ms each, whoever asks. With more than one queue, as fast disks have, the
    // kernel's default is no scheduler.
    "null_blk gb=1 nr_devices=1 submit_queues=2 hw_queue_depth=16 irqmode=2 completion_nsec=20000000",
];

/// How many CPUs it has.
pub const CPUS: u32 = 4;

/// Debian's kernel for servers: the package and its suite.
pub const KERNEL: (&str, &str) = ("linux-image-6.12-amd64", "bookworm-backports");

/// A machine with a slow disk, `/dev/vda`: a small volume of a cloud, of 200 requests and 50 MB a second.
pub fn start() -> Server {
    let server = Server::start(&Setup {
        // Cloud kernels lack zswap.
        kernel: Some(KERNEL),
        images: &[],
        topology: Topology::flat(CPUS),
        memory: Bytes::gib(2),
        modules: &MODULES,
        packages: &["iproute2", "e2fsprogs", "kmod"],
        disk: Bytes::gib(2),
        disk_words: ",cache=unsafe,throttling.iops-total=200,throttling.bps-total=50000000",
        files: loads().into_iter().chain(built_in()).collect(),
        ..Setup::default()
    });
    server.sh("/sbin/depmod");
    server
}

/// What `modprobe` goes by to know that a module is built in.
fn built_in() -> impl Iterator<Item = GuestFile> {
    let cache = provide::cache_dir().expect("a place for the cache");
    let kernel = provide::kernel(KERNEL.0, KERNEL.1, &cache, &()).expect("the kernel");
    let names = ["modules.builtin", "modules.builtin.modinfo", "modules.order"].into_iter();
    names.map(move |name| GuestFile {
        guest: format!("/lib/modules/{}/{name}", kernel.release).into(),
        host: kernel.modules.join(name),
        mode: None,
    })
}

/// The loads under the names by which profiles know them.
fn loads() -> Vec<GuestFile> {
    let file = |name| GuestFile {
        guest: format!("/usr/bin/{name}").into(),
        host: programs().load.clone(),
        mode: Some(0o755),
    };
    ["load", "hog", "waker"].map(file).into()
}

/// Makes the namespaces `way` and `far`: this machine has a link to the first, and the first to the second,
/// so that what the way does to packets is none of this machine's business. Packets are sent as they are on
/// the wire, not put together.
pub fn connect(server: &Server) {
    server.sh("ip() { /bin/ip \"$@\"; }  # and not busybox's
        set -e
        ip netns add way; ip netns add far
        ip link add here type veth peer name near netns way
        ip link add there netns way type veth peer name end netns far
        ip addr add 10.0.1.1/24 dev here
        ip -n way addr add 10.0.1.2/24 dev near
        ip -n way addr add 10.0.2.2/24 dev there
        ip -n far addr add 10.0.2.1/24 dev end
        ip link set here up gso_max_segs 1
        ip -n way link set near up gso_max_segs 1
        ip -n way link set there up gso_max_segs 1
        ip -n far link set end up gso_max_segs 1
        ip -n far link set lo up
        ip route add 10.0.2.0/24 via 10.0.1.2
        ip -n far route add 10.0.1.0/24 via 10.0.2.2
        ip netns exec way sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'");
}

/// What the way does to packets: `netem` to the far side, and back.
pub fn way(server: &Server, there: &str, back: &str) {
    server.sh(&format!(
        "/sbin/tc -n way qdisc replace dev there root netem {there} && \
         /sbin/tc -n way qdisc replace dev near root netem {back}"
    ));
}

/// Runs a load; both sides have forgotten what they knew of each other.
pub fn over_the_way(server: &Server, load: &str) -> String {
    server.sh(&format!("/bin/ip tcp_metrics flush; /bin/ip -n far tcp_metrics flush; load {load}"))
}
