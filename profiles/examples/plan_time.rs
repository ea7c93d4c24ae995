//! How long it takes to understand scripts: `cargo run --release -p profiles --example plan_time`. Behind the
//! sentences stand the figures once more, for `make bench`.

use std::time::Instant;

use profiles::catalogue::{Catalogue, Kind, Presence, Scope};
use profiles::composition::{Arguments, Library};
use profiles::diagnostic::{Source, Sources};
use profiles::facts::Facts;
use profiles::planning::{self, Planning};
use profiles::resolution::{Present, Request, resolve};
use profiles::script::Script;
use profiles::typing;

/// How often each is taken.
const ROUNDS: usize = 21;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let begun = Instant::now();
    let catalogue = Catalogue::built_in()?;
    let read = since(begun);
    println!("reading the catalogue, once a process: {read:.2} ms");

    let facts = Facts::of_kernel("6.12-generic".parse()?).with_cpus(8).with_memory(16 << 30);
    let one = settings(catalogue, &facts, 300);
    let lines = one.lines().count();
    let what = format!("one profile of 300 settings ({lines} lines)");
    let one = report(&what, || understand(&one, &facts));

    let many = thousand();
    let what = "1000 profiles in 100 lines of 10 ancestors";
    let many = report(what, || understand(&many, &facts));
    println!("catalogue_ms={read:.3} profile_ms={one:.3} thousand_ms={many:.3}");
    Ok(())
}

fn since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

fn report(what: &str, mut work: impl FnMut() -> usize) -> f64 {
    let first = Instant::now();
    let count = work();
    let first = since(first);
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            work();
            since(begun)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let median = times.get(ROUNDS / 2).copied().unwrap_or_default();
    println!("{what}: {median:.2} ms (first time {first:.2} ms), {count} settings planned");
    median
}

/// Reads and checks a script, and resolves and plans every profile of it for one kernel, whose files all read
/// `0`; how many settings come out.
fn understand(text: &str, facts: &Facts) -> usize {
    let mut sources = Sources::new();
    let file = sources.add(Source::new("timed.ks", text));
    let read = Script::read(file, text);
    let (mut library, mut diagnostics) = (Library::default(), read.diagnostics);
    library.add(read.script, &mut diagnostics);
    library.check(&mut diagnostics);
    typing::check(&library, &mut diagnostics);
    let Ok(catalogue) = Catalogue::built_in() else { return 0 };
    let (arguments, present) = (Arguments::new(), Present::default());
    let mut count = 0;
    for profile in library.profiles() {
        let request = Request {
            library: &library,
            profile: &profile.name.text,
            arguments: &arguments,
            facts,
            present: &present,
            catalogue,
        };
        if let Ok(resolution) = resolve(&request) {
            let targets = planning::targets(&resolution, &[]).into_iter();
            let planning = Planning {
                profile: &profile.name.text,
                facts,
                catalogue,
                sources: &sources,
                readings: &targets.map(|target| (target, Ok("0".to_owned()))).collect(),
                without: &[],
                in_force: &[],
                guard: None,
            };
            count += planning.plan(&resolution).plan.steps.len();
        }
    }
    count
}

/// A profile with so many settings, each at its default.
fn settings(catalogue: &Catalogue, facts: &Facts, count: usize) -> String {
    let mut text = "profile many {\n".to_owned();
    let plain: Vec<_> = catalogue
        .settings()
        .filter(|setting| {
            let scope = matches!(setting.scope, Scope::Global | Scope::NetNamespace);
            let there = matches!(facts.kernel.find(setting), Presence::Present(_));
            scope && there && matches!(setting.kind, Kind::Integer | Kind::Flag | Kind::Level(_))
        })
        .collect();
    let mut written = 0;
    for setting in plain.iter().take(count) {
        let default = setting.default.as_ref().and_then(|it| it.of(&facts.kernel)).unwrap_or("1");
        text += &format!("    {} = {default}\n", setting.name);
        written += 1;
    }
    for setting in catalogue.settings() {
        if written >= count {
            break;
        }
        let there = matches!(facts.kernel.find(setting), Presence::Present(_));
        if let (Kind::Size(_), Scope::Global | Scope::NetNamespace, true) =
            (&setting.kind, setting.scope, there)
        {
            text += &format!("    {} = 64MiB\n", setting.name);
            written += 1;
        }
    }
    text + "}\n"
}

fn thousand() -> String {
    let mut text = String::new();
    for family in 0..100 {
        for generation in 0..10 {
            let parent = match generation {
                0 => String::new(),
                _ => format!(" extends p{family}g{}", generation - 1),
            };
            text += &format!(
                "profile p{family}g{generation}{parent} {{\n    vm.swappiness = {generation}\n    \
                 raise net.core.somaxconn to {}\n    vm.dirty_bytes = {}MiB\n}}\n",
                1024 + generation,
                64 + family,
            );
        }
    }
    text
}
