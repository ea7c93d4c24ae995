//! Scripts that are too big, too deep, malformed or hostile: refused with what is wrong, and nothing
//! written.

use rig::wire::Status;
use scenarios::{Server, Setup, scenario};

/// A name, what the script says, and what the refusal has to name.
fn scripts() -> Vec<(&'static str, String, &'static str)> {
    let of = |statement: &str| format!("profile p {{ vm.swappiness = 7\n{statement} }}");
    vec![
        ("deep expression", of(&nested("vm.dirty_ratio = ", "(", "1", ")")), "nested too deeply"),
        ("deep blocks", of(&nested("", "if true { ", "", "}")), "nested too deeply"),
        ("cycle", "profile a extends b {}\nprofile b extends a {}".to_owned(), "a → b → a"),
        ("overflow", of("vm.min_free_kbytes = 99999999999999999999TiB"), "too large"),
        ("overflow by product", of("vm.min_free_kbytes = 9999999TiB * 99999999"), "does not take"),
        ("NUL", of("kernel.core_pattern = \"a\0b\""), "NUL"),
        ("line feed", of("kernel.core_pattern = \"a\nb\""), "does not end"),
        ("escaped line feed", of("kernel.core_pattern = \"a\\nb\""), "no such escape"),
        ("upwards", of("raw \"/proc/sys/vm/../../../etc/passwd\" = \"x\""), "not a plain path"),
        ("elsewhere", of("raw \"/etc/passwd\" = \"x\""), "/etc/passwd"),
        ("hidden direction", of("vm.dirty_ratio = \u{202e}7"), "means nothing here"),
        (
            "quarrel",
            "profile a { vm.swappiness = 1 }\nprofile b { vm.swappiness = 2 }\n\
             profile p extends a, b {}"
                .to_owned(),
            "`a` sets `vm.swappiness` to 1, and `b` to 2",
        ),
    ]
}

fn nested(before: &str, open: &str, middle: &str, close: &str) -> String {
    format!("{before}{}{middle}{}", open.repeat(10_000), close.repeat(10_000))
}

#[test]
fn bad_scripts_are_refused_and_nothing_is_written() {
    scenario(|| {
        let server = Server::start(&Setup { images: &[], ..Setup::default() });
        let state = || {
            server.sh(
                "cat /proc/sys/vm/swappiness /proc/sys/vm/dirty_ratio /proc/sys/kernel/core_pattern; \
                 cat /etc/passwd 2>&1; partitiond profile history --host 2>&1",
            )
        };
        let before = state();
        for (name, script, told) in scripts() {
            server.write("/bad.ks", &script);
            let refused = server
                .try_sh("timeout 20 partitiond profile apply /bad.ks --profile p --host 2>&1");
            let text = refused.text();
            assert!(text.contains(told), "{name}: {text}");
            assert!(text.len() < 20_000, "{name}: {} bytes of message", text.len());
            assert_eq!(refused.status, Status::Exited(1), "{name}: {text}");
            assert_eq!(state(), before, "{name}");
        }
        server.sh("dd if=/dev/zero of=/bad.ks bs=1M count=100 2>/dev/null");
        let refused = server.try_sh("timeout 20 partitiond profile apply /bad.ks --host 2>&1");
        assert!(refused.text().contains("too large"), "{}", refused.text());

        // No device of that name: told, and the rest of the profile is in force.
        server.write(
            "/glob.ks",
            "profile p { vm.swappiness = 7\n block \"zz*\" { scheduler = none } }",
        );
        let plan = server.try_sh("partitiond profile plan /glob.ks --host").text();
        assert!(plan.contains("no device is called zz*"), "{plan}");
        // What is refused above is refused for itself, not because nothing can be applied here.
        server.sh("partitiond profile apply /glob.ks --host");
        assert_eq!(server.sh("cat /proc/sys/vm/swappiness"), "7");
        server.sh("partitiond profile rollback --host");
        assert_eq!(server.sh("cat /proc/sys/vm/swappiness"), "60");
    });
}
