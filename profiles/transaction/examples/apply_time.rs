//! What a transaction costs beside the bare writes and reads that it is made of:
//! `cargo run --release -p transaction --example apply_time [DIRECTORY]`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use transaction::compare::Compare;
use transaction::plan::{Class, Origin, Undo};
use transaction::sandbox::{Confined, Launch, run_if_asked};
use transaction::{Directory, Files, Machine, Plan, Step, Store, Target, Unrecovered};

const SETTINGS: usize = 100;
const ROUNDS: usize = 101;

type Failure = Box<dyn std::error::Error>;

fn path(at: usize) -> String {
    format!("/proc/sys/vm/setting_{at}")
}

fn plan(value: usize) -> Plan {
    let step = |at| Step {
        setting: format!("vm.setting_{at}"),
        target: Target::file(path(at)),
        old: None,
        new: value.to_string(),
        compare: Compare::Same,
        undo: Undo::default(),
        class: Class::Runtime,
        may_change_on_error: false,
        appears: false,
        effect: None,
        origin: Origin { profile: "timed".into(), file: "timed.ks".into(), line: 1 },
    };
    Plan { steps: (0..SETTINGS).map(step).collect(), ..Plan::new("timed") }
}

/// What nobody can do without: reading what there is, writing, reading back.
fn bare(root: &Path, value: usize) -> io::Result<()> {
    let file = |at| root.join(path(at).trim_start_matches('/'));
    for at in 0..SETTINGS {
        fs::read_to_string(file(at))?;
    }
    for at in 0..SETTINGS {
        let path = file(at);
        fs::write(&path, format!("{value}\n"))?;
        fs::read_to_string(&path)?;
    }
    Ok(())
}

/// The journal's syncs, with as many bytes.
fn syncs(folder: &Path, begin: usize, commit: usize) -> io::Result<()> {
    let (fresh, name) = (folder.join("x.new"), folder.join("x"));
    fs::write(&fresh, vec![b'x'; begin])?;
    File::open(&fresh)?.sync_data()?;
    fs::rename(&fresh, &name)?;
    File::open(folder)?.sync_all()?;
    OpenOptions::new().append(true).open(&name)?.write_all(&vec![b'x'; commit])?;
    File::open(&name)?.sync_data()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn main() -> ExitCode {
    if let Some(code) = run_if_asked() {
        return code;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Failure> {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(parent)?;
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("proc/sys/vm"))?;
    for at in 0..SETTINGS {
        fs::write(root.join(path(at).trim_start_matches('/')), "0\n")?;
    }
    let machine = Machine { boot: "b".into(), release: None };
    let storage = Directory::lock(&folder.path().join("journal"))?;
    let mut files = Files::beneath(&root);
    let (mut engine, _) = Unrecovered::open(storage, machine)?.recover(&mut files)?;
    let mut confined = Confined::beneath(Launch::default(), &root);
    let spare = folder.path().join("spare");
    fs::create_dir(&spare)?;

    let mut times: [Vec<Duration>; 4] = Default::default();
    let mut value = 0;
    let mut sizes = (0, 0);
    for _ in 0..ROUNDS {
        let stores: [Option<&mut dyn Store>; 2] = [Some(&mut files), Some(&mut confined)];
        for (at, store) in stores.into_iter().flatten().enumerate() {
            value += 1;
            let start = Instant::now();
            let report = engine.apply(&plan(value), store)?;
            times[2 + at].push(start.elapsed());
            if sizes == (0, 0) {
                let name = folder.path().join(format!("journal/{:08}.journal", report.number));
                // Both records hold every setting; how they are divided makes no difference.
                let bytes = usize::try_from(fs::metadata(name)?.len())?;
                sizes = (bytes * 9 / 10, bytes / 10);
            }
        }
        value += 1;
        let start = Instant::now();
        bare(&root, value)?;
        times[0].push(start.elapsed());
        let start = Instant::now();
        syncs(&spare, sizes.0, sizes.1)?;
        times[1].push(start.elapsed());
    }
    let [bare, syncs, plain, confined] = times.map(median);
    let ratio = |time: Duration| time.as_secs_f64() / (bare + syncs).as_secs_f64();
    println!("{SETTINGS} settings, median of {ROUNDS}:");
    println!("bare reads and writes   {bare:>10.1?}");
    println!("syncs of the journal    {syncs:>10.1?}");
    println!("transaction             {plain:>10.1?}   {:.2} times both", ratio(plain));
    println!("transaction, confined   {confined:>10.1?}   {:.2} times both", ratio(confined));
    Ok(())
}
