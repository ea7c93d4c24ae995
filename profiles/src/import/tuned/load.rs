//! Profiles with everything that they include.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::FILE;
use super::unit::{Profile, Setting, names};
use super::variables::Variables;
use crate::import::Options;
use crate::import::error::{ImportError, Problem};
use crate::import::files::{FileKind, Files};
use crate::import::remark::Remark;

/// How many profiles one run reads.
const MOST: usize = 128;
/// How deep includes go.
const DEEPEST: usize = 32;
/// How many options all of them have; Debian's profiles have some 300.
const MOST_OPTIONS: usize = 4096;

/// Profiles by name, with the names of those that each includes itself.
#[derive(Debug, Default)]
pub struct Loaded {
    pub profiles: BTreeMap<String, (Profile, Vec<String>)>,
    /// Those that were asked for.
    pub wanted: Vec<String>,
    pub remarks: Vec<Remark>,
}

struct Loader<'a> {
    files: &'a dyn Files,
    options: &'a Options,
    loaded: Loaded,
    errors: ImportError,
    /// From the profile that was asked for to where the walk is.
    path: Vec<String>,
    /// Options so far.
    read: usize,
}

/// Reads profiles, and those that they include.
pub fn load(
    paths: &[PathBuf],
    files: &dyn Files,
    options: &Options,
) -> Result<Loaded, ImportError> {
    let mut loader = Loader {
        files,
        options,
        loaded: Loaded::default(),
        errors: ImportError::default(),
        path: Vec::new(),
        read: 0,
    };
    for path in paths {
        let file = match files.kind(path) {
            Some(FileKind::Directory) => path.join(FILE),
            _ => path.clone(),
        };
        let name = folder_name(&file);
        if !loader.loaded.profiles.contains_key(&name) {
            loader.profile(&name, &file);
        }
        loader.loaded.wanted.push(name);
    }
    loader.errors.into_result()?;
    Ok(loader.loaded)
}

/// The name of a profile is that of its folder.
fn folder_name(file: &Path) -> String {
    let folder = file.parent().and_then(Path::file_name);
    folder.map_or_else(|| "imported".to_owned(), |name| name.to_string_lossy().into_owned())
}

impl Loader<'_> {
    fn profile(&mut self, name: &str, file: &Path) {
        let too_much = |most, what| Problem::TooMuch { path: file.to_owned(), most, what };
        if self.loaded.profiles.len() >= MOST {
            return self.errors.push(too_much(MOST, "profiles"));
        }
        if self.path.len() >= DEEPEST {
            return self
                .errors
                .push(too_much(DEEPEST, "profiles that include each other in a row"));
        }
        let text = match self.files.read(file) {
            Ok(text) => text,
            Err(problem) => return self.errors.push(problem),
        };
        let profile = Profile::read(name, file, &text, &mut self.errors);
        let options = |unit: &super::unit::Unit| unit.options.len() + 1;
        self.read += profile.units.iter().map(options).sum::<usize>() + profile.main.len();
        if self.read > MOST_OPTIONS {
            return self.errors.push(too_much(MOST_OPTIONS, "options"));
        }
        let include = profile.include.clone();
        // Known before its parents are, so that a profile that is included twice is read once.
        self.loaded.profiles.insert(name.to_owned(), (profile, Vec::new()));
        let Some(include) = include else { return };
        self.path.push(name.to_owned());
        let parents = self.parents(&include, file);
        self.path.pop();
        if let Some((_, own)) = self.loaded.profiles.get_mut(name) {
            *own = parents;
        }
    }

    /// Reads what a profile includes.
    fn parents(&mut self, include: &Setting, file: &Path) -> Vec<String> {
        // Only functions are known here: TuneD has read no variables yet.
        let mut variables = Variables::default();
        let Ok(text) = variables.expand(&include.value, &include.origin) else {
            let at = include.origin.at.clone();
            let most = super::variables::LONGEST;
            self.errors.push(Problem::Expansion { at, name: include.name.clone(), most });
            return Vec::new();
        };
        self.loaded.remarks.append(&mut variables.remarks);
        let mut parents: Vec<String> = Vec::new();
        let included = names(&text);
        if included.len() > MOST {
            let what = "profiles";
            self.errors.push(Problem::TooMuch { path: file.to_owned(), most: MOST, what });
            return parents;
        }
        for name in included {
            if let Some(why) = variables.symbols.unknown(&name) {
                self.loaded.remarks.push(include.origin.left_out(why));
                continue;
            }
            // `-name` is for a profile that may be missing.
            let (name, optional) =
                name.strip_prefix('-').map_or((name.as_str(), false), |name| (name, true));
            let name = Path::new(name).file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            if self.parent(&name, optional, include, file) && !parents.contains(&name) {
                parents.push(name);
            }
        }
        parents
    }

    /// Whether there is such a profile; it is read if it was not yet.
    fn parent(&mut self, name: &str, optional: bool, include: &Setting, file: &Path) -> bool {
        if let Some(at) = self.path.iter().position(|above| above == name) {
            let mut circle: Vec<String> = self.path.iter().skip(at).cloned().collect();
            circle.push(name.to_owned());
            let (at, name) = (include.origin.at.clone(), name.to_owned());
            self.errors.push(Problem::Circle { at, name, circle });
            return false;
        }
        if self.loaded.profiles.contains_key(name) {
            return true;
        }
        let beside = match file.parent().and_then(Path::parent) {
            Some(beside) => beside.to_owned(),
            None => PathBuf::from(".."),
        };
        let folders = [beside].into_iter().chain(self.options.search.iter().cloned());
        let looked: Vec<PathBuf> = folders.map(|folder| folder.join(name).join(FILE)).collect();
        let found =
            looked.iter().find(|path| self.files.kind(path) == Some(FileKind::File)).cloned();
        match found {
            Some(path) => {
                self.profile(name, &path);
                true
            }
            None if optional => {
                let why = format!("there is no profile `{name}` here, and it may be missing");
                self.loaded.remarks.push(include.origin.left_out(why));
                false
            }
            None => {
                let at = include.origin.at.clone();
                let looked = looked
                    .into_iter()
                    .filter_map(|path| path.parent()?.parent().map(Path::to_owned));
                let mut looked: Vec<PathBuf> = looked.collect();
                looked.dedup();
                self.errors.push(Problem::NoProfile { at, name: name.to_owned(), looked });
                false
            }
        }
    }
}

impl Loaded {
    /// A profile behind everything that it includes, each once, in TuneD's order.
    pub fn order(&self, name: &str) -> Vec<&Profile> {
        fn visit<'l>(
            loaded: &'l Loaded,
            name: &str,
            seen: &mut Vec<String>,
            out: &mut Vec<&'l Profile>,
        ) {
            if seen.iter().any(|known| known == name) {
                return;
            }
            seen.push(name.to_owned());
            let Some((profile, parents)) = loaded.profiles.get(name) else { return };
            for parent in parents {
                visit(loaded, parent, seen, out);
            }
            out.push(profile);
        }
        let (mut seen, mut out) = (Vec::new(), Vec::new());
        visit(self, name, &mut seen, &mut out);
        out
    }
}
