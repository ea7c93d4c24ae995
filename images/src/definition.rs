//! What an image is made from: the text that people write.
//!
//! ```
//! let definition: images::definition::Definition = ron::from_str(
//!     r#"(kernel: Debian("linux-image-rt-amd64", "bookworm-backports"), rootfs: Minimal)"#,
//! )?;
//! assert_eq!(definition.rootfs, images::definition::RootfsSource::Minimal);
//! # Ok::<(), ron::error::SpannedError>(())
//! ```

use std::fmt;
use std::path::PathBuf;

use serde::de::{EnumAccess, SeqAccess, VariantAccess, Visitor};
use serde::ser::SerializeTupleVariant as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What an image is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Where the kernel comes from.
    pub kernel: KernelSource,
    /// Where the root file system comes from.
    pub rootfs: RootfsSource,
    /// Words for the kernel's command line.
    #[serde(default)]
    pub cmdline: String,
    /// The profile for a partition that names none.
    #[serde(default)]
    pub profile: Option<String>,
    /// What the partition runs. Behind them comes what an OCI image itself would run.
    #[serde(default)]
    pub workloads: Vec<protocol::Workload>,
    /// Modules beside those that every image has, by name; those that they need come along.
    #[serde(default)]
    pub modules: Vec<String>,
}

/// Where a kernel comes from.
///
/// In RON: `Host`, `File("vmlinuz")`, `File("vmlinuz", "lib/modules/6.1.0")`,
/// `Debian("linux-image-cloud-amd64")`, `Debian("linux-image-rt-amd64", "bookworm-backports")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelSource {
    /// The kernel that runs here: `/boot/vmlinuz-RELEASE` and its modules.
    Host,
    /// A file: a bzImage or an uncompressed ELF file.
    File {
        /// The file.
        path: PathBuf,
        /// The directory with its modules, the one that has `kernel` and `modules.builtin` in it.
        /// Without it the image has no modules.
        modules: Option<PathBuf>,
    },
    /// A package of Debian's.
    Debian {
        /// Its name, that of a package which depends on it, or `linux-image-6.12-cloud-amd64` for
        /// the newest of a series.
        package: String,
        /// The suite, which includes its updates. Without it, that of this machine, then its
        /// backports.
        suite: Option<String>,
    },
}

/// Where a root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootfsSource {
    /// guest-init and busybox.
    Minimal,
    /// A directory, as it is at the time.
    Directory(PathBuf),
    /// A tar archive, packed with gzip, xz, zstd or not at all.
    Tar(PathBuf),
    /// An OCI image layout: a directory with `oci-layout` and `index.json`.
    Oci(PathBuf),
}

const VARIANTS: &[&str] = &["Host", "File", "Debian"];

#[derive(Deserialize)]
#[serde(variant_identifier)]
enum Variant {
    Host,
    File,
    Debian,
}

/// One value or two.
struct OneOrTwo(&'static str);

impl<'de> Visitor<'de> for OneOrTwo {
    type Value = (String, Option<String>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let first = sequence.next_element()?;
        let first = first.ok_or_else(|| serde::de::Error::invalid_length(0, &self))?;
        Ok((first, sequence.next_element()?))
    }
}

struct KernelVisitor;

impl<'de> Visitor<'de> for KernelVisitor {
    type Value = KernelSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "Host, File(\"vmlinuz\"), File(\"vmlinuz\", \"modules\"), Debian(\"package\") or \
             Debian(\"package\", \"suite\")",
        )
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<KernelSource, A::Error> {
        match access.variant()? {
            (Variant::Host, contents) => contents.unit_variant().map(|()| KernelSource::Host),
            (Variant::File, contents) => {
                let names = OneOrTwo("a kernel's file, and the directory with its modules");
                let (path, modules) = contents.tuple_variant(2, names)?;
                Ok(KernelSource::File { path: path.into(), modules: modules.map(PathBuf::from) })
            }
            (Variant::Debian, contents) => {
                let names = OneOrTwo("a package's name, and its suite");
                let (package, suite) = contents.tuple_variant(2, names)?;
                Ok(KernelSource::Debian { package, suite })
            }
        }
    }
}

impl<'de> Deserialize<'de> for KernelSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("KernelSource", VARIANTS, KernelVisitor)
    }
}

impl Serialize for KernelSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn fields<S: Serializer, A: Serialize + ?Sized, B: Serialize>(
            serializer: S,
            (index, name): (u32, &'static str),
            first: &A,
            second: Option<&B>,
        ) -> Result<S::Ok, S::Error> {
            let count = 1 + usize::from(second.is_some());
            let mut tuple =
                serializer.serialize_tuple_variant("KernelSource", index, name, count)?;
            tuple.serialize_field(first)?;
            if let Some(second) = second {
                tuple.serialize_field(second)?;
            }
            tuple.end()
        }
        match self {
            KernelSource::Host => serializer.serialize_unit_variant("KernelSource", 0, "Host"),
            KernelSource::File { path, modules } => {
                fields(serializer, (1, "File"), path, modules.as_ref())
            }
            KernelSource::Debian { package, suite } => {
                fields(serializer, (2, "Debian"), package, suite.as_ref())
            }
        }
    }
}

/// The most bytes that a definition's text may have.
pub const MAX_TEXT: usize = 1 << 20;

/// Why a text is no definition.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// More text than anyone writes.
    #[error("a definition of {0} bytes: at most {MAX_TEXT} are read")]
    TooLong(usize),
    /// RON's own words, with line and column.
    #[error("line {}, column {}: {}", .0.span.start.line, .0.span.start.col, .0.code)]
    Ron(Box<ron::error::SpannedError>),
}

impl Definition {
    /// Reads a definition.
    ///
    /// # Errors
    ///
    /// [`DefinitionError`].
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        if text.len() > MAX_TEXT {
            return Err(DefinitionError::TooLong(text.len()));
        }
        ron::from_str(text).map_err(|error| DefinitionError::Ron(Box::new(error)))
    }
}

/// The definitions that come with partitiond, by name.
pub const SHIPPED: &[(&str, &str)] = &[
    ("host", include_str!("../definitions/host.ron")),
    ("linux-5.10-cloud", include_str!("../definitions/linux-5.10-cloud.ron")),
    ("linux-6.1-cloud", include_str!("../definitions/linux-6.1-cloud.ron")),
    ("linux-6.12-cloud", include_str!("../definitions/linux-6.12-cloud.ron")),
    ("linux-6.12-rt", include_str!("../definitions/linux-6.12-rt.ron")),
    ("linux-7.2-cloud", include_str!("../definitions/linux-7.2-cloud.ron")),
];

/// A definition that comes with partitiond, by its name.
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(text: &str) -> Result<KernelSource, ron::error::SpannedError> {
        ron::from_str(text)
    }

    #[test]
    fn every_form_of_a_kernel_is_read_and_written() {
        let debian = |package: &str, suite: Option<&str>| KernelSource::Debian {
            package: package.to_owned(),
            suite: suite.map(str::to_owned),
        };
        let file = |path: &str, modules: Option<&str>| KernelSource::File {
            path: path.into(),
            modules: modules.map(PathBuf::from),
        };
        let forms = [
            ("Host", KernelSource::Host),
            (r#"File("a")"#, file("a", None)),
            (r#"File("a","b")"#, file("a", Some("b"))),
            (r#"Debian("a")"#, debian("a", None)),
            (r#"Debian("a","b")"#, debian("a", Some("b"))),
        ];
        for (text, source) in forms {
            assert_eq!(kernel(text).unwrap(), source);
            assert_eq!(ron::to_string(&source).unwrap(), text);
            let json = serde_json::to_string(&source).unwrap();
            assert_eq!(serde_json::from_str::<KernelSource>(&json).unwrap(), source);
        }
        for bad in ["File()", r#"Debian("a","b","c")"#, "Debian(3)", "Other", r#"Host("x")"#] {
            assert!(kernel(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_fields_are_refused_with_their_place() {
        let error = Definition::parse("(kernel: Host,\n rootfs: Minimal, colour: 3)").unwrap_err();
        assert!(error.to_string().starts_with("line 2"), "{error}");
        assert!(error.to_string().contains("colour"), "{error}");
        let long = format!("(kernel: Host, cmdline: \"{}\")", "x".repeat(MAX_TEXT));
        assert!(matches!(Definition::parse(&long), Err(DefinitionError::TooLong(_))));
    }

    #[test]
    fn the_shipped_definitions_are_proper() {
        for (name, text) in SHIPPED {
            assert!(Definition::parse(text).is_ok(), "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = Definition::parse(&text);
            let _ = Definition::parse(&format!("(kernel: {text}, rootfs: {text})"));
        }
    }
}
