//! `[cpu]`: clocks and idling.

use super::{Lowering, Obstacle, nothing};
use crate::import::item::Of;
use crate::import::tuned::unit::{Setting, Unit};

/// What `energy_perf_bias` calls numbers from 0 (fast) to 15 (sparing).
const BIASES: &[(&str, &str)] = &[
    ("performance", "0"),
    ("balance-performance", "4"),
    ("balance_performance", "4"),
    ("normal", "6"),
    ("default", "6"),
    ("balance-power", "8"),
    ("balance_power", "8"),
    ("power", "15"),
    ("powersave", "15"),
];

/// Why a choice by what the machine has cannot be said.
const FIRST_OF: &str =
    "TuneD takes the first of these that the machine has: scripts cannot choose so";

impl Lowering<'_> {
    pub(super) fn cpu(
        &mut self,
        unit: &Unit,
        option: &Setting,
        text: &str,
    ) -> Result<(), Obstacle> {
        let origin = &option.origin;
        let global = |name: &'static str| (name, Of::Everything);
        match option.name.as_str() {
            "governor" if text.contains('|') => Err(FIRST_OF.to_owned()),
            "governor" => {
                let of = self.of_cpus(unit)?;
                self.set(("cpu.governor", of), text, false, origin)
            }
            "energy_performance_preference" if text.contains('|') => Err(FIRST_OF.to_owned()),
            "energy_performance_preference" => {
                let of = self.of_cpus(unit)?;
                self.set(("cpu.energy_preference", of), text, false, origin)
            }
            "energy_perf_bias" => {
                let of = self.of_cpus(unit)?;
                let known = self.known(text)?;
                let number = known.split('|').map(str::trim).find_map(|word| {
                    let named = BIASES.iter().find(|(name, _)| *name == word);
                    let number = word.parse::<u8>().ok().map(|_| word);
                    named.map(|(_, number)| *number).or(number)
                });
                let number = number.ok_or("TuneD has no such value of energy_perf_bias")?;
                self.set(("cpu.energy_bias", of), number, false, origin)
            }
            "min_perf_pct" => self.set(global("cpu.pstate.min_percent"), text, false, origin),
            "max_perf_pct" => self.set(global("cpu.pstate.max_percent"), text, false, origin),
            "no_turbo" => {
                let text = match text.trim() {
                    "true" | "True" => "1",
                    "false" | "False" => "0",
                    other => other,
                };
                self.set(global("cpu.no_turbo"), text, false, origin)
            }
            "force_latency" => self.force_latency(option, text),
            "pm_qos_resume_latency_us" if text.trim() == "n/a" => {
                Err("`n/a`, which forbids every idle state, is no value of `cpu.resume_latency`"
                    .to_owned())
            }
            "pm_qos_resume_latency_us" => {
                let of = self.of_cpus(unit)?;
                self.set(("cpu.resume_latency", of), text, false, origin)
            }
            name => Err(nothing::why("cpu", name).to_owned()),
        }
    }

    /// `cstate.id:1|3`: the latency of an idle state, or else so many microseconds.
    fn force_latency(&mut self, option: &Setting, text: &str) -> Result<(), Obstacle> {
        let known = self.known(text)?;
        let is_number = |word: &&str| word.parse::<u32>().is_ok();
        let words: Vec<&str> = known.split('|').map(str::trim).collect();
        let words: Vec<&str> =
            words.iter().take_while(|word| !word.eq_ignore_ascii_case("none")).copied().collect();
        let Some(number) = words.iter().copied().find(is_number) else {
            return Err(
                "it rests on the idle states of the CPU, and there is no such fact".to_owned()
            );
        };
        self.set(("cpu.dma_latency", Of::Everything), number, false, &option.origin)?;
        if words.first() != Some(&number) {
            let why = format!(
                "TuneD takes the latency of an idle state where it is known, and {number} µs elsewhere: the script has these"
            );
            self.change(&option.origin, &why);
        }
        Ok(())
    }

    /// The CPUs of a unit.
    fn of_cpus(&mut self, unit: &Unit) -> Result<Of, Obstacle> {
        if let Some(list) = unit.devices.strip_prefix("cpulist:") {
            let list = self.variables.expand(list, &unit.origin).unwrap_or_default();
            let cpus = self.cpus(&list)?.ok_or("no CPUs are named")?;
            return Ok(Of::Cpus(cpus.to_string()));
        }
        let (patterns, rest) = self.devices(unit)?;
        if rest {
            return Err("an earlier section names some of these CPUs".to_owned());
        }
        if patterns == ["*"] {
            return Ok(Of::Cpus(String::new()));
        }
        let number = |name: &String| name.strip_prefix("cpu")?.parse::<u16>().ok();
        let numbers: Option<crate::expression::Cpus> = patterns.iter().map(number).collect();
        match numbers {
            Some(cpus) => Ok(Of::Cpus(cpus.to_string())),
            None => Err("CPUs are selected by number, not by patterns".to_owned()),
        }
    }
}
