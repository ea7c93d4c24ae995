//! Which ports and device registers a partition's kernel touches while it boots: QEMU sees each
//! access, with the CPU that made it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a scenario ends where something does not work"
)]

use std::collections::BTreeMap;

use rig::trace::{Access, Direction, Space};
use scenarios::{Server, Setup, scenario};

/// The partition's CPUs.
const CPUS: [u32; 2] = [2, 3];

const CLUSTER: &str = r#"Cluster(
    trust: Mutual,
    partitions: { "db": (image: "IMAGE", cpus: Set("2-3")) },
)
"#;

/// What a partition's kernel may touch. In x2APIC mode the local APIC is reached through MSRs, which
/// are no devices to QEMU; nothing else in memory is.
struct Allowed {
    port: u64,
    direction: Direction,
    /// What may be written; anything where there is none.
    values: Option<&'static [u64]>,
    /// Whether only the first partition after a reset of the machine does it.
    once: bool,
}

const fn read(port: u64) -> Allowed {
    Allowed { port, direction: Direction::Read, values: None, once: false }
}

const fn write(port: u64, values: &'static [u64]) -> Allowed {
    Allowed { port, direction: Direction::Write, values: Some(values), once: false }
}

const fn once(allowed: Allowed) -> Allowed {
    Allowed { once: true, ..allowed }
}

const ALLOWED: &[Allowed] = &[
    // Whether the graphics device 00:02.0 is one of Sandy Bridge's, asked before `pci=off` is read:
    // `snb_gfx_workaround_needed`, arch/x86/kernel/setup.c. Reads configuration space only.
    write(0xcf8, &[0x8000_1000]),
    read(0xcfc),
    // Counter 2 of the PIT, its gate on (of port 0x61, bits 4 and 5 only tell what is) and the speaker
    // off, for a first guess at the TSC's frequency that `tsc_early_khz` then overrules:
    // `quick_pit_calibrate`, arch/x86/kernel/tsc.c. The host uses counter 0.
    read(0x61),
    write(0x61, &[0x01, 0x11, 0x21, 0x31]),
    write(0x43, &[0xb0]),
    write(0x42, &[0xff]),
    read(0x42),
    // The time of day, from registers 0 to 9, status A, B and D of the RTC: `mach_get_cmos_time`,
    // arch/x86/kernel/rtc.c. And register 15, below.
    write(0x70, &[0x00, 0x02, 0x04, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0d, 0x0f]),
    read(0x71),
    // Register 15, what firmware does after a reset: "jump" while a CPU is started, then again
    // nothing. `smpboot_setup_warm_reset_vector` and its `restore`, arch/x86/kernel/smpboot.c.
    write(0x71, &[0x0a, 0x00]),
    // The SCI as level-triggered, there being no I/O APIC: `acpi_early_init`, drivers/acpi/bus.c, calls
    // `acpi_pic_sci_set_trigger`, arch/x86/kernel/acpi/boot.c, with the number
    // of the SCI in our FADT, 9. The host uses its I/O APIC, to which it means nothing. It persists:
    // the next partition's kernel finds it so and writes no more.
    read(0x4d0),
    read(0x4d1),
    once(write(0x4d0, &[0x00])),
    once(write(0x4d1, &[0x02])),
];

/// The accesses that are not allowed, each kind once with how often it occurred.
fn excess<'a>(
    accesses: &[Access],
    allowed: impl Iterator<Item = &'a Allowed> + Clone,
) -> BTreeMap<String, usize> {
    let mut excess = BTreeMap::new();
    for access in accesses {
        let known = allowed.clone().any(|allowed| {
            access.space == Space::Port
                && access.address == allowed.port
                && access.direction == allowed.direction
                && allowed.values.is_none_or(|values| values.contains(&access.value))
        });
        if !known {
            let Access { cpu, direction, space, address, value, device, .. } = access;
            let value = match direction {
                Direction::Read => String::new(),
                Direction::Write => format!(" of {value:#x}"),
            };
            let kind =
                format!("CPU {cpu:?}: {direction:?}{value}, {space:?} {address:#x} ({device})");
            *excess.entry(kind).or_default() += 1;
        }
    }
    excess
}

#[test]
fn a_partition_touches_only_what_is_known() {
    scenario(|| {
        // The host's kernel does nothing on these CPUs but let go of them: no tasks, no device's
        // interrupts, and no comparison of clocks (which reads the HPET on each CPU in turn).
        let server = Server::start(&Setup {
            images: &["linux-6.1-cloud", "linux-6.12-cloud"],
            words: "isolcpus=2-3 irqaffinity=0-1 tsc=reliable",
            ..Setup::default()
        });
        // Those that are bound to a CPU are moved by that CPU when it leaves.
        server.sh(
            "for file in /proc/irq/*/smp_affinity_list; do echo 0-1 >$file; done 2>/dev/null; true",
        );
        for (round, image) in ["linux-6.1-cloud", "linux-6.12-cloud"].into_iter().enumerate() {
            server.write("/cluster.ron", &CLUSTER.replace("IMAGE", image));
            let before = server.rig().accesses().map_or(0, |accesses| accesses.len());
            server.rig().trace(true).unwrap();
            // A sign in the record that it is kept: the host reads its RTC.
            server.sh("taskset 1 cat /sys/class/rtc/rtc0/time");
            server.sh("partitiond up /cluster.ron");
            server.rig().trace(false).unwrap();
            let accesses = server.rig().accesses().unwrap().split_off(before);
            let sign = |access: &Access| access.cpu == Some(0) && access.address == 0x71;
            assert!(accesses.iter().any(sign), "the record is kept");
            let own = |access: &Access| access.cpu.is_some_and(|cpu| CPUS.contains(&cpu));
            let own: Vec<Access> = accesses.into_iter().filter(own).collect();

            let allowed = || ALLOWED.iter().filter(|allowed| round == 0 || !allowed.once);
            let excess_of_all = excess(&own, allowed());
            assert!(
                excess_of_all.is_empty(),
                "{image} touches what it should not: {excess_of_all:#?}"
            );
            // Nothing is allowed that does not occur: without any one entry the boot would be refused.
            for entry in allowed() {
                let others = allowed().filter(|other| !std::ptr::eq(*other, entry));
                let missed = excess(&own, others);
                assert!(
                    !missed.is_empty(),
                    "{image}: no {:?} of port {:#x}",
                    entry.direction,
                    entry.port
                );
            }
            server.sh("partitiond down");
        }
    });
}
