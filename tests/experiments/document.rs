//! What was measured, as a page of the book.

use std::fs;
use std::path::Path;

use scenarios::figures::{Table, median};

use crate::chart;
use crate::experiment::{Better, Measured, Metric, REPETITIONS, Series};
use crate::machine::KERNEL;

const HEAD: &str = "\
# Profiles, measured

`make bench-profiles` makes this page and its chart. It boots a rig, a virtual server with a stock kernel of
Debian, and does each experiment there five times as the kernel is and five times with the profile: next to
each other, taking turns at being first. The profile is brought into force with
`partitiond profile apply FILE --host`, checked with `profile verify` before and after the load, and taken
back with `profile rollback`; then its settings must be what they were. Where one of these fails, nothing is
written here. `make bench-profiles EXPERIMENT=fast-open` does one experiment and only prints.

How to read it:

- **QEMU's TCG proves function and relative effect, not hardware speed.** CPUs are emulated, disks and links
  are as slow as they are told to be. What comes of round trips, queues, requests to a disk and what is in
  memory holds elsewhere; what comes of how fast a CPU does something need not. No number here is a promise
  for your machine: measure there.
- **What a profile gains it gains for this load.** Each load was made so that the setting matters, and each has
  beside it what the setting may harm. Most settings do nothing for most programs.
- A number is the median of five, in brackets the least and the most. **15 % or more** is said where the median
  is that much better, and at least four of the five repetitions, each for itself, were better at all.
- The slow disk is QEMU's with at most 200 requests and 50 MB a second; the links are network namespaces and
  netem, and packets cross them as large as on a wire.
";

/// Writes the page and its chart.
pub fn write(all: &[Measured], measured_on: &str) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    fs::write(docs.join("profiles-measured.svg"), chart::svg(all)).expect("the chart is written");
    fs::write(docs.join("profiles-measured.md"), text(all, measured_on))
        .expect("the page is written");
    println!("written to docs/profiles-measured.md and docs/profiles-measured.svg");
}

fn text(all: &[Measured], measured_on: &str) -> String {
    let gaining = all.iter().filter(|measured| measured.gains()).count();
    let sections: Vec<String> = all.iter().map(section).collect();
    format!(
        "{HEAD}\n{measured_on} Kernel: Debian's `{}` of {}, four CPUs, 2 GiB.\n\n\
         {gaining} of {} experiments gain 15 % or more.\n\n\
         ![How many times as good each metric is with the profile](profiles-measured.svg)\n\n{}\n\
         What each load does, and all that it measured:\n\n{}",
        KERNEL.0,
        KERNEL.1,
        all.len(),
        summary(all),
        sections.join("\n"),
    )
}

/// The table: what is gained, and beneath it what may be harmed.
pub fn summary(all: &[Measured]) -> String {
    let mut table =
        Table::new(["experiment", "metric", "default", "profile", "change", "15 % or more"]);
    for measured in all {
        let experiment = measured.experiment;
        let verdict = if measured.gains() { "**yes**" } else { "no" };
        let row = |first: String, metric: &Metric, verdict: String| {
            let series = measured.of(metric);
            [
                first,
                metric.title.to_owned(),
                spread(&series.default, metric.unit),
                spread(&series.profile, metric.unit),
                change(series, metric.better),
                verdict,
            ]
        };
        let title = format!("**{}**", experiment.title);
        table.row(row(title, &experiment.gained, verdict.to_owned()));
        for metric in experiment.harmed {
            table.row(row("beside it".to_owned(), metric, String::new()));
        }
    }
    table.text()
}

fn section(measured: &Measured) -> String {
    let experiment = measured.experiment;
    let mut table = Table::new(["measured", "default", "profile"]);
    for (name, series) in &measured.series {
        let cells = [&series.default, &series.profile].map(|values| spread(values, ""));
        let [default, profile] = cells;
        table.row([format!("`{name}`"), default, profile]);
    }
    let changes = measured.changes.iter();
    let changes =
        changes.map(|(what, before, after)| format!("- {what}: `{before}` → `{after}`\n"));
    format!(
        "## {}\n\n{}\n\n{}\n\n```\n{}```\n\n{}\n{}",
        experiment.title,
        wrapped(experiment.load),
        wrapped(experiment.words),
        experiment.script,
        changes.collect::<String>(),
        table.text(),
    )
}

/// Median, least and most.
fn spread(values: &[f64], unit: &str) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(values.len(), REPETITIONS, "every repetition measured it");
    let text = format!("{} {unit}", number(median(values)));
    format!("{} ({} to {})", text.trim_end(), number(least), number(most))
}

/// Three digits that say something.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// `−42 %, better`; what grows much, as a factor.
fn change(series: &Series, better: Better) -> String {
    let change = series.change();
    if !change.is_finite() {
        return "none to compare with".to_owned();
    }
    let percent = (change * 100.0).round();
    let factor = series.factor(better);
    let sense = match percent {
        0.0 => return "none".to_owned(),
        _ if factor > 1.0 => "better",
        _ => "worse",
    };
    if percent >= 300.0 {
        return format!("× {}, {sense}", number(change + 1.0));
    }
    let sign = if percent < 0.0 { "−" } else { "+" };
    format!("{sign}{:.0} %, {sense}", percent.abs())
}

/// Lines of up to 110 characters.
fn wrapped(text: &str) -> String {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 110 {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines.push(line);
    lines.join("\n")
}
