//! Which kernel modules to load, and in which order.
//!
//! The image holds `/lib/modules/RELEASE/modules.order-closure`, one line per module: `name: path
//! path…`: the module's own path, which is loaded last, and behind it what it needs,
//! in the order in which that is to be loaded. Paths are relative to the file's directory.

use std::collections::BTreeMap;

/// The file's name inside `/lib/modules/RELEASE`.
pub const FILE: &str = "modules.order-closure";

/// Why modules cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModulesError {
    /// a line without a name or path
    #[error("{FILE}, line {0}: expected `name: path dependency…`")]
    Line(usize),
    /// a path that leaves the directory
    #[error("{FILE}, line {0}: the path leaves the modules' directory")]
    Path(usize),
}

/// What the image knows of its modules.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ModuleList {
    /// For each name, paths in loading order, its own last.
    modules: BTreeMap<String, Vec<String>>,
}

impl ModuleList {
    /// Reads the file's text.
    ///
    /// # Errors
    ///
    /// A line that is none.
    pub fn parse(text: &str) -> Result<Self, ModulesError> {
        let mut modules = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let (name, paths) = line.split_once(':').ok_or(ModulesError::Line(index + 1))?;
            let mut paths = paths.split_ascii_whitespace().map(str::to_owned);
            let own = paths.next().ok_or(ModulesError::Line(index + 1))?;
            let mut order: Vec<String> = paths.collect();
            order.push(own);
            let leaves = |path: &String| {
                path.starts_with('/') || path.split('/').any(|component| component == "..")
            };
            if order.iter().any(leaves) {
                return Err(ModulesError::Path(index + 1));
            }
            modules.insert(normalise(name.trim()), order);
        }
        Ok(Self { modules })
    }

    /// The files to load for these modules, in order, none twice; and the names that the image does
    /// not have.
    pub fn order<'a>(&'a self, wanted: &'a [String]) -> (Vec<&'a str>, Vec<&'a str>) {
        let mut paths: Vec<&str> = Vec::new();
        let mut missing = Vec::new();
        for name in wanted {
            let Some(order) = self.modules.get(&normalise(name)) else {
                missing.push(name.as_str());
                continue;
            };
            for path in order {
                if !paths.contains(&path.as_str()) {
                    paths.push(path);
                }
            }
        }
        (paths, missing)
    }
}

/// `-` and `_` are the same in a module's name.
fn normalise(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "virtio_net: kernel/net/virtio_net.ko kernel/virtio_ring.ko \
                        kernel/net_failover.ko\n\
                        net-failover: kernel/net_failover.ko\n\
                        virtio_ring: kernel/virtio_ring.ko\n";

    #[test]
    fn what_is_needed_is_loaded_first_and_once() {
        let list = ModuleList::parse(LIST).unwrap();
        let wanted = ["net_failover".to_owned(), "virtio-net".into(), "nfit".into()];
        let (paths, missing) = list.order(&wanted);
        assert_eq!(
            paths,
            ["kernel/net_failover.ko", "kernel/virtio_ring.ko", "kernel/net/virtio_net.ko"]
        );
        assert_eq!(missing, ["nfit"]);
    }

    #[test]
    fn lines_that_are_none_are_errors() {
        assert_eq!(ModuleList::parse("a: b.ko\nc\n"), Err(ModulesError::Line(2)));
        assert_eq!(ModuleList::parse("a:\n"), Err(ModulesError::Line(1)));
        assert_eq!(ModuleList::parse("a: ../../etc/x.ko"), Err(ModulesError::Path(1)));
        assert_eq!(ModuleList::parse("a: /x.ko"), Err(ModulesError::Path(1)));
    }
}
