//! Which files count, and in which order.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::import::error::{ImportError, Problem};
use crate::import::files::{FileKind, Files};

/// More files are not read in one run.
const MOST_FILES: usize = 1024;

/// The files of folders, sorted by their names whatever the folder, of each name the first folder's; then
/// the files that were named themselves.
pub fn files(paths: &[PathBuf], files: &dyn Files) -> Result<Vec<PathBuf>, ImportError> {
    let mut errors = ImportError::default();
    let mut by_name: BTreeMap<String, Option<PathBuf>> = BTreeMap::new();
    let mut named = Vec::new();
    for path in paths {
        match files.kind(path) {
            Some(FileKind::Directory) => match files.names(path) {
                Ok(names) => {
                    // As systemd does: hidden files and those without the ending do not count.
                    let names = names.into_iter();
                    for name in
                        names.filter(|name| name.ends_with(".conf") && !name.starts_with('.'))
                    {
                        let file = path.join(&name);
                        let off = files.kind(&file) == Some(FileKind::Null);
                        by_name.entry(name).or_insert((!off).then_some(file));
                    }
                }
                Err(problem) => errors.push(problem),
            },
            Some(FileKind::Null) => {}
            _ => named.push(path.clone()),
        }
    }
    errors.into_result()?;
    let mut all: Vec<PathBuf> = by_name.into_values().flatten().collect();
    all.extend(named);
    match (all.is_empty(), paths.first()) {
        (true, Some(path)) => Err(Problem::Empty(path.clone()).into()),
        _ if all.len() > MOST_FILES => {
            let first = paths.first().cloned().unwrap_or_default();
            Err(Problem::TooMany(first, MOST_FILES).into())
        }
        _ => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Memory;

    #[test]
    fn names_decide_the_order_and_folders_the_precedence() {
        let memory = Memory::new(&[
            ("/etc/sysctl.d/50-b.conf", ""),
            ("/usr/lib/sysctl.d/10-a.conf", ""),
            ("/usr/lib/sysctl.d/50-b.conf", ""),
            ("/usr/lib/sysctl.d/90-c.conf", ""),
            ("/usr/lib/sysctl.d/README", ""),
            ("/etc/sysctl.conf", ""),
        ]);
        let paths = ["/etc/sysctl.conf", "/etc/sysctl.d", "/usr/lib/sysctl.d"].map(PathBuf::from);
        let found = files(&paths, &memory).unwrap();
        let found: Vec<&str> = found.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            found,
            [
                "/usr/lib/sysctl.d/10-a.conf",
                "/etc/sysctl.d/50-b.conf",
                "/usr/lib/sysctl.d/90-c.conf",
                "/etc/sysctl.conf",
            ]
        );
    }

    #[test]
    fn a_folder_without_such_files_is_told() {
        let memory = Memory::new(&[("/x/README", "")]);
        let error = files(&["/x".into()], &memory).unwrap_err();
        assert!(error.to_string().contains("no file that ends in .conf"), "{error}");
    }
}
