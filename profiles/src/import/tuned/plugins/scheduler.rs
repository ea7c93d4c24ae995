//! `[scheduler]`: the scheduler's own settings, and CPUs that are kept free.

use super::{Lowering, Obstacle, Worth, item, nothing};
use crate::import::find::{self, Target};
use crate::import::item::{Item, Of};
use crate::import::kernel_text::Numbers;
use crate::import::tuned::symbols::CpuExpression;
use crate::import::tuned::unit::Setting;

impl Lowering<'_> {
    pub(super) fn scheduler(&mut self, option: &Setting, text: &str) -> Result<(), Obstacle> {
        match option.name.as_str() {
            "isolated_cores" => self.isolated_cores(option, text),
            name if name.starts_with("group.") => {
                Err("programs get their class and priority by `workload`, not by patterns over all tasks".to_owned())
            }
            name if name.starts_with("cgroup") => {
                Err(match name {
                    "cgroup_ps_blacklist" => nothing::why("scheduler", name),
                    _ => "TuneD means cpusets of cgroup v1, which scripts do not have",
                }.to_owned())
            }
            name if name.starts_with("sched_") || name.starts_with("numa_balancing_") => {
                let worth = Worth::Text(self.known(text)?);
                let found = find::of_sysctl(self.catalogue, &format!("kernel/{name}"));
                let Target::Settings(found) = found else {
                    return Err("the catalogue does not know it".to_owned());
                };
                for (setting, of) in found {
                    self.items.push(item(setting, of, &worth, false, Numbers::C, &option.origin)?);
                }
                Ok(())
            }
            name => Err(nothing::why("scheduler", name).to_owned()),
        }
    }

    /// TuneD moves all tasks and interrupts to the other CPUs. Interrupts can be moved by a script.
    fn isolated_cores(&mut self, option: &Setting, text: &str) -> Result<(), Obstacle> {
        let cpus = self.cpus(text)?.ok_or("no CPUs are named")?;
        let others = CpuExpression::name("cpus").combined('-', &cpus).to_string();
        for (name, of) in [("irq.default_affinity", Of::Everything), ("irq.affinity", Of::Irq)] {
            let setting = self.catalogue.get(name).ok_or("the catalogue has no interrupts")?;
            let mut item = Item::computed(setting, of, others.clone(), option.origin.clone())?;
            item.note = Some(
                "interrupts only: programs are kept off CPUs by `workload`, or by `boot.isolated`"
                    .to_owned(),
            );
            self.items.push(item);
        }
        Ok(())
    }
}
