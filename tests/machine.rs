//! What figures were measured on.

use std::fs;
use std::process::Command;

use rig::qemu::Qemu;

/// The machine and QEMU, in words; `rig_cpus` is how many CPUs most rigs have.
pub fn description(qemu: &Qemu, rig_cpus: u32) -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let sharing = if cpus > rig_cpus as usize {
        "as many real CPUs as most rigs have virtual ones, and more"
    } else {
        "no more real CPUs than most rigs have virtual ones, so what runs side by side shares them"
    };
    format!(
        "Measured with {cpus} CPUs ({}), load average {} at the start, on {} with TCG, which proves \
         function, not hardware speed; {sharing}.",
        model(),
        load(),
        version(qemu),
    )
}

/// The load average of the last minute.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    let name = line.map(|line| line.trim_start_matches([' ', '\t', ':']));
    name.unwrap_or("of an unknown model").to_owned()
}

fn version(qemu: &Qemu) -> String {
    let (program, arguments) = qemu.program.split_first().expect("a program");
    let output = Command::new(program)
        .args(arguments)
        .arg("--version")
        .envs(qemu.environment.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("QEMU tells its version");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> =
        text.lines().next().unwrap_or_default().split_whitespace().take(4).collect();
    let version = words.last().copied().unwrap_or("unknown");
    format!("QEMU {version}")
}
