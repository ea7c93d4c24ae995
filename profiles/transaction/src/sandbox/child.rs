//! The child's side: takes its task, gives up everything else, and does what it is asked.

use std::fs::File;
use std::io;
use std::process::ExitCode;

use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::landlock::{self, Rule};
use super::message::{self, Ready, Reply, Request, Task, receive, send};
use super::seccomp;
use crate::plan::{Reach, Target, check_path};
use crate::store::{Change, Changed, Confinement, Store, StoreError};
use crate::sys::{Files, Kernel};

/// Does the parent's requests until it closes the pipe.
pub(super) fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        // The parent sees the pipe close, and tells.
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    // Done here, because a program that is to be started elsewhere is forked for, not spawned.
    std::env::set_current_dir("/")?;
    let (mut from, mut to) = (io::stdin().lock(), io::stdout().lock());
    let Some(task) = receive::<Task>(&mut from)? else { return Ok(()) };
    let mut kernel = task.base.map_or_else(Kernel::running, Kernel::beneath);
    let (ready, _held): (Ready, Vec<(File, bool)>) = match confine(&mut kernel, &task.reach) {
        Ok((confinement, held)) => (Ok(confinement), held),
        Err(error) => (Err(error), Vec::new()),
    };
    let goes_on = ready.is_ok();
    send(&mut to, &ready)?;
    while goes_on && let Some(request) = receive(&mut from)? {
        let reply = match request {
            Request::Read(numbers) => {
                Reply::Read(numbers.iter().map(|at| read(&mut kernel, &task.reach, *at)).collect())
            }
            Request::Change(changes) => Reply::Changed(change(&mut kernel, &task.reach, changes)),
            Request::Write(at, value) => {
                Reply::Written(write(&mut kernel, &task.reach, at, &value))
            }
        };
        send(&mut to, &reply)?;
    }
    Ok(())
}

fn target(reach: &[Reach], at: u32) -> Result<&Reach, StoreError> {
    usize::try_from(at).ok().and_then(|at| reach.get(at)).ok_or(StoreError::OutOfReach)
}

fn read(kernel: &mut Kernel, reach: &[Reach], at: u32) -> Result<String, StoreError> {
    kernel.read(&target(reach, at)?.target)
}

fn write(kernel: &mut Kernel, reach: &[Reach], at: u32, value: &str) -> Result<(), StoreError> {
    let reach = target(reach, at)?;
    if !reach.write {
        return Err(StoreError::OutOfReach);
    }
    kernel.write(&reach.target, value)
}

fn change(kernel: &mut Kernel, reach: &[Reach], changes: Vec<message::Change>) -> Vec<Changed> {
    let mut named = Vec::with_capacity(changes.len());
    for message::Change { at, value, compare, before } in changes {
        match target(reach, at) {
            Ok(reach) if reach.write => {
                named.push(Change { target: reach.target.clone(), value, compare, before });
            }
            // Nothing is written where something cannot be.
            Ok(_) | Err(_) => {
                let written = Err(StoreError::OutOfReach);
                return vec![Changed { written, read: None, nanoseconds: 0 }];
            }
        }
    }
    kernel.change_all(&named)
}

/// Gives up everything but these files and sockets. What must be opened otherwise is open by then.
///
/// As long as a file is open, a name below `/proc/sys` leads to the same inode, which is what Landlock's
/// rules are about: the kernel's files keep those that can be read, what it returns is the others.
fn confine(
    kernel: &mut Kernel,
    reach: &[Reach],
) -> Result<(Confinement, Vec<(File, bool)>), StoreError> {
    raise_limit();
    let mut held = Vec::new();
    for Reach { target, write, appears } in reach {
        if !kernel.reaches(target) {
            return Err(StoreError::OutOfReach);
        }
        // What is no file goes by what is open from here on.
        let Target::File(path) = target else {
            kernel.open_for(target)?;
            continue;
        };
        check_path(path).map_err(|_| StoreError::OutOfReach)?;
        if !appears && kernel.files().keep(path).is_ok() {
            continue;
        }
        match open(kernel.files(), path, *appears) {
            Ok(file) => held.push((file, *write)),
            // Reading it will say so.
            Err(StoreError::Absent | StoreError::NotMounted(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let files = kernel.files();
    let kept = reach.iter().filter_map(|reach| {
        let Target::File(path) = &reach.target else { return None };
        Some((files.kept(path)?, reach.write))
    });
    let rules: Vec<Rule<'_>> = kept
        .chain(held.iter().map(|(file, write)| (file, *write)))
        .map(|(file, write)| Rule { file, write })
        .collect();
    nix::sys::prctl::set_no_new_privs().map_err(io::Error::from)?;
    let landlock = landlock::restrict(&rules).map_err(|error| error.to_string());
    let seccomp = seccomp::restrict().map_err(|error| error.to_string());
    Ok((Confinement { landlock, seccomp }, held))
}

/// The file that a rule is for. For one that comes and goes with another setting, that is the directory
/// that its own comes and goes in: `queue` for `queue/iosched/read_expire`.
fn open(files: &mut Files, path: &str, appears: bool) -> Result<File, StoreError> {
    if !appears {
        return files.open(path, OFlag::O_PATH);
    }
    let parent = |path: &str| path.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    let mut directory = parent(path).and_then(|own| parent(&own)).ok_or(StoreError::OutOfReach)?;
    loop {
        // A whole root is more than any setting needs.
        check_path(&directory).map_err(|_| StoreError::Absent)?;
        match files.open(&directory, OFlag::O_PATH) {
            Err(StoreError::Absent) => {}
            other => return other,
        }
        directory = parent(&directory).ok_or(StoreError::OutOfReach)?;
    }
}

/// One descriptor a file, which can be more than a process is given at first.
fn raise_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where this fails, opening does, and says so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
