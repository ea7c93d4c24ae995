//! Every row of the table of dangers, refused or guarded.

use super::*;

/// What is told of statements in a profile without a guard on a kernel; at least one error.
fn refused_on(version: &str, statements: &str) -> String {
    let text = format!("profile p {{\n{statements}\n}}");
    let outcome = on(&facts(version, Flavour::Generic), &Present::default(), &text);
    let errors: Vec<_> = outcome.told.iter().filter(|told| told.starts_with("error")).collect();
    assert!(!errors.is_empty(), "{statements} is not refused: {:?}", outcome.settings);
    outcome.told.join("\n")
}

fn refused(statements: &str) -> String {
    refused_on("6.12", statements)
}

/// Whether statements are refused without a guard, and taken with one.
fn is_guarded_on(version: &str, statements: &str) {
    assert!(refused_on(version, statements).contains("takes a guard"), "{statements}");
    let text = format!("profile p {{\n{statements}\n}} guard p {{ confirm within 30s }}");
    let outcome = on(&facts(version, Flavour::Generic), &Present::default(), &text);
    assert_eq!(outcome.told, [""; 0], "{statements}");
}

fn is_brick(statements: &str) {
    let told = refused(statements);
    assert!(told.contains("can stop the machine"), "{statements}: {told}");
    // A guard does not help, and there is no waiver.
    let name = statements.split(" =").next().unwrap_or_default().trim();
    let text = format!(
        "profile p {{ {statements}; waive range {name} \"why\" }} guard p {{ confirm within 30s }}"
    );
    assert!(resolved(&text).told.join("").contains("can stop the machine"), "{statements}");
}

#[test]
fn row_01_max_map_count() {
    is_brick("vm.max_map_count = 0");
    is_brick("vm.max_map_count = 65529");
    assert_eq!(settings("vm.max_map_count = 262144").len(), 1);
}

#[test]
fn row_02_overcommit_without_room() {
    let mut tight = facts("6.12", Flavour::Generic);
    tight.know("vm.committed_limit", Value::bytes(4 << 30));
    let text = "profile p { vm.overcommit_memory = 2 }";
    let outcome = on(&tight, &Present::default(), text);
    assert!(outcome.told.join("").contains("can stop the machine"), "{:?}", outcome.told);
    assert_eq!(settings("vm.overcommit_memory = 2").len(), 1, "where there is room");
    // The plan's own ratio counts, not the one in force.
    let tight = told("vm.overcommit_memory = 2; vm.overcommit_ratio = 20%");
    assert!(tight.join("").contains("can stop the machine"), "{tight:?}");
}

#[test]
fn row_03_overcommit_ratio_below_nothing() {
    refused("vm.overcommit_ratio = -1");
    assert_eq!(settings("vm.overcommit_ratio = 80%").len(), 1);
}

#[test]
fn row_04_min_free_kbytes() {
    is_brick("vm.min_free_kbytes = 15GiB");
    is_brick("vm.min_free_kbytes = 2GiB");
    is_brick("vm.min_free_kbytes = 512KiB");
    assert_eq!(settings("vm.min_free_kbytes = 128MiB").len(), 1);
}

#[test]
fn row_05_nr_hugepages_beyond_what_is_there() {
    is_brick("vm.nr_hugepages = 8000");
    assert_eq!(settings("vm.nr_hugepages = 1024").len(), 1);
}

#[test]
fn row_06_hugepages_on_the_command_line() {
    is_brick("boot.hugepages = 8000");
    assert!(refused("boot { cmdline += \"hugepages=8000\" }").contains("can stop the machine"));
    assert_eq!(settings("boot.hugepages = 1024").len(), 1);
}

#[test]
fn row_07_threads_max() {
    is_brick("kernel.threads-max = 100");
    assert_eq!(settings("kernel.threads-max = 100000").len(), 1);
}

#[test]
fn row_08_pid_max() {
    is_brick("kernel.pid_max = 301");
    assert_eq!(settings("kernel.pid_max = 4194304").len(), 1);
}

#[test]
fn row_09_real_time_without_a_limit() {
    let mut busy = facts("6.1", Flavour::Generic);
    busy.know("tasks.realtime_on_shared_cpus", Value::Flag(true));
    let text = "profile p { kernel.sched_rt_runtime_us = -1us } guard p { confirm within 30s }";
    let outcome = on(&busy, &Present::default(), text);
    assert!(!outcome.told.is_empty(), "hangs 6.1, guard or not: {:?}", outcome.settings);
    is_guarded_on("6.12", "kernel.sched_rt_runtime_us = -1us");
}

#[test]
fn row_10_dirty_bytes_of_a_few_pages() {
    is_brick("vm.dirty_bytes = 8KiB");
    is_brick("vm.dirty_bytes = 15MiB");
    assert_eq!(settings("vm.dirty_bytes = 16MiB").len(), 1);
}

#[test]
fn row_11_no_more_modules() {
    is_guarded_on("6.12", "kernel.modules_disabled = 1");
}

#[test]
fn row_11_modules_are_loaded_before_they_are_forbidden() {
    let text = "profile p { kernel.modules_disabled = 1; net.ipv4.tcp_congestion_control = bbr }
        guard p { confirm within 30s }";
    let outcome = resolved(text);
    assert_eq!(outcome.told, [""; 0]);
    assert!(outcome.settings[1].starts_with("kernel.modules_disabled"), "{:?}", outcome.settings);
}

#[test]
fn row_12_no_more_kexec_where_partitions_boot_by_it() {
    let text = "profile p { kernel.kexec_load_disabled = 1 } guard p { confirm within 30s }";
    assert!(!resolved(text).told.is_empty());
    let mut elsewhere = facts("6.12", Flavour::Generic);
    elsewhere.know("kernel.boots_partitions", Value::Flag(false));
    assert_eq!(on(&elsewhere, &Present::default(), text).told, [""; 0]);
}

#[test]
fn row_13_all_cpus_isolated() {
    is_brick("boot.isolated = 0-7");
    is_brick("boot.nohz_full = 0-7");
    // Both must agree.
    refused("boot.isolated = 2-7; boot.nohz_full = 3-7");
    assert_eq!(settings("boot.isolated = 2-7; boot.nohz_full = 2-7").len(), 2);
}

#[test]
fn row_14_weaker_protection() {
    for (name, value) in [
        ("kernel.randomize_va_space", "0"),
        ("kernel.randomize_va_space", "1"),
        ("boot.mitigations", "off"),
        ("kernel.unprivileged_bpf_disabled", "0"),
        ("kernel.kptr_restrict", "0"),
    ] {
        assert!(refused(&format!("{name} = {value}")).contains("weakens protection"), "{name}");
        let waived = told(&format!("{name} = {value}; waive security {name} \"no foreign code\""));
        assert_eq!(waived, [""; 0], "{name}");
    }
    let idle = told("vm.swappiness = 3; waive security kernel.kptr_restrict \"why\"");
    assert!(idle[0].starts_with("warning") && idle[0].contains("nothing here needs a waiver"));
}

#[test]
fn row_15_the_management_link() {
    is_guarded_on("6.12", "net.ipv4.ip_forward = 1");
    is_guarded_on("6.12", "net.ipv4.conf.all.rp_filter = 1");
    is_guarded_on("6.12", "net.ipv4.tcp_mem = { low: 64MiB, pressure: 96MiB, high: 128MiB }");
    refused("net.ipv4.ip_local_port_range = { low: 40000, high: 40000 }");
    refused("net.ipv4.tcp_mem = { low: 4KiB, pressure: 4KiB, high: 4KiB }");
}
