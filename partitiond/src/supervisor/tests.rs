//! Partitions that end while others ask for something. No keeper, kernel or host takes part.

use std::time::Duration;

use ::images::manifest::{Kernel, Manifest};
use boot::backend;
use boot::bare::{LowWindow, Starter};
use boot::host_memory::PageSize;
use protocol::Configuration;
use tokio::sync::mpsc;

use super::*;
use crate::api::{End, Phase, ProblemKind};
use crate::cluster::{Backend, MemorySource, Restart, default_hang_after};
use crate::inventory::{Machine, Shape};
use crate::keeper::{self, KeeperSpec};
use crate::ledger::Entry;
use crate::plan::{ImageRef, Spec};

/// A supervisor in a folder of its own, which ends with the test.
fn supervisor(folder: &Path) -> Arc<Supervisor> {
    let paths = Paths { run: folder.join("run"), state: folder.join("state") };
    fs::create_dir_all(&paths.state).unwrap();
    let ledger = Ledger {
        boot_id: String::new(),
        machine: Machine::synthetic(Shape::default()),
        starter: None,
        before: None,
        partitions: BTreeMap::new(),
    };
    Arc::new(Supervisor {
        events: Events::open(&paths.events()),
        paths,
        ledger: Mutex::new(ledger),
        kept: Mutex::default(),
        reserving: tokio::sync::Mutex::default(),
        operation: Arc::default(),
        changed: watch::channel(0).0,
        stop: tokio::sync::Notify::new(),
    })
}

fn entry(name: &str, restart: Restart) -> Entry {
    let bare = boot::bare::Spec {
        cpus: Vec::new(),
        starter: Starter::X2Apic,
        low: LowWindow::default(),
        memory_file: PathBuf::new(),
        page_size: PageSize::Large,
        memory: Vec::new(),
        ranges: Vec::new(),
        kernel: PathBuf::new(),
        initramfs: Vec::new(),
        command_line: String::new(),
    };
    let wanted = Spec {
        image: ImageRef { name: String::new(), digest: None },
        backend: Backend::Bare,
        cpus: Default::default(),
        shared_cpus: None,
        memory: BTreeMap::new(),
        source: MemorySource::default(),
        numa: None,
        profile: None,
        script: None,
        cmdline: String::new(),
        workloads: Vec::new(),
        restart,
        hang_after: default_hang_after(),
        disks: Vec::new(),
        taps: Vec::new(),
        snapshot: None,
    };
    let configuration = Configuration::default();
    let boot = backend::Spec::Bare(bare);
    let spec = KeeperSpec { name: name.to_owned(), boot, configuration, log: PathBuf::new() };
    Entry {
        wanted,
        kernel: String::new(),
        hugepages: Vec::new(),
        spec,
        restarts: 0,
        restarted_at_ms: Vec::new(),
    }
}

/// Adds a partition in this phase, with a directory, and tells which life it is.
fn add(supervisor: &Supervisor, name: &str, restart: Restart, phase: Phase) -> u64 {
    let entry = entry(name, restart);
    fs::create_dir_all(supervisor.paths.partition(name).path()).unwrap();
    supervisor
        .write_ledger(|ledger| drop(ledger.partitions.insert(name.to_owned(), entry.clone())))
        .unwrap();
    let mut kept = Kept::new(entry);
    kept.report.phase = phase;
    kept.report.end = (phase == Phase::Ended).then_some(End::PoweredOff);
    kept.report.ready_after_ms = Some(1);
    let life = kept.life;
    supervisor.kept().insert(name.to_owned(), kept);
    life
}

fn is_in_ledger(supervisor: &Supervisor, name: &str) -> bool {
    supervisor.ledger().partitions.contains_key(name)
}

/// Time stands still but where everything waits.
fn run<F: Future>(work: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(work)
}

#[test]
fn who_gives_an_ended_partition_back_leaves_the_next_of_its_name_alone() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let supervisor = supervisor(folder.path());
        let life = add(&supervisor, "db", Restart::Never, Phase::Ended);
        let dir = supervisor.paths.partition("db");
        let keeper = keeper::take_lock(&dir).unwrap();
        let giving_back = tokio::spawn(supervisor.clone().after_end("db", life, None));
        tokio::time::sleep(Duration::from_millis(15)).await;
        // An `up` meanwhile: another life, whose keeper has the lock of the same name.
        add(&supervisor, "db", Restart::Never, Phase::Booting);
        giving_back.await.unwrap();
        assert!(is_in_ledger(&supervisor, "db"), "what runs is in the ledger");
        assert!(dir.path().exists());
        drop(keeper);
    });
}

#[test]
fn who_ends_a_partition_does_not_wait_for_its_restart() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let supervisor = supervisor(folder.path());
        let life = add(&supervisor, "db", Restart::Always, Phase::Ended);
        let lock = keeper::take_lock(&supervisor.paths.partition("db")).unwrap();
        let down = supervisor.operation.clone().lock_owned().await;
        let restarting = tokio::spawn(supervisor.clone().after_end("db", life, Some(lock)));
        tokio::task::yield_now().await;
        let begun = tokio::time::Instant::now();
        supervisor.end("db", false).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        drop(down);
        restarting.await.unwrap();
        assert!(!is_in_ledger(&supervisor, "db") && supervisor.kept().is_empty());
    });
}

#[test]
fn what_made_room_is_known_even_where_not_all_of_it_can_be_made() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let supervisor = supervisor(folder.path());
        add(&supervisor, "one", Restart::Never, Phase::Ended);
        // Nobody tells of it: it does not end in time.
        add(&supervisor, "two", Restart::Never, Phase::Ready);
        let (tell, _progress) = mpsc::unbounded_channel();
        let names = ["one", "two"].map(str::to_owned);
        let mut room_made = Vec::new();
        let made = supervisor.make_room(&[], &names, &mut room_made, &tell).await;
        assert_eq!(made.unwrap_err().0, "two");
        let made: Vec<&str> = room_made.iter().map(|entry| &*entry.spec.name).collect();
        assert_eq!(made, ["one"]);
        assert!(!is_in_ledger(&supervisor, "one") && is_in_ledger(&supervisor, "two"));
    });
}

#[test]
fn an_image_goes_when_nobody_runs_it() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let supervisor = supervisor(folder.path());
        let store = supervisor.store().unwrap();
        let writing = store.writing().unwrap();
        let part = writing.put_blob(&mut &b"part"[..]).unwrap();
        let kernel = Kernel {
            release: "6.1.0".to_owned(),
            vmlinux: part.clone(),
            modules: part.clone(),
            origin: String::new(),
            selection: Default::default(),
        };
        let manifest = Manifest {
            kernel,
            initramfs: vec![part],
            cmdline: String::new(),
            profile: None,
            modules: Vec::new(),
            workloads: Vec::new(),
        };
        let digest = writing.put_manifest(&manifest).unwrap();
        writing.tag(&digest, "general").unwrap();
        drop(writing);
        add(&supervisor, "db", Restart::Never, Phase::Ready);
        let image = ImageRef { name: "general".to_owned(), digest: Some(digest.to_string()) };
        supervisor.update("db", |kept| kept.entry.wanted.image = image);
        let refused = supervisor.remove_image("general").await.unwrap_err();
        assert_eq!(refused.kind, ProblemKind::Refused, "{refused:?}");
        supervisor.update("db", |kept| kept.report.phase = Phase::Ended);
        supervisor.remove_image("general").await.unwrap();
        assert_eq!((store.size().unwrap(), supervisor.images().unwrap().len()), (0, 0));
        let gone = supervisor.remove_image("general").await.unwrap_err();
        assert_eq!(gone.kind, ProblemKind::NotFound);
    });
}
