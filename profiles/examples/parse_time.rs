//! How long parsing takes: `cargo run --release -p profiles --example parse_time`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use profiles::diagnostic::FileId;
use profiles::syntax::{fmt, parse};

/// A profile of so many settings.
fn profile(settings: usize) -> String {
    let lines = (0..settings).map(|at| match at % 5 {
        0 => format!("    vm.setting_{at} = {at}MiB  // why\n"),
        1 => format!("    raise net.core.setting_{at} to {at}\n"),
        2 => format!("    /// Half of it.\n    x.setting_{at} = bytes {{ limit: dirty, background: dirty / 2 }}\n"),
        3 => format!("    kernel.setting_{at} = max(memory.total / 100, {at}KiB) if cpus.count >= 4\n"),
        _ => format!("    block \"nvme{at}*\" {{ scheduler = none; read_ahead = 16KiB }}\n"),
    });
    format!("profile timed {{\n{}}}\n", lines.collect::<String>())
}

/// The least time of many rounds: the one that others disturbed least.
fn least(mut round: impl FnMut()) -> Duration {
    let times = (0..300).map(|_| {
        let start = Instant::now();
        round();
        start.elapsed()
    });
    times.min().unwrap_or_default()
}

fn main() {
    for settings in [300, 1_667] {
        let text = profile(settings);
        let file = FileId::default();
        let parsed = parse(file, &text);
        println!(
            "{settings} settings, {} lines, {} KiB: parse {:?}, format {:?}",
            text.lines().count(),
            text.len() >> 10,
            least(|| drop(black_box(parse(file, &text)))),
            least(|| drop(black_box(fmt::format(&parsed)))),
        );
    }
}
