//! The other scripts of a folder: a script may extend profiles of theirs, as with `profile check *.ks`.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use profiles::diagnostic::{FileId, Source};
use profiles::syntax::parse;

/// How many scripts of a folder are looked at.
const MOST_SCRIPTS: usize = 256;

/// What is known of scripts that lie on disk; read again where they have changed.
#[derive(Debug, Default)]
pub struct Neighbours {
    known: HashMap<PathBuf, Known>,
}

#[derive(Debug)]
struct Known {
    stamp: (Option<SystemTime>, u64),
    /// None where it cannot be read.
    script: Option<(Source, BTreeSet<String>)>,
}

impl Neighbours {
    /// The scripts beside `own` that define some of these profiles. `open` tells of those that an editor has
    /// open, which count instead of what lies on disk.
    pub fn defining(
        &mut self,
        own: &Path,
        names: &BTreeSet<String>,
        open: &dyn Fn(&Path) -> Option<Source>,
    ) -> Vec<Source> {
        let mut found = Vec::new();
        for path in scripts_beside(own) {
            let script = match open(&path) {
                Some(source) => Some((defined(&source), source)),
                None => self.on_disk(&path).map(|(source, names)| (names.clone(), source.clone())),
            };
            if let Some((defined, source)) = script
                && !defined.is_disjoint(names)
            {
                found.push(source);
            }
        }
        found
    }

    fn on_disk(&mut self, path: &Path) -> Option<&(Source, BTreeSet<String>)> {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let stamp = (metadata.modified().ok(), metadata.len());
        if self.known.get(path).is_none_or(|known| known.stamp != stamp) {
            let source = Source::read(path).ok();
            let script = source.map(|source| (source.clone(), defined(&source)));
            self.known.insert(path.to_owned(), Known { stamp, script });
        }
        self.known.get(path)?.script.as_ref()
    }
}

/// Sorted, so that the same ones are looked at each time.
fn scripts_beside(own: &Path) -> Vec<PathBuf> {
    let entries = own.parent().and_then(|folder| fs::read_dir(folder).ok());
    let paths = entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "ks") && path != own)
        .collect();
    paths.sort();
    paths.truncate(MOST_SCRIPTS);
    paths
}

fn defined(source: &Source) -> BTreeSet<String> {
    let tree = parse(FileId::default(), source.text()).tree();
    tree.profiles().filter_map(|profile| Some(profile.name()?.text())).collect()
}
