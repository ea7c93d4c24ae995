//! Unpacking of whatever Debian packs with.
//!
//! Every reader here is bounded in memory, whatever the bytes say: xz by [`XZ_MEMORY`], zstd by its
//! decoder's largest window (128 MiB), gzip by its format. The size of the output is for the caller
//! to bound; [`decompress`] does it for bytes in memory.

use std::io::{self, BufRead, BufReader, Cursor, Read};

/// The most memory that unpacking of xz data may take, in bytes. `xz -9` needs 65 MiB, and Linux
/// packs its image with a dictionary of 32 MiB (`scripts/xz_wrap.sh`).
pub const XZ_MEMORY: u64 = 256 << 20;

/// How some bytes are packed, told by their first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not packed, or in a way that is not in this list.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// xz.
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
    /// LZ4 in its legacy frame, as `lz4 -l` writes it and Linux reads it.
    Lz4Legacy,
    /// bzip2; told apart, not unpacked.
    Bzip2,
    /// LZMA alone; told apart, not unpacked.
    Lzma,
    /// LZO; told apart, not unpacked.
    Lzo,
}

/// Why bytes cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum CompressError {
    /// A format that this builder cannot unpack.
    #[error("packed with {0:?}, which is not supported; repack it with gzip, xz, lz4 or zstd")]
    Unsupported(Compression),
    /// The output is larger than it may be.
    #[error("unpacks to more than {0} bytes; it is damaged or made to do harm")]
    TooLarge(u64),
    /// The bytes are not what their first bytes promise.
    #[error("damaged {format:?} data: {source}")]
    Damaged {
        /// What they claim to be.
        format: Compression,
        /// What the decoder says.
        source: io::Error,
    },
}

impl Compression {
    /// Tells the format by its magic number.
    pub fn detect(bytes: &[u8]) -> Self {
        const MAGIC: [(&[u8], Compression); 7] = [
            (&[0x1f, 0x8b], Compression::Gzip),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Compression::Xz),
            (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
            (&[0x02, 0x21, 0x4c, 0x18], Compression::Lz4Legacy),
            (b"BZh", Compression::Bzip2),
            (&[0x5d, 0, 0], Compression::Lzma),
            (&[0x89, b'L', b'Z', b'O'], Compression::Lzo),
        ];
        MAGIC
            .iter()
            .find(|(magic, _)| bytes.starts_with(magic))
            .map_or(Compression::None, |(_, format)| *format)
    }
}

/// A reader of what `input` unpacks to. Trailing bytes behind xz and LZ4 data are left alone (Linux
/// puts the unpacked size there); gzip members and zstd frames behind each other are one stream.
///
/// # Errors
///
/// [`CompressError::Unsupported`] for formats that are only told apart. Damage shows as an error of
/// the reader.
pub fn reader<'a, R: Read + 'a>(
    format: Compression,
    input: R,
) -> Result<Box<dyn Read + 'a>, CompressError> {
    Ok(match format {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(input)),
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)
                .map_err(|error| CompressError::Damaged { format, source: error.into() })?;
            Box::new(liblzma::read::XzDecoder::new_stream(input, stream))
        }
        Compression::Zstd => Box::new(ZstdFrames { state: Zstd::Between(BufReader::new(input)) }),
        Compression::Lz4Legacy => Box::new(Lz4Legacy::new(input)),
        Compression::Bzip2 | Compression::Lzma | Compression::Lzo => {
            return Err(CompressError::Unsupported(format));
        }
    })
}

/// A reader of what `input` unpacks to, the format told by its first bytes.
///
/// # Errors
///
/// As [`reader`], and where `input` cannot be read.
pub fn detecting_reader<'a, R: Read + 'a>(
    input: R,
) -> Result<(Compression, Box<dyn Read + 'a>), CompressError> {
    let mut input = BufReader::new(input);
    let format = input
        .fill_buf()
        .map(Compression::detect)
        .map_err(|source| CompressError::Damaged { format: Compression::None, source })?;
    Ok((format, reader(format, input)?))
}

/// Unpacks `bytes`, at most `limit` bytes of output.
///
/// # Errors
///
/// Every variant of [`CompressError`].
pub fn decompress(bytes: &[u8], limit: u64) -> Result<Vec<u8>, CompressError> {
    let format = Compression::detect(bytes);
    let mut output = Vec::new();
    let read = reader(format, bytes)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut output)
        .map_err(|source| CompressError::Damaged { format, source })?;
    if read as u64 > limit {
        return Err(CompressError::TooLarge(limit));
    }
    Ok(output)
}

fn damaged(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

/// Zstandard frames and skippable frames behind each other.
struct ZstdFrames<R: Read> {
    state: Zstd<R>,
}

type ZstdFrame<R> = ruzstd::decoding::StreamingDecoder<
    io::Chain<Cursor<[u8; 4]>, BufReader<R>>,
    ruzstd::decoding::FrameDecoder,
>;

enum Zstd<R: Read> {
    Between(BufReader<R>),
    Inside(Box<ZstdFrame<R>>),
    End,
}

impl<R: Read> ZstdFrames<R> {
    /// Opens the next frame, `Zstd::End` behind the last.
    fn open(mut input: BufReader<R>) -> io::Result<Zstd<R>> {
        loop {
            if input.fill_buf()?.is_empty() {
                return Ok(Zstd::End);
            }
            let mut magic = [0; 4];
            input.read_exact(&mut magic)?;
            // Skippable frames: RFC 8878, section 3.1.2.
            if u32::from_le_bytes(magic) & 0xffff_fff0 == 0x184d_2a50 {
                let mut length = [0; 4];
                input.read_exact(&mut length)?;
                let length = u64::from(u32::from_le_bytes(length));
                if io::copy(&mut (&mut input).take(length), &mut io::sink())? != length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                continue;
            }
            if Compression::detect(&magic) != Compression::Zstd {
                // Linux puts the unpacked size behind the frame; other bytes are none of ours.
                return Ok(Zstd::End);
            }
            let decoder = ruzstd::decoding::StreamingDecoder::new(Cursor::new(magic).chain(input))
                .map_err(|error| damaged(error.to_string()))?;
            return Ok(Zstd::Inside(Box::new(decoder)));
        }
    }
}

impl<R: Read> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, Zstd::End) {
                Zstd::End => return Ok(0),
                Zstd::Between(input) => self.state = Self::open(input)?,
                Zstd::Inside(mut frame) => match frame.read(buffer)? {
                    0 => self.state = Zstd::Between(frame.into_inner().into_inner().1),
                    read => {
                        self.state = Zstd::Inside(frame);
                        return Ok(read);
                    }
                },
            }
        }
    }
}

/// The legacy LZ4 frame: a magic number, then blocks of at most 8 MiB unpacked, each behind its
/// packed size (`lib/decompress_unlz4.c` in Linux).
struct Lz4Legacy<R> {
    input: R,
    started: bool,
    ended: bool,
    block: Vec<u8>,
    taken: usize,
}

impl<R: Read> Lz4Legacy<R> {
    const MAGIC: u32 = 0x184c_2102;
    const BLOCK: usize = 8 << 20;
    /// The most that a block takes that cannot be packed: LZ4_compressBound.
    const PACKED: usize = Self::BLOCK + Self::BLOCK / 255 + 16;

    fn new(input: R) -> Self {
        Self { input, started: false, ended: false, block: Vec::new(), taken: 0 }
    }

    /// A little-endian `u32`, `None` where the input ends before it.
    fn word(&mut self) -> io::Result<Option<u32>> {
        let mut bytes = Vec::with_capacity(4);
        (&mut self.input).take(4).read_to_end(&mut bytes)?;
        Ok(bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)))
    }

    fn next_block(&mut self) -> io::Result<()> {
        if !self.started {
            self.started = true;
            if self.word()? != Some(Self::MAGIC) {
                return Err(damaged("no LZ4 legacy magic number"));
            }
        }
        self.block.clear();
        self.taken = 0;
        let Some(mut size) = self.word()? else {
            self.ended = true;
            return Ok(());
        };
        if size == Self::MAGIC {
            match self.word()? {
                Some(next) => size = next,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let size = size as usize;
        let mut packed = Vec::new();
        if size <= Self::PACKED {
            (&mut self.input).take(size as u64).read_to_end(&mut packed)?;
        }
        if packed.len() != size || size == 0 {
            // The word was no block's size. Linux puts the unpacked size behind the last block, and
            // nothing behind that: only there is it the end.
            self.ended = true;
            let nothing_behind = packed.is_empty() && self.word()?.is_none();
            return if nothing_behind { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        self.block = lz4_flex::block::decompress(&packed, Self::BLOCK)
            .map_err(|error| damaged(error.to_string()))?;
        Ok(())
    }
}

impl<R: Read> Read for Lz4Legacy<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.ended && self.taken == self.block.len() {
            self.next_block()?;
        }
        let rest = self.block.get(self.taken..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), rest.get(..length)) {
            to.copy_from_slice(from);
        }
        self.taken += length;
        Ok(length)
    }
}
