//! Carrying out a plan: first what takes away, then everything that starts, side by side. If one
//! fails, what was begun is undone, and what had to make room comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boot::backend;
use boot::kvm::{DiskSpec, FilterMode, TapSpec, Topology};
use boot::units::{Bytes, CpuId, MacAddress};
use protocol::{Configuration, FrameError, ToGuest, VERSION, encode};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::images::Bootable;
use super::planned::{Planned, by_action, kernel_of};
use super::start::{cpus_of, page_size_of, shares_of, virtual_cpus};
use super::{Supervisor, failed, problem};
use crate::api::{End, Phase, Problem, ProblemKind, Progress};
use crate::cluster::{Backend, Disk, MemorySource, Tap};
use crate::keeper::{BOOTING, KeeperSpec, describe};
use crate::ledger::Entry;
use crate::paths::Paths;
use crate::plan::{Action, Spec};

/// How long a partition may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) type Teller = mpsc::UnboundedSender<Progress>;

/// Held by the one `up` or `down` that is being carried out.
pub(super) type Operation = tokio::sync::OwnedMutexGuard<()>;

impl Supervisor {
    /// Begins an `up`. Until the result is dropped nobody else changes what a plan is made from.
    pub(super) fn begin_up(&self) -> Result<Operation, Problem> {
        self.operation.clone().try_lock_owned().map_err(|_| {
            let message = "another `up` or `down` is being carried out";
            problem(ProblemKind::Busy, message, Some("wait for it".to_owned()))
        })
    }

    /// Does what the plan says and tells how it goes.
    pub(super) async fn up(
        self: Arc<Self>,
        planned: Planned,
        _operation: Operation,
        tell: Teller,
    ) -> Result<(), Problem> {
        let begun = Instant::now();
        let plan = serde_json::to_value(&planned.plan).unwrap_or_default();
        let _ = tell.send(Progress::Plan { plan, text: planned.text() });
        // Shown before it is done, not after: what follows does not yield for a while.
        tokio::task::yield_now().await;
        let mut steps = by_action(&planned.plan);
        let mut named = |action| steps.remove(&action).unwrap_or_default();

        let (stops, restarts) = (named(Action::Stop), named(Action::Restart));
        let starts = [named(Action::Start), restarts.clone()].concat();
        // Entries first: what cannot be started at all must not change what runs.
        let specs = starts.iter().filter_map(|name| planned.desired.get(name));
        self.verify_all(specs.filter_map(|spec| spec.image.digest.clone()).collect()).await?;
        let mut entries = Vec::new();
        for name in &starts {
            if let Some(spec) = planned.desired.get(name) {
                entries.push(self.entry(&planned, name, spec)?);
                self.want_profile(name, spec);
            }
        }
        for partition in named(Action::Keep) {
            let _ = tell.send(Progress::Kept { partition });
        }
        for name in named(Action::Update) {
            if let Some(spec) = planned.desired.get(&name) {
                let before =
                    self.kept().get(&name).and_then(|kept| kept.entry.wanted.script.clone());
                self.supervise_as(&name, spec)?;
                if before != spec.script {
                    self.clone().tune_as(&name, spec, &tell).await;
                }
            }
            let _ = tell.send(Progress::Kept { partition: name });
        }
        let mut room_made = Vec::new();
        let (started, result) = match self.make_room(&stops, &restarts, &mut room_made, &tell).await
        {
            Ok(()) => (&*starts, self.start_all(entries, begun, &tell).await),
            Err(failure) => (&[][..], Err(failure)),
        };
        let ok = result.is_ok();
        if ok {
            self.wait_for_profiles(started, &tell).await;
        }
        if let Err((partition, problem)) = result {
            let _ = tell.send(Progress::Failed { partition, problem });
            self.undo(started, room_made, &tell).await;
        }
        let _ = tell.send(Progress::Done { ok });
        Ok(())
    }

    /// Ends what is not to be any more, and what is to be otherwise; the latter goes to `room_made`, as
    /// far as this comes.
    pub(super) async fn make_room(
        self: &Arc<Self>,
        stops: &[String],
        restarts: &[String],
        room_made: &mut Vec<Entry>,
        tell: &Teller,
    ) -> Result<(), (String, Problem)> {
        for name in stops.iter().chain(restarts) {
            let before = self.kept().get(name).map(|kept| kept.entry.clone());
            let since = Instant::now();
            self.end(name, false).await.map_err(|problem| (name.clone(), problem))?;
            let milliseconds = since.elapsed().as_millis() as u64;
            let _ = tell.send(Progress::Down { partition: name.clone(), milliseconds });
            room_made.extend(before.filter(|_| restarts.contains(name)));
        }
        Ok(())
    }

    /// Starts partitions side by side and waits until all are ready, or one has failed.
    async fn start_all(
        self: &Arc<Self>,
        entries: Vec<Entry>,
        begun: Instant,
        tell: &Teller,
    ) -> Result<(), (String, Problem)> {
        // What has ended by itself may not have been given back yet: the new ledger entry of its name
        // would take the place of what it had.
        for Entry { spec, .. } in &entries {
            self.end(&spec.name, false).await.map_err(|problem| (spec.name.clone(), problem))?;
        }
        let mut starts = JoinSet::new();
        for entry in entries {
            let name = entry.spec.name.clone();
            let step = "reserving its memory".to_owned();
            let _ = tell.send(Progress::Step { partition: name.clone(), step });
            let start = self.clone().start_entry(entry);
            starts.spawn(async move { start.await.map(|()| name.clone()).map_err(|e| (name, e)) });
        }
        let result = self.wait_for_all(&mut starts, begun, tell).await;
        // What is being taken while another fails must be known before all of it is given back.
        while starts.join_next().await.is_some() {}
        result
    }

    async fn wait_for_all(
        self: &Arc<Self>,
        starts: &mut JoinSet<Result<String, (String, Problem)>>,
        begun: Instant,
        tell: &Teller,
    ) -> Result<(), (String, Problem)> {
        let mut changes = self.changed.subscribe();
        let mut waiting: BTreeMap<String, Option<String>> = BTreeMap::new();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !(starts.is_empty() && waiting.is_empty()) {
            tokio::select! {
                Some(started) = starts.join_next() => {
                    let lost = |error| (String::new(), failed(&error));
                    waiting.insert(started.map_err(lost)??, None);
                }
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(deadline) => {
                    let name = waiting.into_keys().next().unwrap_or_default();
                    let message = format!("{name} was not ready within {} s", PATIENCE.as_secs());
                    let hint = Some(format!("partitiond logs {name}"));
                    return Err((name, problem(ProblemKind::Failed, message, hint)));
                }
            }
            for (name, said) in std::mem::take(&mut waiting) {
                if let Some(said) = self.look_at_start(&name, said, begun, tell)? {
                    waiting.insert(name, said);
                }
            }
        }
        Ok(())
    }

    /// How far a start has come; `None` when it is done. `said` is the step that was told last.
    fn look_at_start(
        &self,
        name: &str,
        said: Option<String>,
        begun: Instant,
        tell: &Teller,
    ) -> Result<Option<Option<String>>, (String, Problem)> {
        let Some(kept) = self.kept().get(name).cloned() else { return Ok(None) };
        match kept.report.phase {
            Phase::Ready | Phase::Silent => {
                let milliseconds = begun.elapsed().as_millis() as u64;
                let status = Box::new(kept.status());
                let _ = tell.send(Progress::Up { status, milliseconds });
                Ok(None)
            }
            Phase::Starting | Phase::Booting => {
                let booting = kept.report.phase == Phase::Booting;
                let step = if booting { Some(BOOTING.to_owned()) } else { kept.report.step };
                if let Some(step) = step.clone().filter(|_| step != said) {
                    let _ = tell.send(Progress::Step { partition: name.to_owned(), step });
                }
                Ok(Some(step))
            }
            Phase::Stopping | Phase::Ended | Phase::Stuck => {
                let message = match (kept.report.end, kept.report.stuck) {
                    (_, Some(stuck)) => stuck,
                    (Some(End::Failed { message } | End::Panicked { message }), None) => message,
                    (Some(end), None) => {
                        format!("it ended before it was ready: {}", describe(&end))
                    }
                    (None, None) => "it ended before it was ready".to_owned(),
                };
                let message = match kept.report.last_words.as_slice() {
                    [] => message,
                    words => {
                        let from = words.len().saturating_sub(8);
                        let tail = words.get(from..).unwrap_or_default().join("\n  ");
                        format!("{message}\nits kernel's last words:\n  {tail}")
                    }
                };
                let hint = Some(format!("partitiond logs {name}"));
                Err((name.to_owned(), problem(ProblemKind::Failed, message, hint)))
            }
        }
    }

    /// Ends what was begun, and starts again what had to make room for it.
    async fn undo(self: &Arc<Self>, started: &[String], room_made: Vec<Entry>, tell: &Teller) {
        for name in started {
            if let Err(error) = self.end(name, true).await {
                let text = format!("{name} could not be undone: {}", error.message);
                let _ = tell.send(Progress::Warning { text });
            }
        }
        for entry in room_made {
            let name = entry.spec.name.clone();
            let text = match self.clone().start_entry(entry).await {
                Ok(()) => format!("{name} is started again as it was"),
                Err(error) => format!("{name} could not be started again: {}", error.message),
            };
            let _ = tell.send(Progress::Warning { text });
        }
    }

    /// Takes over what concerns the supervision of a running partition only.
    fn supervise_as(&self, name: &str, spec: &Spec) -> Result<(), Problem> {
        self.write_ledger(|ledger| {
            if let Some(entry) = ledger.partitions.get_mut(name) {
                entry.wanted = spec.clone();
            }
        })
        .map_err(|error| failed(&error))?;
        self.update(name, |kept| kept.entry.wanted = spec.clone());
        Ok(())
    }

    /// All that a partition's start needs, before anything is taken. Low memory, huge pages, ranges of
    /// pools and users are chosen at the start itself.
    fn entry(&self, planned: &Planned, name: &str, spec: &Spec) -> Result<Entry, Problem> {
        let digest = spec.image.digest.clone().unwrap_or_default();
        let image = self.image(&digest)?;
        let kernel = image.kernel.clone();
        let boot = self.boot_spec(planned, name, spec, image)?;
        let configuration = Configuration {
            version: VERSION,
            hostname: name.to_owned(),
            workloads: spec.workloads.clone(),
        };
        fits(&configuration).map_err(|error| {
            let message = format!("{name}: its workloads cannot be told to it: {error}");
            let hint = "put long arguments and environments into files of the image";
            problem(ProblemKind::Invalid, message, Some(hint.to_owned()))
        })?;
        let keeper =
            KeeperSpec { name: name.to_owned(), boot, configuration, log: self.paths.log(name) };
        Ok(Entry {
            wanted: spec.clone(),
            kernel,
            hugepages: Vec::new(),
            spec: keeper,
            restarts: 0,
            restarted_at_ms: Vec::new(),
        })
    }

    /// What its back end needs.
    fn boot_spec(
        &self,
        planned: &Planned,
        name: &str,
        spec: &Spec,
        image: Bootable,
    ) -> Result<backend::Spec, Problem> {
        let words = format!("{} {}", image.command_line, spec.cmdline).trim().to_owned();
        boot::command_line::check(&words, kernel_of(spec.backend))
            .map_err(|error| problem(ProblemKind::Invalid, format!("{name}: {error}"), None))?;
        let huge = page_size_of(spec.source);
        let page_size = huge.unwrap_or_default();
        let memory_file = match spec.source {
            MemorySource::Snapshot => self.paths.partition(name).mailbox(),
            _ => self.paths.hugepages(page_size).join(name),
        };
        let memory = huge.map_or(Vec::new(), |_| shares_of(&spec.memory));
        if spec.backend == Backend::Kvm {
            let all: u64 = spec.memory.values().map(|part| part.0).sum();
            let memory_of_snapshot = (spec.source == MemorySource::Snapshot).then_some(Bytes(all));
            let (cpus, topology) = match spec.shared_cpus {
                Some(count) => (vec![CpuId(0); count as usize], Topology::flat(count)),
                None => virtual_cpus(&planned.machine, &spec.cpus),
            };
            return Ok(backend::Spec::Kvm(boot::kvm::Spec {
                cpus,
                topology,
                shared_cpus: spec.shared_cpus.is_some(),
                memory_file,
                page_size,
                memory,
                memory_of_snapshot,
                kernel: image.vmlinux,
                initramfs: image.initramfs,
                command_line: words,
                disks: spec.disks.iter().map(disk_spec).collect(),
                taps: spec.taps.iter().map(|tap| tap_spec(name, tap)).collect(),
                status: self.paths.partition(name).machine(),
                control: self.paths.partition(name).machine_control(),
                snapshot: spec.snapshot.clone().map(Into::into),
                user: 0,
                filter: filter_mode(),
                cgroup: Paths::cgroup(name),
            }));
        }
        let starter = planned.starter.ok_or_else(|| {
            let hint = Some("partitiond doctor".to_owned());
            problem(ProblemKind::Refused, "CPUs cannot be started on this machine", hint)
        })?;
        Ok(backend::Spec::Bare(boot::bare::Spec {
            cpus: cpus_of(&planned.machine, &spec.cpus)?,
            starter,
            low: boot::bare::LowWindow::default(),
            memory_file,
            page_size,
            memory,
            ranges: Vec::new(),
            kernel: image.vmlinux,
            initramfs: image.initramfs,
            command_line: words,
        }))
    }
}

/// What happens where the process of a virtual machine makes a system call that it is not for: it ends, unless
/// the supervisor was started to find such calls (`PARTITIOND_SECCOMP=log`, or `errno`).
fn filter_mode() -> FilterMode {
    let mode = std::env::var("PARTITIOND_SECCOMP").ok();
    mode.and_then(|mode| FilterMode::from_name(&mode)).unwrap_or_default()
}

fn disk_spec(disk: &Disk) -> DiskSpec {
    let Disk { name, path, read_only, direct } = disk.clone();
    DiskSpec { name, path: path.into(), read_only, direct }
}

fn tap_spec(partition: &str, tap: &Tap) -> TapSpec {
    let mac = tap.mac.unwrap_or_else(|| MacAddress::of_name(&format!("{partition}/{}", tap.name)));
    TapSpec { name: tap.name.clone(), mac }
}

/// Whether the keeper can send it: it is one message.
fn fits(configuration: &Configuration) -> Result<(), FrameError> {
    encode(&ToGuest::Configure(Box::new(configuration.clone()))).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_one_message() {
        let mut configuration = Configuration::default();
        assert_eq!(fits(&configuration), Ok(()));
        configuration.hostname = "x".repeat(protocol::MAX_FRAME);
        assert!(matches!(fits(&configuration), Err(FrameError::TooLong(_))));
    }
}
