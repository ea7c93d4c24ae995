//! What stands before an entry of a tar archive and adds to its header: GNU's long names, pax records.

use std::io::Read;

use tar::EntryType;

use super::ArchiveError;
use crate::cpio::Meta;
use crate::tree::TreeError;

/// The most bytes of a long name or of pax records.
const MAX_EXTENSION: u64 = 1 << 20;

/// An entry's header with its extensions applied.
pub struct Header {
    pub path: String,
    pub link: String,
    pub kind: EntryType,
    pub meta: Meta,
    pub device: (u32, u32),
}

/// What stands before an entry and adds to its header.
#[derive(Default)]
pub struct Extensions {
    path: Option<String>,
    link: Option<String>,
    uid: Option<u64>,
    gid: Option<u64>,
    size: Option<u64>,
    sparse: bool,
}

impl Extensions {
    /// Takes an entry that is an extension; tells whether it was one.
    pub fn take<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<bool, ArchiveError> {
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => self.path = Some(text(contents(entry)?)?),
            EntryType::GNULongLink => self.link = Some(text(contents(entry)?)?),
            EntryType::XHeader => {
                let records = contents(entry)?;
                for record in tar::PaxExtensions::new(&records) {
                    let record = record?;
                    let key = record.key().unwrap_or_default();
                    let value = || text(record.value_bytes().to_vec());
                    let number = || record.value().ok().and_then(|value| value.parse().ok());
                    match key {
                        "path" => self.path = Some(value()?),
                        "linkpath" => self.link = Some(value()?),
                        "uid" => self.uid = number(),
                        "gid" => self.gid = number(),
                        "size" => self.size = number(),
                        key if key.starts_with("GNU.sparse.") => self.sparse = true,
                        _ => {}
                    }
                }
            }
            // Records for all entries: comments, in practice.
            EntryType::XGlobalHeader => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub fn apply<R: Read>(self, entry: &tar::Entry<'_, R>) -> Result<Header, ArchiveError> {
        let header = entry.header();
        let path = match self.path {
            Some(path) => path,
            None => text(header.path_bytes().into_owned())?,
        };
        let link = match self.link {
            Some(link) => link,
            None => {
                text(header.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default())?
            }
        };
        if self.sparse {
            return Err(ArchiveError::Unsupported(path, "a sparse file"));
        }
        if self.size.is_some_and(|size| header.entry_size().ok() != Some(size)) {
            return Err(ArchiveError::Unsupported(path, "a file of 8 GiB or more"));
        }
        let id = |own: Option<u64>, header: std::io::Result<u64>| -> Result<u32, ArchiveError> {
            let value = match own {
                Some(value) => value,
                None => header?,
            };
            u32::try_from(value)
                .map_err(|_| ArchiveError::Unsupported(path.clone(), "an owner beyond 32 bits"))
        };
        let meta = Meta {
            mode: header.mode()? & 0o7777,
            uid: id(self.uid, header.uid())?,
            gid: id(self.gid, header.gid())?,
        };
        let device = (
            header.device_major().ok().flatten().unwrap_or(0),
            header.device_minor().ok().flatten().unwrap_or(0),
        );
        Ok(Header { path, link, kind: header.entry_type(), meta, device })
    }
}

fn contents<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, ArchiveError> {
    let size = entry.header().entry_size()?;
    if size > MAX_EXTENSION {
        return Err(ArchiveError::LongExtension(size));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A name, without the NUL that may end it.
fn text(mut bytes: Vec<u8>) -> Result<String, ArchiveError> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|error| {
        TreeError::Name(String::from_utf8_lossy(error.as_bytes()).chars().take(200).collect())
            .into()
    })
}
