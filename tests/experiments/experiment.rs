//! An experiment, and how one is done.

use std::collections::BTreeMap;

use scenarios::Server;
use scenarios::figures::median;

use crate::in_force::{Changes, Profile};

/// How often each of the two is measured.
pub const REPETITIONS: usize = 5;
/// What counts as a gain: so much better,
const GAIN: f64 = 0.15;
/// and so in this many repetitions, whatever the median says.
const AGREEING: usize = 4;

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

impl Metric {
    /// One of which more is better.
    pub const fn more(name: &'static str, title: &'static str, unit: &'static str) -> Self {
        Self { name, title, unit, better: Better::More }
    }

    /// One of which less is better.
    pub const fn less(name: &'static str, title: &'static str, unit: &'static str) -> Self {
        Self { name, title, unit, better: Better::Less }
    }
}

/// A load, a profile, and what to look at.
pub struct Experiment {
    /// Its name, and that of its profile.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// The load, in a sentence or two.
    pub load: &'static str,
    /// What the settings do, and what this experiment cannot show.
    pub words: &'static str,
    /// The profile.
    pub script: &'static str,
    /// What it is for.
    pub gained: Metric,
    /// What it may cost. Chosen for what the settings do, not for what was measured: it need not get worse.
    pub harmed: &'static [Metric],
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
    /// How many times as good the median is with the profile: 2 is twice as much of what one wants, or half
    /// of what one does not want.
    pub fn factor(&self, better: Better) -> f64 {
        factor(median(&self.default), median(&self.profile), better)
    }

    /// The same for each repetition.
    pub fn factors(&self, better: Better) -> Vec<f64> {
        let pairs = self.default.iter().zip(&self.profile);
        pairs.map(|(default, profile)| factor(*default, *profile, better)).collect()
    }

    /// By how much of what it was the median changes: 0.15 is 15 % more.
    pub fn change(&self) -> f64 {
        median(&self.profile) / median(&self.default) - 1.0
    }
}

fn factor(default: f64, profile: f64, better: Better) -> f64 {
    match better {
        Better::More => profile / default,
        Better::Less => default / profile,
    }
}

/// What came of an experiment.
pub struct Measured {
    /// The experiment.
    pub experiment: &'static Experiment,
    /// What was written.
    pub changes: Changes,
    /// All that the load measured.
    pub series: BTreeMap<String, Series>,
}

impl Measured {
    /// What was measured of a metric.
    pub fn of(&self, metric: &Metric) -> &Series {
        self.series.get(metric.name).unwrap_or_else(|| panic!("{} is not measured", metric.name))
    }

    /// Whether the profile gains 15 % or more, in nearly every repetition.
    pub fn gains(&self) -> bool {
        let (metric, series) = (&self.experiment.gained, self.of(&self.experiment.gained));
        let sign = match metric.better {
            Better::More => 1.0,
            Better::Less => -1.0,
        };
        let better = series.factors(metric.better).into_iter().filter(|factor| *factor > 1.0);
        series.change() * sign >= GAIN && better.count() >= AGREEING
    }
}

/// Does an experiment: default and profile next to each other, five times, taking turns at being first.
pub fn run(experiment: &'static Experiment, server: &Server, say: &dyn Fn(&str)) -> Measured {
    let mut measured = Measured { experiment, changes: Changes::new(), series: BTreeMap::new() };
    (experiment.prepare)(server);
    let profile = Profile::plan(server, experiment.name, experiment.script);
    for repetition in 0..REPETITIONS {
        for tuned in [repetition % 2 == 1, repetition % 2 == 0] {
            if tuned {
                measured.changes = profile.apply();
            } else {
                profile.assert_untouched();
            }
            let readings = readings(&(experiment.measure)(server));
            if tuned {
                profile.roll_back();
            }
            for (metric, value) in readings {
                let series = measured.series.entry(metric).or_default();
                if tuned { &mut series.profile } else { &mut series.default }.push(value);
            }
        }
        let told = last(&measured);
        say(&format!("{} {} of {REPETITIONS}: {told}", experiment.name, repetition + 1));
    }
    (experiment.clean)(server);
    measured
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

fn last(measured: &Measured) -> String {
    let told = |(metric, series): (&String, &Series)| {
        let one = |values: &[f64]| values.last().copied().unwrap_or_default();
        format!("{metric} {:.2} → {:.2}", one(&series.default), one(&series.profile))
    };
    measured.series.iter().map(told).collect::<Vec<_>>().join(", ")
}
