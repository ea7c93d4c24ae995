//! Profiles for network devices on real kernels and drivers: read back with Debian's own `ethtool`, `tc` and
//! `ip`, and undone to the last word that these tell.

#![allow(clippy::panic, reason = "a scenario ends where something does not work")]

use std::time::Duration;

use profiles::catalogue::{Member, matrix};
use scenarios::{Server, Setup, scenario};
use serde_json::Value;

/// A device with several queues, one with one, and one whose driver has almost nothing.
const DEVICES: &[&str] = &[
    "-netdev",
    "user,id=many,restrict=on",
    "-device",
    "igb,netdev=many,mac=52:54:00:00:00:01",
    "-netdev",
    "user,id=one,restrict=on",
    "-device",
    "e1000e,netdev=one,mac=52:54:00:00:00:02",
    "-netdev",
    "user,id=few,restrict=on",
    "-device",
    "virtio-net-pci,netdev=few,mac=52:54:00:00:00:03",
];

/// Debian's: busybox has one of its own, which knows few disciplines.
const TC: &str = "/sbin/tc qdisc";

/// How long devices may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(member: &'static Member) -> Server {
    let server = Server::start(&Setup {
        kernel: Some((&member.package, &member.suite)),
        devices: DEVICES,
        images: &[],
        modules: &["virtio_net", "igb", "e1000e", "sch_fq", "sch_fq_codel", "sch_cake", "sch_htb"],
        packages: &["ethtool", "iproute2"],
        ..Setup::default()
    });
    server.wait_for("test $(ls /sys/class/net | grep -c eth) = 3", PATIENCE);
    // By address, whichever was found first.
    for (name, address) in [("many", "01"), ("one", "02"), ("few", "03")] {
        server.sh(&format!(
            "for d in /sys/class/net/eth*; do grep -q 00:{address}$ $d/address && \
             ip link set ${{d##*/}} name {name} && ip link set {name} up; done; test -e /sys/class/net/{name}"
        ));
    }
    server.wait_for(
        "grep -q 1 /sys/class/net/many/carrier && grep -q 1 /sys/class/net/one/carrier",
        PATIENCE,
    );
    server
}

/// Everything that Debian's tools tell of a device, but for what counts.
fn told(server: &Server, device: &str) -> String {
    let text = server.sh(&format!(
        "for o in k g c l a; do ethtool -$o {device} 2>&1; done; ethtool --show-eee {device} 2>&1; \
         {TC} show dev {device}; cat /sys/class/net/{device}/mtu /proc/sys/net/ipv6/conf/{device}/mtu; \
         cat /sys/class/net/{device}/queues/*/[rx]ps_cpus 2>/dev/null; true"
    ));
    assert!(text.contains("generic-receive-offload: on"), "{text}");
    text
}

fn set(server: &Server, script: &str) -> Value {
    server.write("/network.ks", script);
    parsed(&server.sh("partitiond --format json profile apply /network.ks --host"))
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn has(server: &Server, line: &str, wanted: &str) {
    let said = server.sh(line).split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(wanted), "`{line}` says\n{said}\nand not {wanted}");
}

const EVERYTHING: &str = r#"
profile everything {
    net "many" {
        mtu = 1400B
        qdisc = fq limit 20000 maxrate 1Gbit/s
        channels = 1
        rings.rx = 512
        coalesce.rx_time = 60us
        feature.gro = off
    }
    net "one" {
        mtu = 1400B
        qdisc = fq_codel target 8ms ecn off
        rings.rx = 512; rings.tx = 1024
        coalesce.rx_time = 50us; coalesce.tx_time = 5us
        feature.gro = off; feature.tso = off; feature.gso = off; feature.lro = off
    }
    net "few" { qdisc = cake bandwidth 100Mbit/s; rings.rx = 64; eee = off; rps_cpus = 1-2 }
}
guard everything { confirm within 10min }
"#;

fn all_that_devices_have(member: &'static Member) {
    let server = start(member);
    let devices = ["many", "one", "few"];
    server.sh("echo 1450 >/proc/sys/net/ipv6/conf/one/mtu");
    let before = devices.map(|device| told(&server, device));

    server.write("/network.ks", EVERYTHING);
    let plan = server.sh("partitiond --format json profile plan /network.ks --host; test $? = 2");
    let plan = parsed(&plan);
    let lacking: Vec<String> = list(&plan["not_applicable"])
        .map(|it| format!("{}: {}", text(&it["setting"]), text(&it["reason"])))
        .collect();
    println!("{}: {lacking:#?}", member.name());
    let lacks = |setting: &str, why: &str| {
        let found = lacking.iter().any(|it| it.starts_with(setting) && it.contains(why));
        assert!(found, "{setting}: {why}: {lacking:#?}");
    };
    lacks("net.device.feature.lro of one", "keeps rx-lro off");
    lacks("net.device.coalesce.tx_time of one", "the driver of one has no coalesce.tx-usecs");
    lacks("net.device.eee of few", "the driver of few has no eee.enabled");
    if member.name().starts_with("5.10") {
        lacks("net.device.rings.rx of few", "lets nobody change it");
    }
    assert_eq!(devices.map(|device| told(&server, device)), before, "a plan changes nothing");

    let report = set(&server, EVERYTHING);
    for step in list(&report["steps"]) {
        let outcome = text(&step["outcome"]);
        assert!(["written", "rounded"].contains(&outcome), "{step}");
    }
    assert_eq!(report["confinement"]["seccomp"]["Ok"], Value::Null, "{report}");
    server.sh("partitiond profile confirm --host");
    has(&server, "cat /sys/class/net/many/mtu /sys/class/net/one/mtu", "1400 1400");
    has(&server, &format!("{TC} show dev many root"), "limit 20000p");
    has(&server, &format!("{TC} show dev many root"), "maxrate 1Gbit");
    has(&server, &format!("{TC} show dev one root"), "fq_codel");
    has(&server, &format!("{TC} show dev one root"), "target 8ms");
    has(&server, &format!("{TC} show dev few root"), "cake");
    has(&server, &format!("{TC} show dev few root"), "bandwidth 100Mbit");
    has(&server, "cat /sys/class/net/few/queues/rx-0/rps_cpus", "6");
    has(&server, "ethtool -g many | sed 1,/Current/d", "RX: 512");
    has(&server, "ethtool -g one | sed 1,/Current/d", "TX: 1024");
    has(&server, "ethtool -c one", "rx-usecs: 50 ");
    has(&server, "ethtool -l many | sed 1,/Current/d", "Combined: 1");
    for feature in
        ["generic-receive-offload", "tx-tcp-segmentation", "generic-segmentation-offload"]
    {
        has(&server, "ethtool -k one", &format!("{feature}: off"));
    }
    let verified = server.sh("partitiond --format json profile verify --host");
    assert_eq!(parsed(&verified)["drifts"], serde_json::json!([]));

    // What somebody changes is named.
    server.sh(&format!("ethtool -K one gro on && {TC} replace dev few root pfifo"));
    let drifted = server.sh("partitiond profile verify --host; test $? = 2");
    assert!(
        drifted.contains("feature.gro of one") && drifted.contains("qdisc of few"),
        "{drifted}"
    );
    server.sh("partitiond profile rollback --force --host");
    for (device, before) in devices.iter().zip(&before) {
        assert_eq!(&told(&server, device), before, "{device} is as it was");
    }
    an_operators_discipline(&server);
}

/// What somebody set up with `tc` comes back with all that it had, or is left alone.
fn an_operators_discipline(server: &Server) {
    let script = "profile q { net \"one\" { qdisc = fq } }\nguard q { confirm within 10min }\n";
    let show = &format!("{TC} show dev one");
    for own in [
        "fq_codel limit 77 target 7ms noecn flows 512",
        "cake bandwidth 9mbit nat",
        "fq nopacing maxrate 8mbit",
    ] {
        server.sh(&format!("{TC} replace dev one root handle 7: {own}"));
        let before = server.sh(show);
        set(server, script);
        has(server, show, "qdisc fq ");
        server.sh("partitiond profile rollback --host");
        assert_eq!(server.sh(show), before, "{own}");
        server.sh(&format!("{TC} del dev one root"));
    }
    server.sh(&format!("{TC} replace dev one root handle 7: htb default 10"));
    let before = server.sh(show);
    let plan = server.sh("partitiond --format json profile plan /network.ks --host");
    let why = text(&parsed(&plan)["not_applicable"][0]["reason"]).to_owned();
    assert!(why.contains("htb, which somebody set up with tc"), "{why}");
    assert_eq!(server.sh(show), before);
    let (_, refused) = {
        server.write(
            "/htb.ks",
            "profile q { net \"one\" { qdisc = htb } }\nguard q { confirm within 1min }\n",
        );
        server.refused("partitiond profile check /htb.ks")
    };
    assert!(refused.contains("`htb` cannot be set here"), "{refused}");
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}")).iter()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn on(name: &str) {
    let members = matrix().unwrap_or_else(|error| panic!("the list of kernels: {error}")).iter();
    let member = members.clone().find(|member| member.name() == name);
    let member = member.unwrap_or_else(|| panic!("no kernel {name} in the matrix"));
    scenario(|| all_that_devices_have(member));
}

#[test]
fn devices_are_set_and_put_back() {
    on("6.12-generic");
}

#[test]
#[ignore = "soak: half a minute for each kernel"]
fn devices_are_set_and_put_back_on_old_and_new_kernels() {
    ["5.10-generic", "6.1-generic", "7.2-generic"].iter().for_each(|name| on(name));
}
