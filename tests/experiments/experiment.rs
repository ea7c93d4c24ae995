//! An experiment, and how one is done.

use std::collections::BTreeMap;

use scenarios::Server;
use scenarios::figures::median;
use serde_json::Value;

/// How often each of the two is measured.
pub const REPETITIONS: usize = 5;

/// What better means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The more, the better.
    More,
    /// The less, the better.
    Less,
}

/// Something that a load measures.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// As the load names it.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
}

/// A load, a profile, and what to look at.
pub struct Experiment {
    /// Its name, and that of its profile.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// The load, in a sentence or two.
    pub load: &'static str,
    /// Which standard profile has these settings.
    pub from: &'static str,
    /// The profile.
    pub script: &'static str,
    /// What it is for.
    pub gained: Metric,
    /// What it costs. Chosen before anything was measured: it need not get worse.
    pub harmed: Metric,
    /// What has to be there first.
    pub prepare: fn(&Server),
    /// Runs the load; what it prints.
    pub measure: fn(&Server) -> String,
    /// Takes away what `prepare` made.
    pub clean: fn(&Server),
}

/// What was measured of one metric, in the order in which it was measured.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// As the kernel is.
    pub default: Vec<f64>,
    /// With the profile.
    pub profile: Vec<f64>,
}

impl Series {
    /// The median with the profile over that without.
    pub fn ratio(&self) -> f64 {
        median(&self.profile) / median(&self.default)
    }

    /// How much better it is with the profile, as a share of what it was: 0.15 is 15 % better.
    pub fn gain(&self, better: Better) -> f64 {
        match better {
            Better::More => self.ratio() - 1.0,
            Better::Less => 1.0 - self.ratio(),
        }
    }
}

/// What came of an experiment.
pub struct Result {
    /// The experiment.
    pub experiment: &'static Experiment,
    /// What was written: setting, before, after.
    pub settings: Vec<(String, String, String)>,
    /// All that the load measured.
    pub series: BTreeMap<String, Series>,
}

impl Result {
    /// What was measured of a metric.
    pub fn of(&self, metric: Metric) -> &Series {
        self.series.get(metric.name).unwrap_or_else(|| panic!("{} is not measured", metric.name))
    }
}

/// Does an experiment: default and profile next to each other, five times, taking turns at being first.
pub fn run(experiment: &'static Experiment, server: &Server, say: &dyn Fn(&str)) -> Result {
    let mut result = Result { experiment, settings: Vec::new(), series: BTreeMap::new() };
    let script = format!("/root/{}.ks", experiment.name);
    server.write(&script, experiment.script);
    (experiment.prepare)(server);
    for repetition in 0..REPETITIONS {
        for tuned in [repetition % 2 == 1, repetition % 2 == 0] {
            if tuned {
                result.settings = apply(server, &script);
            }
            let readings = readings(&(experiment.measure)(server));
            if tuned {
                server.sh("partitiond profile rollback --host");
            }
            for (metric, value) in readings {
                let series = result.series.entry(metric).or_default();
                if tuned { &mut series.profile } else { &mut series.default }.push(value);
            }
        }
        say(&format!("{} {} of {REPETITIONS}: {}", experiment.name, repetition + 1, last(&result)));
    }
    (experiment.clean)(server);
    result
}

/// Brings a profile into force; what it changed.
fn apply(server: &Server, script: &str) -> Vec<(String, String, String)> {
    let report = server.sh(&format!("partitiond --format json profile apply {script} --host"));
    let report: Value = serde_json::from_str(&report).expect("a report");
    let text = |value: &Value| value.as_str().unwrap_or_default().trim().to_owned();
    let steps = report["steps"].as_array().expect("steps").iter();
    steps
        .map(|step| {
            let before = text(&step["before"]["text"]);
            (text(&step["setting"]), before, text(&step["read"]))
        })
        .collect()
}

/// Lines `METRIC VALUE`.
fn readings(text: &str) -> Vec<(String, f64)> {
    let pair = |line: &str| {
        let (metric, value) = line.split_once(' ')?;
        Some((metric.to_owned(), value.parse().ok()?))
    };
    let lines = text.lines();
    lines.map(|line| pair(line).unwrap_or_else(|| panic!("no reading: {line}"))).collect()
}

fn last(result: &Result) -> String {
    let told = |(metric, series): (&String, &Series)| {
        let one = |values: &[f64]| values.last().copied().unwrap_or_default();
        format!("{metric} {:.2} → {:.2}", one(&series.default), one(&series.profile))
    };
    result.series.iter().map(told).collect::<Vec<_>>().join(", ")
}
