//! The command line.

use std::path::Path;

use crate::spec::RigSpec;
use crate::state::RigDir;
use crate::wire::PORT;

/// The arguments for a rig, program not included. QEMU gets the byte stream as descriptor 0 and
/// writes the machine's console to descriptor 1.
pub fn arguments(spec: &RigSpec, initramfs: &Path, dir: &RigDir) -> Vec<String> {
    let topology = spec.topology;
    let cores = topology.cpus / topology.sockets / topology.threads;
    let megabytes = spec.memory.0 >> 20;
    let mut arguments: Vec<String> = [
        "-machine",
        "q35",
        "-accel",
        // Single-threaded TCG would serialise CPUs that are to run beside each other.
        "tcg,thread=multi",
        "-cpu",
        &spec.cpu_model,
        "-smp",
        &format!(
            "{},sockets={},cores={cores},threads={}",
            topology.cpus, topology.sockets, topology.threads
        ),
        "-m",
        &format!("{megabytes}M"),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        // A machine that resets or panics ends, and its owner is told.
        "-no-reboot",
        "-kernel",
        &spec.kernel.image.display().to_string(),
        "-initrd",
        &initramfs.display().to_string(),
        "-append",
        &spec.command_line,
        "-chardev",
        "file,id=console,path=/dev/fd/1",
        "-serial",
        "chardev:console",
        "-chardev",
        "socket,id=stream,fd=0",
        "-device",
        "virtio-serial-pci",
        "-device",
        &format!("virtserialport,chardev=stream,name={PORT}"),
        "-chardev",
        &format!(
            "socket,id=qmp,path={},server=on,wait=off",
            escape(&dir.qmp().display().to_string())
        ),
        "-mon",
        "chardev=qmp,mode=control",
        // Where trace events go once they are switched on.
        "-D",
        &dir.trace().display().to_string(),
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    if topology.nodes > 1 {
        let cpus = topology.cpus / topology.nodes;
        let share = megabytes / u64::from(topology.nodes);
        for node in 0..topology.nodes {
            let (first, last) = (node * cpus, (node + 1) * cpus - 1);
            arguments.extend([
                "-object".to_owned(),
                format!("memory-backend-ram,id=node{node},size={share}M"),
                "-numa".to_owned(),
                format!("node,nodeid={node},memdev=node{node},cpus={first}-{last}"),
            ]);
        }
    }
    arguments.extend(spec.qemu_args.iter().cloned());
    arguments
}

/// In QEMU's option lists a comma is written twice.
fn escape(value: &str) -> String {
    value.replace(',', ",,")
}
