//! The modules of a kernel that an image carries.
//!
//! They stand uncompressed under `lib/modules/RELEASE/`, beside a file that says how they are
//! loaded, `modules.order-closure`, so that guest-init needs neither depmod nor aliases:
//!
//! ```text
//! virtio_ring: kernel/drivers/virtio/virtio_ring.ko
//! virtio: kernel/drivers/virtio/virtio.ko virtio_ring
//! virtio_blk: kernel/drivers/block/virtio_blk.ko virtio virtio_ring
//! ```
//!
//! A line for each module: its name (with `_` for every `-`), a colon, its path relative to the
//! file's own directory, and the names of all modules that it needs directly, in any order. Every
//! module stands behind those that it needs: whoever loads from top to bottom never fails for a
//! missing one; whoever wants one module loads what its line names, and what their lines name,
//! first.

mod modinfo;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::compress::{self, CompressError};
use crate::cpio::Meta;
use crate::elf::ElfError;
use crate::tree::{Kind, Tree, TreeError};
pub use modinfo::{Modinfo, parse as parse_modinfo};

/// The largest module, unpacked, in bytes. (amdgpu has 25 MiB.)
pub const MAX_MODULE: u64 = 256 << 20;

/// The name of the file that says how modules are loaded.
pub const CLOSURE: &str = "modules.order-closure";

/// Stands in a definition's `modules` for those that a host needs which is to be divided itself.
pub const HOST_SET: &str = "@host";

/// Why a kernel's modules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    /// A name with characters that no module has.
    #[error("{0:?} is no module's name: letters, digits, `_` and `-` only")]
    Name(String),
    /// A module cannot be unpacked.
    #[error("module {0} cannot be unpacked: {1}")]
    Packing(String, CompressError),
    /// A module is no ELF file.
    #[error("module {0} cannot be read: {1}")]
    Elf(String, ElfError),
    /// A module needs another that is not there.
    #[error(
        "module {0} needs module {1}, which this kernel does not have; its files are incomplete"
    )]
    Incomplete(String, String),
    /// Modules that need each other.
    #[error("module {0} needs itself, through others; its files are damaged")]
    Circle(String),
    /// A definition names a module that there is not.
    #[error("kernel {release} has no module {name}, which the definition names under `modules`")]
    Absent {
        /// The kernel's release.
        release: String,
        /// The module.
        name: String,
    },
    /// A definition names modules, and none are at hand.
    #[error(
        "the definition names modules to load, but not where they are: write File(path: \"…\", modules: \"DIRECTORY\")"
    )]
    NoDirectory,
    /// A module larger than any.
    #[error("module {0} has more than {MAX_MODULE} bytes")]
    TooLarge(String),
    /// The list that comes with this builder is damaged.
    #[error("the builder's own list of modules cannot be read: {0}")]
    List(String),
    /// The tree with the modules.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Which modules images carry: `modules.ron`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sets {
    /// Every partition's.
    pub guest: Vec<String>,
    /// A host's.
    pub host: Vec<String>,
}

/// The sets that come with this builder.
///
/// # Errors
///
/// [`ModulesError::List`]; a test keeps that from happening.
pub fn sets() -> Result<Sets, ModulesError> {
    ron::from_str(include_str!("../modules.ron"))
        .map_err(|error| ModulesError::List(error.to_string()))
}

/// What became of the modules that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Those that are carried, in load order, with those that they need.
    pub carried: Vec<String>,
    /// Asked for and built into the kernel.
    pub builtin: Vec<String>,
    /// Asked for, and this kernel does not have them.
    pub absent: Vec<String>,
}

/// A module that is carried.
struct Chosen {
    /// Path below the directory of modules, without the compression's ending.
    path: String,
    needs: Vec<String>,
    contents: Vec<u8>,
}

impl Selection {
    /// Which of the modules that a definition asks for are left to be loaded, in its order.
    ///
    /// # Errors
    ///
    /// [`ModulesError::Absent`], [`ModulesError::Name`].
    pub fn to_load(&self, asked: &[String], release: &str) -> Result<Vec<String>, ModulesError> {
        let mut load = Vec::new();
        for name in asked.iter().filter(|name| *name != HOST_SET) {
            let name = canonical(name)?;
            if self.absent.contains(&name) {
                return Err(ModulesError::Absent { release: release.to_owned(), name });
            }
            if !self.builtin.contains(&name) && !load.contains(&name) {
                load.push(name);
            }
        }
        Ok(load)
    }
}

/// Copies the modules called `wanted`, and all that they need, from directory `from` of a tree (the
/// one with `kernel` in it) to directory `to` of another, and writes [`CLOSURE`] there.
///
/// # Errors
///
/// Every variant of [`ModulesError`] but `List`, `Absent` and `NoDirectory`.
pub fn select(
    source: &Tree,
    from: &str,
    wanted: &[String],
    target: &mut Tree,
    to: &str,
) -> Result<Selection, ModulesError> {
    let available = available(source, from);
    let builtin = builtin(source, from)?;
    let mut selection = Selection::default();
    let mut chosen = BTreeMap::new();
    for name in wanted {
        let name = canonical(name)?;
        if available.contains_key(&*name) {
            choose(source, &available, &builtin, &name, &mut chosen, &mut selection.carried)?;
        } else if builtin.contains(&name) {
            selection.builtin.push(name);
        } else {
            selection.absent.push(name);
        }
    }
    let mut closure = String::new();
    target.directory(to, Meta::root(0o755))?;
    for name in &selection.carried {
        let Some(module) = chosen.remove(name) else { continue };
        target.bytes(&format!("{to}/{}", module.path), Meta::root(0o644), &module.contents)?;
        closure.push_str(&format!("{name}: {}", module.path));
        for need in &module.needs {
            closure.push(' ');
            closure.push_str(need);
        }
        closure.push('\n');
    }
    target.bytes(&format!("{to}/{CLOSURE}"), Meta::root(0o644), closure.as_bytes())?;
    for list in [&mut selection.builtin, &mut selection.absent] {
        list.sort();
        list.dedup();
    }
    Ok(selection)
}

/// A module's name with `_` for `-`, as the kernel has it.
fn canonical(name: &str) -> Result<String, ModulesError> {
    if !is_name(name) {
        return Err(ModulesError::Name(name.chars().take(64).collect()));
    }
    Ok(name.replace('-', "_"))
}

/// Whether a text can be a module's name: 1 to 63 letters, digits, `_` and `-`.
pub fn is_name(text: &str) -> bool {
    (1..64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// The name of the module in a file, `None` where the file is none.
fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    canonical(strip_packing(file).strip_suffix(".ko")?).ok()
}

fn strip_packing(path: &str) -> &str {
    [".xz", ".zst", ".gz"].iter().find_map(|ending| path.strip_suffix(ending)).unwrap_or(path)
}

/// Module files in a tree, by name: path in the tree and path below `from`.
fn available<'a>(tree: &'a Tree, from: &str) -> BTreeMap<String, (&'a str, &'a str)> {
    let inside = format!("{from}/");
    tree.entries()
        .filter(|(_, entry)| matches!(entry.kind, Kind::File(_)))
        .filter_map(|(path, _)| {
            let below = path.strip_prefix(&inside)?;
            Some((module_name(below)?, (path, strip_packing(below))))
        })
        .collect()
}

/// The names in `modules.builtin`.
fn builtin(tree: &Tree, from: &str) -> Result<BTreeSet<String>, ModulesError> {
    const LIMIT: u64 = 16 << 20;
    let text = tree.read(&format!("{from}/modules.builtin"), LIMIT)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).lines().filter_map(module_name).collect())
}

/// Adds a module behind all that it needs.
fn choose(
    tree: &Tree,
    available: &BTreeMap<String, (&str, &str)>,
    builtin: &BTreeSet<String>,
    name: &str,
    chosen: &mut BTreeMap<String, Chosen>,
    order: &mut Vec<String>,
) -> Result<(), ModulesError> {
    // Modules whose needs are being added, each with those that are still to be looked at.
    let mut path: Vec<(String, Vec<String>)> = Vec::new();
    let mut next = Some(name.to_owned());
    loop {
        if let Some(name) = next.take() {
            if path.iter().any(|(above, _)| *above == name) {
                return Err(ModulesError::Circle(name));
            }
            if !chosen.contains_key(&name) {
                let module = load(tree, available, builtin, &name)?;
                let mut needs = module.needs.clone();
                needs.reverse();
                chosen.insert(name.clone(), module);
                path.push((name, needs));
            }
        }
        match path.last_mut() {
            None => return Ok(()),
            Some((_, needs)) if !needs.is_empty() => next = needs.pop(),
            Some(_) => order.extend(path.pop().map(|(name, _)| name)),
        }
    }
}

fn load(
    tree: &Tree,
    available: &BTreeMap<String, (&str, &str)>,
    builtin: &BTreeSet<String>,
    name: &str,
) -> Result<Chosen, ModulesError> {
    let Some((path, below)) = available.get(name) else {
        return Err(ModulesError::Incomplete(name.to_owned(), name.to_owned()));
    };
    let packed = tree.read(path, MAX_MODULE)?;
    let packed = packed.ok_or_else(|| ModulesError::TooLarge(name.to_owned()))?;
    let contents = compress::decompress(&packed, MAX_MODULE)
        .map_err(|error| ModulesError::Packing(name.to_owned(), error))?;
    let info =
        modinfo::parse(&contents).map_err(|error| ModulesError::Elf(name.to_owned(), error))?;
    let mut needs = Vec::new();
    for need in &info.depends {
        let need = canonical(need)?;
        if available.contains_key(&need) {
            needs.push(need);
        } else if !builtin.contains(&need) {
            return Err(ModulesError::Incomplete(name.to_owned(), need));
        }
    }
    // Soft ones are loaded first where they exist; they may be names of algorithms, too.
    let soft = info.soft_before.iter().filter_map(|need| canonical(need).ok());
    needs.extend(soft.filter(|need| available.contains_key(need) && need != name));
    let mut seen = BTreeSet::new();
    needs.retain(|need| seen.insert(need.clone()));
    Ok(Chosen { path: (*below).to_owned(), needs, contents })
}

#[cfg(test)]
pub(crate) mod tests;
