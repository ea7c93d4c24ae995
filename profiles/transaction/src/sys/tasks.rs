//! Tasks of the running kernel.

// sched_setscheduler(2), ioprio_set(2) and their like have no safe form.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::{containers, huge};
use crate::assign::{Process, Scheduler, System, Task, Was, Wishes, controller_of};
use crate::compare::{CpuForm, Cpus};

/// Where control groups are.
const GROUPS: &str = "/sys/fs/cgroup";
/// Whose requests are meant: of one thread (IOPRIO_WHO_PROCESS).
const ONE_THREAD: libc::c_int = 1;

/// The running kernel's tasks.
#[derive(Debug, Default)]
pub struct Tasks;

impl System for Tasks {
    fn processes(&mut self, images: bool) -> io::Result<Vec<Process>> {
        let users = users();
        let own = std::process::id();
        let entries = fs::read_dir("/proc")?.filter_map(Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // PID 1 and we ourselves are nobody's workload. One without a file is the kernel's own, or gone.
        let of = |pid: u32| {
            let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
            let exe = exe.to_string_lossy().trim_end_matches(" (deleted)").to_owned();
            let uid = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
            let known = users.iter().find(|(known, _)| *known == uid);
            let user = known.map_or_else(|| uid.to_string(), |(_, name)| name.clone());
            let cgroup = cgroup_of(pid).ok()?;
            let image = images.then(|| containers::image_of(Path::new("/"), &cgroup)).flatten();
            Some(Process { pid, exe, cgroup, user, image })
        };
        Ok(pids.filter(|pid| *pid != 1 && *pid != own).filter_map(of).collect())
    }

    fn threads(&mut self, pid: u32) -> io::Result<Vec<Task>> {
        let entries = fs::read_dir(format!("/proc/{pid}/task"))?.filter_map(Result::ok);
        let tids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        Ok(tids.filter_map(|tid| Some(Task { pid, tid, started: started(pid, tid)? })).collect())
    }

    fn read(&mut self, task: Task, wishes: &Wishes, group: bool) -> io::Result<Was> {
        check(task)?;
        let tid = thread(task)?;
        let scheduler = wishes.scheduler.map(|_| scheduler_of(tid)).transpose()?;
        Ok(Was {
            cpus: wishes.cpus.as_ref().map(|_| cpus_of(tid)).transpose()?,
            scheduler,
            nice: wishes.nice.map(|_| nice_of(tid)).transpose()?,
            io_priority: wishes.io_priority.map(|_| io_priority_of(tid)).transpose()?,
            oom_score_adjust: wishes.oom_score_adjust.map(|_| oom_of(task.pid)).transpose()?,
            cgroup: group.then(|| cgroup_of(task.pid)).transpose()?,
        })
    }

    fn write(&mut self, task: Task, to: &Was) -> io::Result<()> {
        check(task)?;
        let tid = thread(task)?;
        if let Some(cgroup) = &to.cgroup {
            let file = format!("{GROUPS}{}/cgroup.procs", cgroup.trim_end_matches('/'));
            fs::write(file, task.pid.to_string())?;
        }
        if let Some(cpus) = &to.cpus {
            set_cpus(tid, cpus)?;
        }
        if let Some(scheduler) = to.scheduler {
            let parameters = libc::sched_param { sched_priority: scheduler.priority };
            // SAFETY: a thread's number, and a structure that lives through the call.
            succeeded(unsafe {
                libc::sched_setscheduler(tid.as_raw(), scheduler.policy, &raw const parameters)
            })?;
        }
        if let Some(nice) = to.nice {
            // SAFETY: numbers only. Linux has it for threads, whatever the constant says.
            succeeded(unsafe { libc::setpriority(libc::PRIO_PROCESS, task.tid, nice) })?;
        }
        if let Some(priority) = to.io_priority {
            // SAFETY: numbers only.
            let result = unsafe {
                libc::syscall(
                    libc::SYS_ioprio_set,
                    ONE_THREAD,
                    tid.as_raw(),
                    libc::c_int::from(priority),
                )
            };
            if result < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        if let Some(adjust) = to.oom_score_adjust {
            fs::write(format!("/proc/{}/oom_score_adj", task.pid), adjust.to_string())?;
        }
        Ok(())
    }

    fn collapse(&mut self, pid: u32) -> io::Result<()> {
        huge::collapse(pid).map(|_| ())
    }

    fn make_group(&mut self, path: &str, limits: &[(String, String)]) -> io::Result<()> {
        let directory = format!("{GROUPS}{path}");
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        for (file, value) in limits {
            let controller = controller_of(file);
            if !Path::new(&format!("{directory}/{file}")).exists() {
                fs::write(format!("{GROUPS}/cgroup.subtree_control"), format!("+{controller}"))?;
            }
            fs::write(format!("{directory}/{file}"), value)?;
        }
        Ok(())
    }

    fn controllers_off(&mut self, wanted: &BTreeSet<String>) -> Vec<String> {
        let on = fs::read_to_string(format!("{GROUPS}/cgroup.subtree_control")).unwrap_or_default();
        let is_on = |controller: &&String| on.split_whitespace().any(|word| word == *controller);
        wanted.iter().filter(|controller| !is_on(controller)).cloned().collect()
    }

    fn turn_off(&mut self, controller: &str) -> io::Result<()> {
        // Who has made a group since may count on what is on, and would not be told.
        let mut others = fs::read_dir(GROUPS)?.filter_map(Result::ok);
        if others.any(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            return Err(io::Error::other("other control groups may use it"));
        }
        fs::write(format!("{GROUPS}/cgroup.subtree_control"), format!("-{controller}"))
    }

    fn remove_group(&mut self, path: &str) -> io::Result<()> {
        fs::remove_dir(format!("{GROUPS}{path}"))
    }
}

/// Fails with "not found" where the task is gone, or another has its number.
fn check(task: Task) -> io::Result<()> {
    match started(task.pid, task.tid) {
        Some(began) if began == task.started => Ok(()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn thread(task: Task) -> io::Result<Pid> {
    i32::try_from(task.tid).map(Pid::from_raw).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Field 22 of proc_pid_stat(5). The name in field 2 may hold anything, so it is counted from its end.
fn started(pid: u32, tid: u32) -> Option<u64> {
    let text = fs::read(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn cgroup_of(pid: u32) -> io::Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"));
    Ok(path.unwrap_or("/").to_owned())
}

fn cpus_of(tid: Pid) -> io::Result<String> {
    let set = sched_getaffinity(tid)?;
    let mut text = String::new();
    for cpu in (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)) {
        if !text.is_empty() {
            text.push(',');
        }
        text += &cpu.to_string();
    }
    Ok(text)
}

fn set_cpus(tid: Pid, list: &str) -> io::Result<()> {
    let cpus = Cpus::parse(CpuForm::List, list).ok_or(io::ErrorKind::InvalidInput)?;
    let mut set = CpuSet::new();
    for cpu in cpus.iter() {
        set.set(usize::try_from(cpu).map_err(|_| io::ErrorKind::InvalidInput)?)?;
    }
    Ok(sched_setaffinity(tid, &set)?)
}

fn scheduler_of(tid: Pid) -> io::Result<Scheduler> {
    // SAFETY: a number.
    let policy = succeeded(unsafe { libc::sched_getscheduler(tid.as_raw()) })?;
    let mut parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: a number, and a structure that lives through the call.
    succeeded(unsafe { libc::sched_getparam(tid.as_raw(), &raw mut parameters) })?;
    Ok(Scheduler { policy, priority: parameters.sched_priority })
}

/// Field 19 of proc_pid_stat(5).
fn nice_of(tid: Pid) -> io::Result<i32> {
    let text = fs::read(format!("/proc/{tid}/stat"))?;
    let text = String::from_utf8_lossy(&text);
    let nice =
        text.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(16)?.parse().ok());
    nice.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn io_priority_of(tid: Pid) -> io::Result<u16> {
    // SAFETY: numbers only.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_get, ONE_THREAD, tid.as_raw()) };
    u16::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn oom_of(pid: u32) -> io::Result<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/oom_score_adj"))?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Users of this machine, by number.
fn users() -> Vec<(u32, String)> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    text.lines().filter_map(user).collect()
}

fn succeeded(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
