//! The child's side: takes its task, gives up everything else, and does what it is asked.

use std::fs::File;
use std::io;
use std::process::ExitCode;

use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::landlock::{self, Rule};
use super::message::{Ready, Reply, Request, Task, receive, send};
use super::seccomp;
use crate::plan::{Reach, Target, check_path};
use crate::store::{Changed, Confinement, Store, StoreError};
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
    let (mut from, mut to) = (io::stdin().lock(), io::stdout().lock());
    let Some(task) = receive::<Task>(&mut from)? else { return Ok(()) };
    let mut kernel = task.base.map_or_else(Kernel::running, Kernel::beneath);
    // As long as these are open, a name below /proc/sys leads to the same inode, which is what
    // Landlock's rules are about.
    let (ready, _kept): (Ready, Vec<Rule>) = match confine(&mut kernel, &task.reach) {
        Ok((confinement, kept)) => (Ok(confinement), kept),
        Err(error) => (Err(error), Vec::new()),
    };
    let goes_on = ready.is_ok();
    send(&mut to, &ready)?;
    while goes_on && let Some(request) = receive(&mut from)? {
        let reply = match request {
            Request::Read(numbers) => {
                Reply::Read(numbers.iter().map(|at| read(&mut kernel, &task.reach, *at)).collect())
            }
            Request::Change(at, value) => {
                Reply::Changed(change(&mut kernel, &task.reach, at, &value))
            }
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

fn change(kernel: &mut Kernel, reach: &[Reach], at: u32, value: &str) -> Changed {
    let written = write(kernel, reach, at, value);
    let read = written.is_ok().then(|| read(kernel, reach, at));
    Changed { written, read }
}

/// Gives up everything but these files and sockets. What must be opened otherwise is open by then.
fn confine(kernel: &mut Kernel, reach: &[Reach]) -> Result<(Confinement, Vec<Rule>), StoreError> {
    raise_limit();
    let mut rules = Vec::new();
    for reach in reach {
        if !kernel.reaches(&reach.target) {
            return Err(StoreError::OutOfReach);
        }
        // What is no file goes by what is open from here on.
        let Target::File(path) = &reach.target else {
            kernel.open_for(&reach.target)?;
            continue;
        };
        check_path(path).map_err(|_| StoreError::OutOfReach)?;
        match open(kernel.files(), path, reach.appears) {
            Ok(file) => rules.push(Rule { file, write: reach.write }),
            // Reading it will say so.
            Err(StoreError::Absent | StoreError::NotMounted(_)) => {}
            Err(error) => return Err(error),
        }
    }
    nix::sys::prctl::set_no_new_privs().map_err(io::Error::from)?;
    let landlock = landlock::restrict(&rules).map_err(|error| error.to_string());
    let seccomp = seccomp::restrict().map_err(|error| error.to_string());
    Ok((Confinement { landlock, seccomp }, rules))
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
