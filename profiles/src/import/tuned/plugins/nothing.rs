//! What KernelScript has nothing for, and why.

/// Plugins, options of theirs (all where it is empty), and the reason. The first that fits is the one.
const WHY: &[(&str, &str, &str)] = &[
    ("cpu", "sampling_down_factor", "the ondemand governor's own tuning is not in the catalogue"),
    ("cpu", "load_threshold", "scripts say what holds, and change nothing with the load"),
    ("cpu", "latency_low", "scripts say what holds, and change nothing with the load"),
    ("cpu", "latency_high", "scripts say what holds, and change nothing with the load"),
    ("disk", "apm", "it is a command to the drive (hdparm -B), not a setting of the kernel"),
    ("disk", "spindown", "it is a command to the drive (hdparm -S), not a setting of the kernel"),
    ("disk", "dynamic", "scripts say what holds, and change nothing with the load"),
    (
        "disk",
        "readahead_multiply",
        "it is relative to what was there before, so applying it twice would differ",
    ),
    ("disk", "scheduler_quantum", "the cfq scheduler is gone since Linux 5.0"),
    ("net", "dynamic", "scripts say what holds, and change nothing with the load"),
    ("net", "wake_on_lan", "the catalogue has nothing for it"),
    (
        "bootloader",
        "grub2_cfg_file",
        "where the command line is written is not the script's affair",
    ),
    (
        "bootloader",
        "skip_grub_config",
        "where the command line is written is not the script's affair",
    ),
    ("bootloader", "initrd_dst_img", "an initrd of TuneD's own is not carried over"),
    ("bootloader", "initrd_add_img", "an initrd of TuneD's own is not carried over"),
    ("bootloader", "initrd_add_dir", "an initrd of TuneD's own is not carried over"),
    ("bootloader", "initrd_remove_dir", "an initrd of TuneD's own is not carried over"),
    (
        "scheduler",
        "ps_whitelist",
        "which processes are moved is said by workloads, not by patterns",
    ),
    (
        "scheduler",
        "ps_blacklist",
        "which processes are moved is said by workloads, not by patterns",
    ),
    (
        "scheduler",
        "cgroup_ps_blacklist",
        "which processes are moved is said by workloads, not by patterns",
    ),
    ("scheduler", "perf_mmap_pages", "it is about how TuneD itself watches processes"),
    ("scheduler", "perf_process_fork", "it is about how TuneD itself watches processes"),
    ("scheduler", "runtime", "it is about how TuneD itself watches processes"),
    (
        "scheduler",
        "default_irq_smp_affinity",
        "a part of what was there before would be kept, which scripts cannot say",
    ),
    ("scheduler", "irq_process", "it is about how TuneD itself moves interrupts"),
    ("script", "", "it runs a program; say in settings what the program does"),
    ("variables", "", "a second section of variables is not read by TuneD"),
    ("video", "", "power levels of Radeon cards are not in the catalogue"),
    ("usb", "", "power saving of USB devices is not in the catalogue"),
    ("eeepc_she", "", "it changes the bus of a netbook with its load while TuneD runs"),
    ("irqbalance", "", "it configures another daemon; `irq { affinity = … }` is for interrupts"),
    ("systemd", "", "it configures systemd; CPUs of programs are said by workloads"),
    ("service", "", "it starts and stops services, which is systemd's"),
    ("mounts", "", "mount options are not settings of the kernel"),
    ("rtentsk", "", "it keeps a socket open while TuneD runs"),
    ("uncore", "", "frequencies of the uncore are not in the catalogue"),
    ("acpi", "", "the catalogue has nothing for it"),
    ("sysctl", "", "an empty section does nothing"),
    ("sysfs", "", "an empty section does nothing"),
    ("vm", "", "an empty section does nothing"),
    ("scsi_host", "", "an empty section does nothing"),
    ("audio", "", "an empty section does nothing"),
    ("bootloader", "", "TuneD has no such option of [bootloader]"),
    ("scheduler", "", "TuneD has no such option of [scheduler]"),
];

/// Why an option of a plugin cannot be said.
pub(super) fn why(plugin: &str, option: &str) -> &'static str {
    let fits = |row: &&(&str, &str, &str)| row.0 == plugin && (row.1.is_empty() || row.1 == option);
    WHY.iter().find(fits).map_or("this plugin, or option, is not known here", |row| row.2)
}
