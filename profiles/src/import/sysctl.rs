//! sysctl.d(5): files and folders of `key = value`.

mod line;
mod order;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::emit::{Draft, Drafts};
use super::error::{ImportError, Problem};
use super::files::Files;
use super::find::{self, PATTERN, Target};
use super::item::{Direction, Item, Of, Origin, settled};
use super::kernel_text::Numbers;
use super::remark::{Fate, Place, Remark};
use super::{Options, name};
use crate::catalogue::Catalogue;
use crate::diagnostic::MAX_SCRIPT;
use line::Line;
pub(super) use line::is_plain;
use transaction::glob::matches;

/// More is not read in one run: the script could not hold it.
const MOST_BYTES: usize = 4 * MAX_SCRIPT;

/// More assignments are not taken; a machine has some thousand sysctls.
const MOST_ASSIGNMENTS: usize = 8192;

/// An assignment, and where it stands.
struct Assignment {
    /// Below `/proc/sys`, with `/` between its parts.
    path: String,
    value: String,
    origin: Origin,
}

/// Reads files and folders into one profile.
pub fn import(
    paths: &[PathBuf],
    files: &dyn Files,
    catalogue: &Catalogue,
    options: &Options,
) -> Result<Drafts, ImportError> {
    let sources = order::files(paths, files)?;
    let profile = match &options.name {
        Some(name) => name::made(name, "sysctl"),
        None => profile_name(&sources),
    };
    let (assignments, excluded) = read(&sources, files, &profile)?;
    let mut drafts = Drafts::default();
    let explicit: BTreeSet<&str> = assignments
        .iter()
        .map(|assignment| assignment.path.as_str())
        .filter(|path| !path.contains(PATTERN))
        .collect();
    let mut items = Vec::new();
    for assignment in &assignments {
        if assignment.path.contains(PATTERN) {
            pattern(assignment, &explicit, &excluded, catalogue, &mut items, &mut drafts.remarks);
            continue;
        }
        match one(assignment, catalogue) {
            Ok(item) => items.push(item),
            Err(why) => drafts.remarks.push(assignment.origin.left_out(why)),
        }
    }
    let items = settled(items, catalogue, &mut drafts.remarks);
    let doc = vec![from(&sources)];
    drafts.profiles.push(Draft { name: profile, doc, parents: Vec::new(), items });
    Ok(drafts)
}

/// Which files it was.
fn from(sources: &[PathBuf]) -> String {
    const TOLD: usize = 3;
    let names: Vec<String> =
        sources.iter().take(TOLD).map(|path| path.display().to_string()).collect();
    match sources.len().saturating_sub(TOLD) {
        0 => format!("From {}.", names.join(", ")),
        more => format!("From {} and {more} more.", names.join(", ")),
    }
}

/// `99-database.conf` becomes `database`; several files become `sysctl`.
fn profile_name(sources: &[PathBuf]) -> String {
    let [one] = sources else { return "sysctl".to_owned() };
    let stem = one.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let stem = stem.trim_start_matches(|char: char| char.is_ascii_digit() || char == '-');
    name::made(stem, "sysctl")
}

/// All assignments in the order in which they count, and the paths that patterns leave out.
fn read(
    sources: &[PathBuf],
    files: &dyn Files,
    profile: &str,
) -> Result<(Vec<Assignment>, BTreeSet<String>), ImportError> {
    let (mut assignments, mut excluded) = (Vec::new(), BTreeSet::new());
    let mut errors = ImportError::default();
    let mut bytes = 0;
    for path in sources {
        let text = match files.read(path) {
            Ok(text) => text,
            Err(problem) => {
                errors.push(problem);
                continue;
            }
        };
        bytes += text.len();
        if bytes > MOST_BYTES {
            errors.push(Problem::Script);
            break;
        }
        let file: Arc<Path> = path.as_path().into();
        for (number, text) in (1..).zip(text.lines()) {
            let at = Place::new(&file, number);
            match line::read(text) {
                Ok(None) => {}
                Ok(Some(_)) if assignments.len() + excluded.len() >= MOST_ASSIGNMENTS => {
                    let (most, what) = (MOST_ASSIGNMENTS, "assignments");
                    return Err(Problem::TooMuch { path: path.clone(), most, what }.into());
                }
                Ok(Some(Line::Assigns { path, value })) => {
                    let said = name::shortened(text);
                    let origin = Origin { at, owner: profile.to_owned(), said };
                    assignments.push(Assignment { path, value, origin });
                }
                Ok(Some(Line::Excludes { path })) => {
                    excluded.insert(path);
                }
                Err(wanted) => {
                    let line = crate::diagnostic::quoted(text.trim());
                    errors.push(Problem::Line { at, line, wanted });
                }
            }
        }
    }
    errors.into_result()?;
    Ok((assignments, excluded))
}

/// One key.
fn one(assignment: &Assignment, catalogue: &Catalogue) -> Result<Item, String> {
    let Assignment { path, value, origin } = assignment;
    is_plain(path)?;
    if let Target::Settings(found) = find::of_sysctl(catalogue, path)
        && let Some((setting, of)) = found.into_iter().next()
    {
        let value = (Direction::Exactly, value.as_str());
        return Item::written(setting, of, value, Numbers::C, origin.clone());
    }
    unknown(path, value, origin, catalogue)
}

/// A key that the catalogue has no setting for.
pub(super) fn unknown(
    path: &str,
    value: &str,
    origin: &Origin,
    catalogue: &Catalogue,
) -> Result<Item, String> {
    if value.trim().is_empty() {
        return Err("no value stands here".to_owned());
    }
    let mut item = Item::raw(&format!("/proc/sys/{path}"), value, origin.clone())?;
    let dotted = path.replace('/', ".");
    let noise = catalogue.noise().iter().find(|noise| noise.matches(&dotted));
    item.note = Some(match (noise, catalogue.nearest(&dotted)) {
        (Some(noise), _) => format!("`raw`, as the catalogue leaves it out: {}", noise.why),
        (None, Some(nearest)) => {
            format!("`raw`, as the catalogue does not know it. Was {nearest} meant?")
        }
        (None, None) => "`raw`, as the catalogue does not know it".to_owned(),
    });
    Ok(item)
}

/// Every key that a pattern meets and that has no line of its own.
fn pattern(
    assignment: &Assignment,
    explicit: &BTreeSet<&str>,
    excluded: &BTreeSet<String>,
    catalogue: &Catalogue,
    items: &mut Vec<Item>,
    remarks: &mut Vec<Remark>,
) {
    let Assignment { path, value, origin } = assignment;
    if let Err(why) = is_plain(path) {
        return remarks.push(origin.left_out(why));
    }
    if path.contains('[') {
        let why = "patterns with `[` cannot be said: scripts have `*` and `?`";
        return remarks.push(origin.left_out(why));
    }
    let found = find::of_sysctl_pattern(catalogue, path);
    if found.is_empty() {
        return remarks.push(origin.left_out("it meets nothing that the catalogue knows"));
    }
    let (mut own, mut others) = (0, false);
    for (setting, of, path) in found {
        if explicit.contains(path.as_str()) || excluded.contains(&path) {
            continue;
        }
        own += 1;
        if let Of::Net(patterns) = &of {
            let outside = |excluded: &&String| {
                let parts = path.split('/').zip(excluded.split('/'));
                let device = parts
                    .filter(|(own, _)| patterns.iter().any(|pattern| pattern.as_str() == *own));
                let same = path.split('/').count() == excluded.split('/').count();
                same && excluded.rsplit('/').next() == path.rsplit('/').next()
                    && device.into_iter().any(|(pattern, device)| {
                        !["all", "default"].contains(&device) && matches(pattern, device)
                    })
            };
            if let Some(excluded) = excluded.iter().find(outside) {
                let why = format!("all devices but one ({excluded}) cannot be said");
                remarks.push(origin.left_out(why));
                continue;
            }
        } else {
            others |= of == Of::Everything;
        }
        let weak = matches!(of, Of::Net(_));
        let value = (Direction::Exactly, value.as_str());
        match Item::written(setting, of, value, Numbers::C, origin.clone()) {
            // What one device is told counts for more than what all are told.
            Ok(item) => items.push(Item { weak, ..item }),
            Err(why) => remarks.push(origin.left_out(why)),
        }
    }
    if own == 0 {
        let why = "each key that it meets has a line of its own";
        remarks.push(origin.remark(Fate::Overridden, why));
    } else if others {
        let why = "of what the pattern meets, only what the catalogue knows is in the script";
        remarks.push(origin.remark(Fate::Changed, why));
    }
}
