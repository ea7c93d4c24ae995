//! Settings that a benchmark can change: sysctls that the catalogue asks nothing of, and scripts of them.

use std::fmt::Write as _;

use profiles::catalogue::{Catalogue, Class, Kernel, Kind, Order, Presence, Reads, Setting};
use profiles::composition::Arguments;
use profiles::diagnostic::Source;
use profiles::facts::Facts;
use profiles::resolution::{Present, Request, Where, resolve};
use profiles::scripts::Scripts;

/// A sysctl, the file that it is, and two values for it.
#[derive(Clone, Debug)]
pub struct Pair {
    pub name: String,
    pub path: String,
    pub values: [i64; 2],
}

/// What came of trying a file: the value that it has and another that it takes.
pub type Tried = Option<[i64; 2]>;

/// So many, if there are: those whose files take two values and read back what was written, which `tried` says: the
/// value that is there and another, for each of these files.
pub fn harmless(
    kernel: &str,
    wanted: usize,
    tried: &mut dyn FnMut(&[String]) -> Vec<Tried>,
) -> Vec<Pair> {
    let catalogue = Catalogue::built_in().expect("a catalogue");
    let kernel: Kernel = kernel.parse().expect("a kernel");
    let plain = catalogue.settings().filter_map(|setting| Some((setting, path(setting, &kernel)?)));
    let (names, paths): (Vec<&str>, Vec<String>) =
        plain.map(|(setting, path)| (setting.name.as_str(), path)).unzip();
    let values = tried(&paths);
    let pairs = names.into_iter().zip(paths).zip(values).filter_map(|((name, path), values)| {
        Some(Pair { name: name.to_owned(), path, values: values? })
    });
    pairs.filter(|pair| is_safe(pair, catalogue, &kernel)).take(wanted).collect()
}

/// The file of a setting that is a plain number below `/proc/sys`, and of which nothing special is known.
fn path(setting: &Setting, kernel: &Kernel) -> Option<String> {
    let plain = matches!(setting.kind, Kind::Integer | Kind::Flag | Kind::Level(_))
        && setting.class == Class::Runtime
        && setting.reads == Reads::Same
        && setting.order == Order::Any
        && setting.couples.is_empty()
        && setting.modules.is_empty();
    let Presence::Present(place) = kernel.find(setting) else { return None };
    let Where::File(path) = Where::of(&place.at, None) else { return None };
    let path = path.strip_prefix("/proc/sys/").filter(|_| plain)?;
    // What a kernel does when it is stuck is not tried where everything is slow.
    let quiet = ["net/", "vm/", "fs/"].iter().any(|area| path.starts_with(area));
    (quiet && path.replace('/', ".") == setting.name).then(|| format!("/proc/sys/{path}"))
}

/// Whether both values can be had without a word.
fn is_safe(pair: &Pair, catalogue: &Catalogue, kernel: &Kernel) -> bool {
    [0, 1].into_iter().all(|which| {
        let text = script("p", std::slice::from_ref(pair), which);
        let scripts = Scripts::of([Source::new("p.ks", &text)]);
        let resolution = resolve(&Request {
            library: &scripts.library,
            profile: "p",
            arguments: &Arguments::new(),
            facts: &Facts::of_kernel(kernel.clone()).with_cpus(4).with_memory(4 << 30),
            present: &Present::default(),
            catalogue,
        });
        resolution.is_ok_and(|it| {
            it.diagnostics.is_empty() && it.undecided.is_empty() && it.settings.len() == 1
        })
    })
}

/// A script that sets all of them to the first or the second value.
pub fn script(profile: &str, pairs: &[Pair], which: usize) -> String {
    let lines = pairs.iter().fold(String::new(), |mut lines, pair| {
        let _ = writeln!(lines, "    {} = {}", pair.name, pair.values[which]);
        lines
    });
    format!("profile {profile} {{\n{lines}}}\n")
}
