//! The standard library: profiles that come with the product.
//!
//! They lie in `profiles/std/*.ks`. A script that extends one need not say where it is; a script's own
//! profile of the same name takes its place.

use std::path::Path;

use crate::composition::Library;
use crate::diagnostic::{Diagnostic, Source, Sources};
use crate::script::Script;

macro_rules! scripts {
    ($($name:literal),* $(,)?) => {
        /// Name and text of each, sorted.
        pub const SCRIPTS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../std/", $name, ".ks")))),*];
    };
}

scripts![
    "analytics",
    "build-farm",
    "container-node",
    "desktop",
    "hpc",
    "key-value",
    "latency",
    "network-edge",
    "oltp",
    "powersave",
    "realtime",
    "server",
    "throughput",
    "trading",
    "web-front",
];

/// The script of the standard profile of this name.
pub fn script(name: &Path) -> Option<Source> {
    let name = name.to_str()?;
    let (name, text) = SCRIPTS.iter().find(|(known, _)| *known == name)?;
    Some(Source::new(&format!("std/{name}.ks"), text))
}

/// Whether a source is a script of this library, and not a file of the same name.
pub fn is_standard(source: &Source) -> bool {
    let name = source.name().strip_prefix("std/").and_then(|name| name.strip_suffix(".ks"));
    SCRIPTS.iter().any(|(known, text)| Some(*known) == name && *text == source.text())
}

/// Adds those standard profiles that a library speaks of and does not have.
pub fn complete(library: &mut Library, sources: &mut Sources, diagnostics: &mut Vec<Diagnostic>) {
    loop {
        let missing = library.missing();
        let wanted = SCRIPTS.iter().filter(|(name, _)| missing.contains(*name));
        let wanted: Vec<_> = wanted.collect();
        if wanted.is_empty() {
            return;
        }
        for (name, text) in wanted {
            let file = sources.add(Source::new(&format!("std/{name}.ks"), text));
            let read = Script::read(file, text);
            diagnostics.extend(read.diagnostics);
            library.add_standard(read.script, diagnostics);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Catalogue, Flavour, matrix};
    use crate::composition::Arguments;
    use crate::diagnostic::render;
    use crate::expression::Value;
    use crate::facts::Facts;
    use crate::resolution::{Present, Request, resolve};
    use crate::syntax::{fmt, parse};
    use crate::typing;

    fn all() -> (Library, Sources) {
        let (mut library, mut sources) = (Library::default(), Sources::new());
        let mut diagnostics = Vec::new();
        for (name, text) in SCRIPTS {
            let file = sources.add(Source::new(name, text));
            let read = Script::read(file, text);
            diagnostics.extend(read.diagnostics);
            library.add(read.script, &mut diagnostics);
        }
        library.check(&mut diagnostics);
        typing::check(&library, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{}", render::render(&diagnostics, &sources, false));
        (library, sources)
    }

    #[test]
    fn each_holds_one_profile_of_its_name_with_words_about_it() {
        assert!(SCRIPTS.is_sorted());
        let (library, _) = all();
        for (name, text) in SCRIPTS {
            let profile = library.profile(name).unwrap_or_else(|| panic!("{name}"));
            for word in ["Gains:", "Costs:"] {
                assert!(profile.doc.contains(word), "{name} does not say its {word}");
            }
            let parse = parse(crate::diagnostic::FileId::default(), text);
            assert_eq!(fmt::format(&parse).unwrap(), *text, "{name} is not in canonical form");
        }
        assert_eq!(library.profiles().count(), SCRIPTS.len());
    }

    #[test]
    fn each_is_right_on_every_kernel() {
        let (library, sources) = all();
        let mut wrong = String::new();
        for (name, _) in SCRIPTS {
            for member in matrix().unwrap() {
                if *name == "realtime" && member.flavour != Flavour::Rt {
                    continue;
                }
                let kernel = member.kernel().with_options();
                assert!(!kernel.config.is_empty(), "{kernel}");
                let mut facts = Facts::of_kernel(kernel.clone()).with_cpus(4).with_memory(4 << 30);
                for (fact, value) in [
                    ("tasks.maximum", Value::Number(400)),
                    ("memory.available", Value::bytes(3 << 30)),
                    ("net.routes", Value::Flag(false)),
                ] {
                    facts.know(fact, value);
                }
                let resolution = resolve(&Request {
                    library: &library,
                    profile: name,
                    arguments: &Arguments::new(),
                    facts: &facts,
                    present: &Present::default(),
                    catalogue: Catalogue::built_in().unwrap(),
                })
                .unwrap();
                let told = render::render(&resolution.diagnostics, &sources, false);
                if !told.is_empty() {
                    wrong += &format!("{name} on {kernel}:\n{told}\n");
                }
                assert!(resolution.settings.len() > 5, "{name} on {kernel}");
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }

    #[test]
    fn what_a_script_extends_is_found() {
        let (mut library, mut sources) = (Library::default(), Sources::new());
        let mut diagnostics = Vec::new();
        let text = "profile mine extends oltp {}";
        let file = sources.add(Source::new("mine.ks", text));
        library.add(Script::read(file, text).script, &mut diagnostics);
        complete(&mut library, &mut sources, &mut diagnostics);
        library.check(&mut diagnostics);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        assert_eq!(library.family("mine").unwrap().members.len(), 3);
    }
}
