//! How long the queue of a block device can be. Without an I/O scheduler its requests are the device's own,
//! and the kernel refuses more than the device has.

use std::collections::HashMap;

use transaction::StoreError;
use transaction::compare::Compare;
use transaction::plan::{Step, Target};

use crate::expression::Value;
use crate::resolution::{Goal, Resolution, Resolved};

const LENGTH: &str = "block.nr_requests";
const SCHEDULER: &str = "block.scheduler";

/// What has to be read to know.
pub fn targets<'r>(resolution: &'r Resolution<'_>) -> impl Iterator<Item = Target> + 'r {
    resolution
        .settings
        .iter()
        .filter_map(device)
        .flat_map(|device| [scheduler(device), tags(device)])
}

/// Why this setting asks for more than there can be; none where it does not, or nobody knows.
pub fn too_long(
    resolved: &Resolved<'_>,
    planned: &[Step],
    readings: &HashMap<Target, Result<String, StoreError>>,
) -> Option<String> {
    let device = device(resolved)?;
    let wanted = match &resolved.goal {
        Goal::Exactly(Value::Number(wanted)) | Goal::Within(Some(Value::Number(wanted)), _) => {
            *wanted
        }
        _ => return None,
    };
    let read = |target: &Target| readings.get(target)?.as_ref().ok();
    let will_be = planned.iter().find(|step| step.target == scheduler(device));
    let word = match will_be {
        Some(step) => step.new.clone(),
        None => Compare::Bracketed.in_force(None, read(&scheduler(device))?)?,
    };
    let own: i128 = read(&tags(device))?.trim().parse().ok()?;
    (word == "none" && wanted > own).then(|| {
        format!(
            "{device} has no I/O scheduler, and takes no more than {own} requests itself: set \
             {SCHEDULER} as well"
        )
    })
}

fn device<'r>(resolved: &'r Resolved<'_>) -> Option<&'r str> {
    let setting = resolved.setting?;
    if setting.name == LENGTH { super::device(resolved) } else { None }
}

fn scheduler(device: &str) -> Target {
    Target::file(format!("/sys/block/{device}/queue/scheduler"))
}

fn tags(device: &str) -> Target {
    Target::file(format!("/sys/block/{device}/mq/0/nr_tags"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Catalogue, Flavour, Kernel};
    use crate::composition::{Arguments, Library};
    use crate::diagnostic::{FileId, Sources};
    use crate::facts::Facts;
    use crate::planning::{Planning, targets};
    use crate::resolution::{Present, Request, resolve};
    use crate::script::{DeviceKind, Script};

    /// What is planned, and what not, for a disk whose own queue holds 64 requests.
    fn planned(statements: &str, scheduler: &str) -> (Vec<String>, Vec<String>) {
        let text = format!("profile p {{ block \"sda\" {{ {statements} }} }}");
        let read = Script::read(FileId::default(), &text);
        let (mut library, mut diagnostics) = (Library::default(), read.diagnostics);
        library.add(read.script, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let facts = Facts::of_kernel(Kernel::new("6.12".parse().unwrap(), Flavour::Generic));
        let mut present = Present::default();
        present.devices.insert(DeviceKind::Block, vec!["sda".to_owned()]);
        let resolution = resolve(&Request {
            library: &library,
            profile: "p",
            arguments: &Arguments::new(),
            facts: &facts,
            present: &present,
            catalogue: Catalogue::built_in().unwrap(),
        })
        .unwrap();
        let reading = |target: &Target| match target {
            target if *target == super::scheduler("sda") => scheduler.to_owned(),
            target if *target == tags("sda") => "64".to_owned(),
            _ => "32".to_owned(),
        };
        let readings = targets(&resolution, &[])
            .into_iter()
            .map(|target| (target.clone(), Ok(reading(&target))));
        let plan = Planning {
            profile: "p",
            facts: &facts,
            catalogue: Catalogue::built_in().unwrap(),
            sources: &Sources::new(),
            readings: &readings.collect(),
            without: &[],
            in_force: &[],
            guard: None,
        }
        .plan(&resolution)
        .plan;
        (
            plan.steps.iter().map(|step| format!("{} = {}", step.setting, step.new)).collect(),
            plan.not_applicable.into_iter().map(|absent| absent.reason).collect(),
        )
    }

    #[test]
    fn more_than_the_device_has_takes_a_scheduler() {
        let (steps, absent) = planned("nr_requests = 65", "[none] mq-deadline");
        assert_eq!(steps, [""; 0]);
        assert!(absent[0].contains("no more than 64"), "{absent:?}");

        let (steps, absent) = planned("nr_requests = 65", "none [mq-deadline]");
        assert_eq!((steps.len(), absent.len()), (1, 0));
        let (steps, absent) = planned("nr_requests = 64", "[none] mq-deadline");
        assert_eq!((steps.len(), absent.len()), (1, 0));
    }

    #[test]
    fn the_scheduler_of_the_plan_counts() {
        let (steps, _) = planned("nr_requests = 65; scheduler = mq-deadline", "[none] mq-deadline");
        assert_eq!(
            steps,
            ["block.scheduler of sda = mq-deadline", "block.nr_requests of sda = 65"]
        );
        let (steps, absent) = planned("nr_requests = 65; scheduler = none", "none [mq-deadline]");
        assert_eq!(steps, ["block.scheduler of sda = none"]);
        assert_eq!(absent.len(), 1);
    }
}
