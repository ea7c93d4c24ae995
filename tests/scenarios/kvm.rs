//! What `doctor` says of a KVM.

#![allow(clippy::expect_used, reason = "a scenario ends where something does not work")]

use scenarios::{Server, Setup, scenario};
use serde_json::Value;

/// What stands in the way of `kvm`, besides that partitions do not use it.
fn in_the_way(server: &Server) -> Vec<String> {
    let said = server.try_sh("partitiond --format json doctor").text();
    let said: Value = serde_json::from_str(&said).expect("what doctor found");
    let obstacles = said["kvm"].as_array().expect("a list").iter();
    let found = obstacles.filter(|it| it["name"] != "kvm-not-in-this-version");
    found.map(|it| it["found"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_real_kvm_is_known_and_a_missing_one_is_told() {
    scenario(|| {
        let setup = Setup { images: &[], modules: &["kvm_amd"], ..Setup::default() };
        let server = Server::start(&setup);
        assert_eq!(server.sh("cat /sys/module/kvm_amd/parameters/nested"), "1");
        assert_eq!(in_the_way(&server), [""; 0]);
        println!("{}", server.try_sh("time partitiond doctor 2>&1").text());

        server.sh("rmmod kvm_amd");
        let without = in_the_way(&server);
        assert!(
            matches!(without.as_slice(), [one] if one.contains("/dev/kvm cannot be opened")),
            "{without:?}"
        );
    });
}
