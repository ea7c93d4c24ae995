//! Partitions that boot at once, against one that boots alone.

use std::time::Duration;

use scenarios::image_files;

use crate::figures::{Table, against, median, paired_ratio, seconds, spread};
use crate::plain::Plain;
use crate::up::{until_boot_and_on, until_ready, up};
use crate::{Bench, IMAGE, MEMORY_MIB, RIG_CPUS, partitions, server};

const GOAL: f64 = 1.3;
const COUNT: usize = 2;

pub fn run(bench: &Bench) -> String {
    let server = server(RIG_CPUS, 4, "hugepages=640");
    server.write("/one.ron", &partitions(1, MEMORY_MIB));
    server.write("/two.ron", &partitions(COUNT, MEMORY_MIB));
    let timed = |file| {
        let said = up(&server, file);
        let status = server.partition("p1");
        server.sh("partitiond down");
        (until_ready(&said), until_boot_and_on(&said), status)
    };
    bench.say("a first `up`, which starts the supervisor");
    let (_, _, status) = timed("/one.ron");
    let command_line = status["command_line"].as_str().expect("its command line");
    let image = image_files(IMAGE);
    let plain = Plain::new(bench.qemu.clone(), &image, command_line, MEMORY_MIB);

    let mut times: [Vec<Duration>; 4] = Default::default();
    let mut parts: [Vec<f64>; 4] = Default::default();
    for number in 1..=bench.rounds {
        let ((one, alone, _), (two, together, _)) = (timed("/one.ron"), timed("/two.ron"));
        for (parts, part) in parts.iter_mut().zip([alone.0, together.0, alone.1, together.1]) {
            parts.push(part);
        }
        let round =
            [one, two, plain.boot(plain.vmlinux()), plain.boot_at_once(plain.vmlinux(), COUNT)];
        bench.say(&format!("round {number} of {}: {round:.2?}", bench.rounds));
        for (times, time) in times.iter_mut().zip(round) {
            times.push(time);
        }
    }
    let [one, two, plain_one, plain_two] = times.map(|times| seconds(&times));
    let mut table = Table::new(["booting at once", "one", "two", "two against one", "goal"]);
    let mut row = |what: &str, one: &[f64], two: &[f64], goal: bool| {
        let ratio = paired_ratio(two, one);
        let goal = if goal { against(GOAL, ratio) } else { "for comparison".to_owned() };
        table.row([what.to_owned(), spread(one), spread(two), format!("{ratio:.2}×"), goal]);
    };
    row("partitions, `partitiond up` in a rig", &one, &two, true);
    row("QEMU machines side by side", &plain_one, &plain_two, false);
    let [alone, together, alone_boot, together_boot] = parts.map(|part| median(&part));
    format!(
        "{}\nOf the last partition's start, {alone:.2} s passed until its kernel began to boot, and \
         {together:.2} s beside another: partitions take their memory one after the other, so that \
         none gets scattered pages, and the emulator takes long to zero it. The rest took \
         {alone_boot:.2} s, and {together_boot:.2} s beside another.\n",
        table.text()
    )
}
