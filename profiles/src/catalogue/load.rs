//! Reading the data.

use std::collections::BTreeMap;

use ron::extensions::Extensions;
use serde::Deserialize;

use super::Catalogue;
use super::setting::Setting;

/// Settings that belong together: one file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// Heading in the documentation.
    pub title: String,
    /// Where entries without evidence of their own come from.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// The entries.
    pub settings: Vec<Setting>,
}

/// What is wrong with the data.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// not RON, or not of this form
    #[error("profiles/catalogue/{file}.ron: {cause}")]
    Malformed {
        /// The file's name without its ending.
        file: &'static str,
        /// What the reader said, with line and column.
        cause: Box<ron::error::SpannedError>,
    },
    /// two entries of one name
    #[error("profiles/catalogue/{file}.ron: `{name}` is there twice: keep one of the entries")]
    Twice {
        /// The file with the second of them.
        file: &'static str,
        /// The name.
        name: String,
    },
}

macro_rules! areas {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../catalogue/", $name, ".ron")))),*]
    };
}

/// The files of settings, in the order of the documentation.
const AREAS: &[(&str, &str)] = areas![
    "vm",
    "memory",
    "kernel",
    "security",
    "fs",
    "cpu",
    "net_core",
    "tcp",
    "ip",
    "interfaces",
    "mm",
    "block",
    "cgroup",
    "power",
    "devices",
    "boot",
    "modules",
    "netfilter",
    "system"
];

const NOISE: &str = include_str!("../../catalogue/noise.ron");

pub(super) fn read<'a, T: Deserialize<'a>>(
    file: &'static str,
    text: &'a str,
) -> Result<T, LoadError> {
    ron::Options::default()
        .with_default_extension(Extensions::IMPLICIT_SOME)
        .from_str(text)
        .map_err(|cause| LoadError::Malformed { file, cause: Box::new(cause) })
}

/// The catalogue of the compiled-in files.
pub(super) fn built_in() -> Result<Catalogue, LoadError> {
    from_files(AREAS, NOISE)
}

fn from_files(
    files: &[(&'static str, &'static str)],
    noise: &'static str,
) -> Result<Catalogue, LoadError> {
    let mut areas: Vec<Area> = Vec::new();
    let mut names = BTreeMap::new();
    for (file, text) in files {
        let mut area: Area = read(file, text)?;
        for (index, setting) in area.settings.iter_mut().enumerate() {
            setting.fill_in_place();
            if setting.evidence.is_empty() {
                setting.evidence.clone_from(&area.evidence);
            }
            if names.insert(setting.name.clone(), (areas.len(), index)).is_some() {
                return Err(LoadError::Twice { file, name: setting.name.clone() });
            }
        }
        areas.push(area);
    }
    Ok(Catalogue { areas, noise: read("noise", noise)?, names })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"Area(title: "T", evidence: ["e"], settings: [
        Setting(name: "a.b", kind: Integer, doc: "d"),
    ])"#;

    #[test]
    fn fills_in_what_every_entry_has() {
        let catalogue = from_files(&[("one", ONE)], "[]").unwrap();
        let setting = catalogue.get("a.b").unwrap();
        assert_eq!(setting.places.first().unwrap().at.sysctl(), Some("a/b"));
        assert_eq!(setting.evidence, ["e"]);
    }

    #[test]
    fn refuses_what_is_malformed() {
        assert!(matches!(
            from_files(&[("one", ONE), ("two", ONE)], "[]"),
            Err(LoadError::Twice { file: "two", .. })
        ));
        let unknown = r#"Area(title: "T", settings: [Setting(nmae: "a")])"#;
        let error = from_files(&[("one", unknown)], "[]").unwrap_err();
        assert!(error.to_string().contains("one.ron: 1:"), "{error}");
        assert!(from_files(&[("one", ONE)], "[(patterns: 1)]").is_err());
    }
}
