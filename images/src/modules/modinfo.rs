//! What a module says about itself: the section `.modinfo`, `key=value` with a NUL behind each.

use crate::elf::{self, ElfError};

/// What a module says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modinfo {
    /// Modules whose symbols it uses; loading fails without them.
    pub depends: Vec<String>,
    /// Modules that are to be loaded before it where they exist (`softdep=pre:`).
    pub soft_before: Vec<String>,
    /// The kernel that it was built for, with its options (`vermagic`).
    pub version_magic: String,
}

/// Reads a module.
///
/// # Errors
///
/// [`ElfError`] where it is no ELF file for x86-64, or its tables are damaged.
pub fn parse(module: &[u8]) -> Result<Modinfo, ElfError> {
    let mut info = Modinfo::default();
    let section = elf::section(module, ".modinfo")?;
    for record in section.unwrap_or_default().split(|byte| *byte == 0) {
        let record = String::from_utf8_lossy(record);
        match record.split_once('=') {
            Some(("depends", names)) => {
                let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
                info.depends.extend(names.map(str::to_owned));
            }
            Some(("softdep", text)) => {
                let before = text.split("post:").next().unwrap_or_default();
                if let Some((_, names)) = before.split_once("pre:") {
                    info.soft_before.extend(names.split_whitespace().map(str::to_owned));
                }
            }
            Some(("vermagic", text)) => info.version_magic = text.to_owned(),
            _ => {}
        }
    }
    Ok(info)
}
