//! Which kernel modules to load, and in which order.
//!
//! The image holds `/lib/modules/RELEASE/modules.order-closure`, one line per module: `name: path
//! need need…`: its path relative to the file's directory, and the names of the modules that it needs
//! itself. Every module stands behind those that it needs.

use std::collections::BTreeMap;

/// The file's name inside `/lib/modules/RELEASE`.
pub const FILE: &str = "modules.order-closure";

/// Why modules cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModulesError {
    /// a line without a name or path
    #[error("{FILE}, line {0}: expected `name: path need…`")]
    Line(usize),
    /// a path that leaves the directory
    #[error("{FILE}, line {0}: the path leaves the modules' directory")]
    Path(usize),
    /// a need that no line above has
    #[error("{FILE}, line {0}: `{1}` does not stand above it")]
    Order(usize, String),
}

/// What the image knows of its modules.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ModuleList {
    /// In the order of the file.
    modules: Vec<Module>,
    /// Where each name stands in `modules`.
    places: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Module {
    path: String,
    /// Where what it needs stands: always further up.
    needs: Vec<usize>,
}

impl ModuleList {
    /// Reads the file's text.
    ///
    /// # Errors
    ///
    /// A line that is none.
    pub fn parse(text: &str) -> Result<Self, ModulesError> {
        let mut list = Self::default();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let number = index + 1;
            let (name, rest) = line.split_once(':').ok_or(ModulesError::Line(number))?;
            let mut words = rest.split_ascii_whitespace();
            let path = words.next().ok_or(ModulesError::Line(number))?;
            if path.starts_with('/') || path.split('/').any(|component| component == "..") {
                return Err(ModulesError::Path(number));
            }
            let needs = words.map(|need| {
                let place = list.places.get(&normalise(need)).copied();
                place.ok_or_else(|| ModulesError::Order(number, need.to_owned()))
            });
            let needs = needs.collect::<Result<_, _>>()?;
            list.places.insert(normalise(name.trim()), list.modules.len());
            list.modules.push(Module { path: path.to_owned(), needs });
        }
        Ok(list)
    }

    /// The files to load for these modules, in order, none twice: each behind those that it needs,
    /// otherwise as they are wanted. And the names that the image does not have.
    pub fn order<'a>(&'a self, wanted: &'a [String]) -> (Vec<&'a str>, Vec<&'a str>) {
        let mut paths: Vec<&str> = Vec::new();
        let mut missing = Vec::new();
        let mut done = vec![false; self.modules.len()];
        for name in wanted {
            let Some(place) = self.places.get(&normalise(name)) else {
                missing.push(name.as_str());
                continue;
            };
            // Everything that this one needs, also through others: needs stand above, so one walk
            // up the file finds them.
            let mut needed = vec![false; place + 1];
            if let Some(own) = needed.last_mut() {
                *own = true;
            }
            for (at, module) in self.modules.iter().enumerate().take(place + 1).rev() {
                if needed.get(at) == Some(&true) {
                    for need in &module.needs {
                        if let Some(need) = needed.get_mut(*need) {
                            *need = true;
                        }
                    }
                }
            }
            let places = self.modules.iter().zip(&mut done).zip(needed);
            for ((module, done), _) in places.filter(|(_, needed)| *needed) {
                if !std::mem::replace(done, true) {
                    paths.push(&module.path);
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

    const LIST: &str = "virtio: kernel/virtio.ko\n\
                        virtio_ring: kernel/virtio_ring.ko virtio\n\
                        net-failover: kernel/net_failover.ko\n\
                        virtio_net: kernel/net/virtio_net.ko net_failover virtio_ring\n";

    #[test]
    fn what_is_needed_is_loaded_first_and_once() {
        let list = ModuleList::parse(LIST).unwrap();
        let wanted = ["net_failover".to_owned(), "virtio-net".into(), "nfit".into()];
        let (paths, missing) = list.order(&wanted);
        assert_eq!(
            paths,
            [
                "kernel/net_failover.ko",
                "kernel/virtio.ko",
                "kernel/virtio_ring.ko",
                "kernel/net/virtio_net.ko"
            ]
        );
        assert_eq!(missing, ["nfit"]);
        assert_eq!(list.order(&["virtio".to_owned()]), (vec!["kernel/virtio.ko"], vec![]));
    }

    #[test]
    fn lines_that_are_none_are_errors() {
        assert_eq!(ModuleList::parse("a: b.ko\nc\n"), Err(ModulesError::Line(2)));
        assert_eq!(ModuleList::parse("a:\n"), Err(ModulesError::Line(1)));
        assert_eq!(ModuleList::parse("a: ../../etc/x.ko"), Err(ModulesError::Path(1)));
        assert_eq!(ModuleList::parse("a: /x.ko"), Err(ModulesError::Path(1)));
        assert_eq!(ModuleList::parse("a: a.ko b"), Err(ModulesError::Order(1, "b".into())));
        assert_eq!(ModuleList::parse("a: a.ko a"), Err(ModulesError::Order(1, "a".into())));
    }
}
