//! What placement costs at growing sizes.

use crate::Bench;
use crate::cargo::cargo;
use crate::figures::Table;

/// Milliseconds for 1,024 CPUs, 64 nodes and 256 partitions.
const GOAL_MS: f64 = 10.0;
const GOAL_CPUS: f64 = 1024.0;

pub fn run(bench: &Bench) -> String {
    bench.say("building and running partitiond/benches/placement.rs");
    // A filter that fits none of criterion's: what is wanted is the table behind them.
    let arguments = ["-p", "partitiond", "--bench", "placement", "--", "only-the-table"];
    let printed = cargo("bench", &arguments);
    let mut table = Table::new(["CPUs", "nodes", "partitions", "time", "cost of one CPU", "goal"]);
    let mut costs = Vec::new();
    for line in printed.lines() {
        let numbers: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        let Ok(&[cpus, nodes, partitions, milliseconds, nanoseconds]) = numbers.as_deref() else {
            continue;
        };
        let goal = if cpus == GOAL_CPUS {
            let verdict = if milliseconds < GOAL_MS { "met" } else { "**not met**" };
            format!("under {GOAL_MS} ms: {verdict}")
        } else {
            String::new()
        };
        costs.push(nanoseconds);
        table.row([
            format!("{cpus}"),
            format!("{nodes}"),
            format!("{partitions}"),
            format!("{milliseconds:.2} ms"),
            format!("{nanoseconds:.0} ns"),
            goal,
        ]);
    }
    let (Some(first), Some(last)) = (costs.first(), costs.last()) else {
        panic!("the benchmark printed no table:\n{printed}");
    };
    format!(
        "{}\nOne CPU costs {:.2}× in the largest of these machines of what it costs in the \
         smallest; 1.0 is linear.\n",
        table.text(),
        last / first
    )
}
