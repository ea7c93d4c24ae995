//! What a transaction costs beside the bare writes and reads that it is made of:
//! `cargo run --release -p transaction --example apply_time [DIRECTORY [LIST]]`. The journal is below the
//! directory; a list names settings of this kernel that are to be changed (`/proc/sys/vm/swappiness 60 61`, one a
//! line), in place of files that only look like some. The last line says the figures once more, for `make bench`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use transaction::compare::Compare;
use transaction::plan::{Class, Origin, Undo};
use transaction::sandbox::{Confined, Launch, run_if_asked};
use transaction::{Directory, Files, Machine, Plan, Step, Store, Target, Unrecovered};

const SETTINGS: usize = 100;
const ROUNDS: usize = 21;

type Failure = Box<dyn std::error::Error>;

/// Settings with two values each, and where their files lie.
struct Settings {
    root: PathBuf,
    each: Vec<(String, [String; 2])>,
}

impl Settings {
    /// Files below a folder that nobody else knows.
    fn made(folder: &Path) -> io::Result<Self> {
        let root = folder.join("root");
        fs::create_dir_all(root.join("proc/sys/vm"))?;
        let path = |at| format!("/proc/sys/vm/setting_{at}");
        let each = (0..SETTINGS).map(|at| (path(at), ["0".to_owned(), "1".to_owned()]));
        let settings = Self { root, each: each.collect() };
        for (path, _) in &settings.each {
            fs::write(settings.file(path), "0\n")?;
        }
        Ok(settings)
    }

    /// This kernel's own, from lines such as `/proc/sys/vm/swappiness 60 61`.
    fn listed(list: &str) -> Result<Self, Failure> {
        let words = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let each = words.map(|words| match words.as_slice() {
            [path, one, other] => {
                Ok(((*path).to_owned(), [(*one).to_owned(), (*other).to_owned()]))
            }
            words => Err(format!("no path and two values: {words:?}")),
        });
        Ok(Self { root: PathBuf::from("/"), each: each.collect::<Result<_, _>>()? })
    }

    fn file(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn plan(&self, which: usize) -> Plan {
        let step = |(path, values): &(String, [String; 2])| Step {
            setting: path.trim_start_matches("/proc/sys/").replace('/', "."),
            target: Target::file(path.clone()),
            old: None,
            new: values[which % 2].clone(),
            compare: Compare::Same,
            undo: Undo::default(),
            class: Class::Runtime,
            may_change_on_error: false,
            appears: false,
            effect: None,
            origin: Origin { profile: "timed".into(), file: "timed.ks".into(), line: 1 },
        };
        Plan { steps: self.each.iter().map(step).collect(), ..Plan::new("timed") }
    }

    /// What nobody can do without: reading what there is, writing, reading back.
    fn bare(&self, which: usize) -> io::Result<()> {
        for (path, _) in &self.each {
            fs::read_to_string(self.file(path))?;
        }
        for (path, values) in &self.each {
            let path = self.file(path);
            fs::write(&path, format!("{}\n", values[which % 2]))?;
            fs::read_to_string(&path)?;
        }
        Ok(())
    }
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
    let settings = match std::env::args_os().nth(2) {
        Some(list) => Settings::listed(&fs::read_to_string(list)?)?,
        None => Settings::made(folder.path())?,
    };
    let machine = Machine { boot: "b".into(), release: None };
    let storage = Directory::lock(&folder.path().join("journal"))?;
    let mut files = Files::beneath(&settings.root);
    let (mut engine, _) = Unrecovered::open(storage, machine)?.recover(&mut files)?;
    let mut confined = Confined::beneath(Launch::default(), &settings.root);
    let spare = folder.path().join("spare");
    fs::create_dir(&spare)?;

    let mut times: [Vec<Duration>; 4] = Default::default();
    let mut which = 0;
    let mut sizes = (0, 0);
    for _ in 0..ROUNDS {
        let stores: [Option<&mut dyn Store>; 2] = [Some(&mut files), Some(&mut confined)];
        for (at, store) in stores.into_iter().flatten().enumerate() {
            which += 1;
            let start = Instant::now();
            let report = engine.apply(&settings.plan(which), store)?;
            times[2 + at].push(start.elapsed());
            if sizes == (0, 0) {
                let name = folder.path().join(format!("journal/{:08}.journal", report.number));
                // Both records hold every setting; how they are divided makes no difference.
                let bytes = usize::try_from(fs::metadata(name)?.len())?;
                sizes = (bytes * 9 / 10, bytes / 10);
            }
        }
        which += 1;
        let start = Instant::now();
        settings.bare(which)?;
        times[0].push(start.elapsed());
        let start = Instant::now();
        syncs(&spare, sizes.0, sizes.1)?;
        times[1].push(start.elapsed());
    }
    let [bare, syncs, plain, confined] = times.map(median);
    let ratio = |time: Duration| time.as_secs_f64() / (bare + syncs).as_secs_f64();
    println!("{} settings, median of {ROUNDS}:", settings.each.len());
    println!("bare reads and writes   {bare:>10.1?}");
    println!("syncs of the journal    {syncs:>10.1?}");
    println!("transaction             {plain:>10.1?}   {:.2} times both", ratio(plain));
    println!("transaction, confined   {confined:>10.1?}   {:.2} times both", ratio(confined));
    let [bare, syncs, plain, confined] = [bare, syncs, plain, confined].map(|it| it.as_micros());
    println!("bare_us={bare} syncs_us={syncs} plain_us={plain} confined_us={confined}");
    Ok(())
}
