//! Binary packages: an `ar` archive (deb(5)) with the files in `data.tar`.

use std::io::{self, Read, Seek, SeekFrom};

use crate::compress::{self, CompressError};

/// Why a package cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// It is something else.
    #[error("not a Debian package: {0}")]
    NotADeb(&'static str),
    /// The files in it are packed in an unknown way.
    #[error("the package's files cannot be unpacked: {0}")]
    Packing(#[from] CompressError),
    /// It cannot be read.
    #[error("the package cannot be read: {0}")]
    Io(#[from] io::Error),
}

const GLOBAL_MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// The tar archive with a package's files, unpacked as it is read.
///
/// # Errors
///
/// Where `deb` is not a package, ends early, or holds its files in a way that is not supported.
pub fn data<'a, R: Read + Seek + 'a>(mut deb: R) -> Result<Box<dyn Read + 'a>, DebError> {
    let mut magic = [0; GLOBAL_MAGIC.len()];
    deb.read_exact(&mut magic)?;
    if &magic != GLOBAL_MAGIC {
        return Err(DebError::NotADeb("it does not begin as an ar archive"));
    }
    loop {
        let mut header = [0; HEADER];
        deb.read_exact(&mut header).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => DebError::NotADeb("it has no data.tar"),
            _ => DebError::Io(error),
        })?;
        let (name, size) = member(&header)?;
        if name.starts_with("data.tar") {
            // The whole member must be there, so that a truncated download says so.
            let start = deb.stream_position()?;
            let end = deb.seek(SeekFrom::End(0))?;
            if end.saturating_sub(start) < size {
                return Err(DebError::NotADeb("it is truncated"));
            }
            deb.seek(SeekFrom::Start(start))?;
            let (_, reader) = compress::detecting_reader(deb.take(size))?;
            return Ok(reader);
        }
        let padded = size.checked_add(size % 2).and_then(|size| i64::try_from(size).ok());
        let padded = padded.ok_or(DebError::NotADeb("a member's size is impossible"))?;
        deb.seek(SeekFrom::Current(padded))?;
    }
}

/// Name and size of a member.
fn member(header: &[u8; HEADER]) -> Result<(&str, u64), DebError> {
    let text = |range: std::ops::Range<usize>| {
        header.get(range).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::trim_end)
    };
    let damaged = DebError::NotADeb("a member's header is damaged");
    let (Some(name), Some(size), Some("`")) = (text(0..16), text(48..58), text(58..60)) else {
        return Err(damaged);
    };
    let size = size.parse().map_err(|_| damaged)?;
    Ok((name.trim_end_matches('/'), size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = GLOBAL_MAGIC.to_vec();
        for (name, contents) in members {
            let size = contents.len();
            bytes
                .extend(format!("{name:<16}0           0     0     100644  {size:<10}`\n").bytes());
            bytes.extend_from_slice(contents);
            if size % 2 == 1 {
                bytes.push(b'\n');
            }
        }
        bytes
    }

    #[test]
    fn the_files_are_found_behind_the_other_members() {
        let deb =
            ar(&[("debian-binary", b"2.0\n"), ("control.tar", b"odd"), ("data.tar", b"files")]);
        let mut read = String::new();
        data(Cursor::new(&deb)).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, "files");
        let cut = &deb[..deb.len() - 2];
        assert!(matches!(data(Cursor::new(cut)), Err(DebError::NotADeb("it is truncated"))));
    }

    #[test]
    fn what_is_no_package_is_refused() {
        assert!(data(Cursor::new(b"\x7fELF........")).is_err());
        let none = ar(&[("debian-binary", b"2.0\n")]);
        assert!(matches!(data(Cursor::new(&none)), Err(DebError::NotADeb("it has no data.tar"))));
        let lzma = ar(&[("data.tar.lzma", &[0x5d, 0, 0, 1])]);
        assert!(matches!(data(Cursor::new(&lzma)), Err(DebError::Packing(_))));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let mut deb = GLOBAL_MAGIC.to_vec();
            deb.extend_from_slice(&bytes);
            if let Ok(mut reader) = data(Cursor::new(&deb)) {
                let _ = io::copy(&mut reader, &mut io::sink());
            }
        }
    }
}
