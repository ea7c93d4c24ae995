//! `doctor` and `inventory`: this machine, and what stands in the way.

use std::path::Path;

use super::exit::{Failure, INVALID, REFUSED};
use super::render::{headline, obstacles};
use super::{Context, connect, output};
use crate::api::MachineReport;
use crate::doctor::{self, Obstacle};
use crate::inventory::{self, LoadError, Machine};

/// `doctor`
pub fn doctor(context: &Context, file: Option<&Path>) -> Result<(), Failure> {
    let report = match file {
        Some(path) => {
            context.remark("from a file alone: what only trying shows is taken to be well");
            of_file(load(path)?)
        }
        None => report(context)?,
    };
    let (bare, kvm) = (works(&report.bare), works(&report.kvm));
    if context.json() {
        output::json(&report)?;
    } else {
        let style = context.out();
        let rig = context.global().rig.as_ref().map(|_| "rig");
        let mut text = headline(&report.machine, rig, style);
        text += &obstacles(
            "bare",
            "a kernel of its own on CPUs and memory of the host",
            &report.bare,
            style,
        );
        text += &obstacles("kvm", "a kernel of its own in a virtual machine", &report.kvm, style);
        output::text(&text)?;
    }
    match bare || kvm {
        true => Ok(()),
        false => Err(Failure::with_status(REFUSED, "this machine cannot be divided as it is")
            .hint("remove the obstacles above; or try a virtual server: partitiond up --rig FILE")),
    }
}

/// Whether a back end works, be it at a risk that has to be accepted.
fn works(obstacles: &[Obstacle]) -> bool {
    obstacles.iter().all(|obstacle| obstacle.accept.is_some())
}

/// What the supervisor says; where none runs, what can be found out without it.
fn report(context: &Context) -> Result<MachineReport, Failure> {
    let client = connect::existing(context)?;
    match client.machine() {
        Ok(report) => Ok(report),
        Err(error)
            if error.is_not_running()
                && context.global().socket.is_none()
                && context.global().rig.is_none() =>
        {
            let machine = here()?;
            let facts = doctor::sys::read(&machine);
            let (bare, kvm) = (doctor::bare(&machine, &facts), doctor::kvm(&machine, &facts));
            Ok(MachineReport { machine, bare, kvm })
        }
        Err(error) => Err(error.into()),
    }
}

fn of_file(machine: Machine) -> MachineReport {
    let facts = doctor::Facts {
        root: true,
        dev_mem: None,
        low_pages: usize::MAX,
        msr: None,
        x2apic: machine.apic.x2apic_capable,
        host_trampoline: true,
        xapic: None,
        kvm: None,
    };
    let (bare, kvm) = (doctor::bare(&machine, &facts), doctor::kvm(&machine, &facts));
    MachineReport { machine, bare, kvm }
}

/// `inventory`
pub fn inventory(context: &Context, save: Option<&Path>) -> Result<(), Failure> {
    let machine = report(context)?.machine;
    let text = match context.json() {
        true => serde_json::to_string_pretty(&machine).map_err(|error| Failure::of(&error))? + "\n",
        false => inventory::save(&machine).map_err(|error| Failure::of(&error))?,
    };
    match save {
        // Always as `plan --machine` reads it.
        Some(path) => {
            let text = inventory::save(&machine).map_err(|error| Failure::of(&error))?;
            std::fs::write(path, text).map_err(|error| {
                Failure::failed(format_args!("cannot write {}: {error}", path.display()))
            })
        }
        None => output::text(&text),
    }
}

/// A machine in a file.
pub fn load(path: &Path) -> Result<Machine, Failure> {
    inventory::load(path).map_err(|error| {
        let failure = Failure::of(&error).status(INVALID);
        match error {
            LoadError::Format { .. } | LoadError::Impossible { .. } => {
                failure.hint("`partitiond inventory --save FILE` writes one")
            }
            _ => failure,
        }
    })
}

/// This machine.
pub fn here() -> Result<Machine, Failure> {
    inventory::sys::read(Path::new("/")).map_err(|error| Failure::of(&error))
}
