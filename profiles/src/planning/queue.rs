//! What hangs on a block device's I/O scheduler. Without one its requests are the device's own, and the
//! kernel refuses more than the device has; and a scheduler's settings go with it.

use std::collections::HashMap;

use transaction::StoreError;
use transaction::compare::Compare;
use transaction::plan::{Coupled, Step, Target};

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

/// Takes out of `resets` what goes by itself, because the plan changes the scheduler that it belongs to; the
/// way back brings it again.
pub fn go_with_scheduler(steps: &mut [Step], resets: &mut Vec<Step>) {
    resets.retain(|reset| {
        let Target::File(path) = &reset.target else { return true };
        let Some((queue, _)) = path.split_once("/iosched/") else { return true };
        let scheduler = Target::file(format!("{queue}/scheduler"));
        let changes = |step: &Step| {
            step.target == scheduler
                && !step.old.as_ref().is_some_and(|old| step.compare.already(&step.new, old))
        };
        let Some(step) = steps.iter_mut().find(|step| changes(step)) else { return true };
        step.undo.also.push(Coupled {
            setting: reset.setting.clone(),
            target: reset.target.clone(),
            compare: reset.compare.clone(),
        });
        false
    });
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
    use transaction::Plan;
    use transaction::journal::{Begin, Held, Reading};

    use super::*;
    use crate::catalogue::{Catalogue, Flavour, Kernel};
    use crate::composition::{Arguments, Library};
    use crate::diagnostic::{FileId, Sources};
    use crate::facts::Facts;
    use crate::planning::{Planning, targets};
    use crate::resolution::{Present, Request, resolve};
    use crate::script::{DeviceKind, Script};

    /// What is planned for a disk whose own queue holds 64 requests, where this is in force.
    fn plan(statements: &str, scheduler: &str, in_force: &[Begin]) -> Plan {
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
        let targets = targets(&resolution, in_force).into_iter();
        let readings = targets.map(|target| (target.clone(), Ok(reading(&target))));
        let planning = Planning {
            profile: "p",
            facts: &facts,
            catalogue: Catalogue::built_in().unwrap(),
            sources: &Sources::new(),
            readings: &readings.collect(),
            without: &[],
            in_force,
            guard: None,
        };
        planning.plan(&resolution).plan
    }

    fn told(plan: &Plan) -> Vec<String> {
        plan.steps.iter().map(|step| format!("{} = {}", step.setting, step.new)).collect()
    }

    /// What is planned, and what not.
    fn planned(statements: &str, scheduler: &str) -> (Vec<String>, Vec<String>) {
        let plan = plan(statements, scheduler, &[]);
        let absent = plan.not_applicable.iter().map(|absent| absent.reason.clone());
        (told(&plan), absent.collect())
    }

    #[test]
    fn a_scheduler_takes_its_settings_with_it() {
        let earlier = plan("deadline.read_expire = 32ms", "none [mq-deadline]", &[]);
        let step = earlier.steps.first().unwrap();
        let held = Held {
            setting: step.setting.clone(),
            target: step.target.clone(),
            compare: step.compare.clone(),
            before: Reading::Value("500".to_owned()),
        };
        let begin =
            Begin { boot: "b".to_owned(), when: 0, plan: earlier.clone(), held: vec![held] };
        let in_force = [begin];

        let other = plan("scheduler = none", "none [mq-deadline]", &in_force);
        assert_eq!(told(&other), ["block.scheduler of sda = none"]);
        let also: Vec<&Target> =
            other.steps[0].undo.also.iter().map(|coupled| &coupled.target).collect();
        assert!(also.contains(&&step.target), "{also:?}");

        // Where the scheduler stays, they are set back.
        let same = plan("scheduler = mq-deadline", "none [mq-deadline]", &in_force);
        let reset = format!("{} = 500", step.setting);
        assert_eq!(told(&same), ["block.scheduler of sda = mq-deadline".to_owned(), reset]);
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
