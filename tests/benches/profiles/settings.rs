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

/// As many as there are, of those whose file is there and reads back what was written; which `try_values`
/// says, given a file: its value, if it takes that one more as well.
pub fn harmless(
    kernel: &str,
    wanted: usize,
    candidates: &mut dyn FnMut(&[String]) -> Vec<i64>,
) -> Vec<Pair> {
    let catalogue = Catalogue::built_in().expect("a catalogue");
    let kernel: Kernel = kernel.parse().expect("a kernel");
    let plain = catalogue.settings().filter_map(|setting| Some((setting, path(setting, &kernel)?)));
    let plain: Vec<(&Setting, String)> = plain.collect();
    let paths: Vec<String> = plain.iter().map(|(_, path)| path.clone()).collect();
    let values = candidates(&paths);
    let pairs = plain.into_iter().zip(values).filter(|(_, value)| *value >= 0);
    let pairs = pairs.map(|((setting, path), value)| Pair {
        name: setting.name.clone(),
        path,
        values: [value, value + 1],
    });
    let mut pairs: Vec<Pair> = pairs.filter(|pair| is_safe(pair, catalogue, &kernel)).collect();
    pairs.truncate(wanted);
    pairs
}

/// The file of a setting that is a plain number below `/proc/sys`, and of which nothing special is known.
fn path(setting: &Setting, kernel: &Kernel) -> Option<String> {
    let plain = setting.kind == Kind::Integer
        && setting.class == Class::Runtime
        && setting.reads == Reads::Same
        && setting.order == Order::Any
        && setting.couples.is_empty()
        && setting.modules.is_empty();
    let Presence::Present(place) = kernel.find(setting) else { return None };
    let Where::File(path) = Where::of(&place.at, None) else { return None };
    let path = path.strip_prefix("/proc/sys/").filter(|_| plain)?;
    (path.replace('/', ".") == setting.name).then(|| format!("/proc/sys/{path}"))
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
