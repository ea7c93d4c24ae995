//! Lines out of a stream.

/// The longest piece of a line, in bytes.
pub const LINE: usize = 4096;

/// Splits a stream into lines; holds at most one unfinished line of [`LINE`] bytes.
#[derive(Debug, Default)]
pub struct LineSplitter {
    held: Vec<u8>,
}

impl LineSplitter {
    /// Takes bytes as they come and gives each line, without its end, to `line`. Longer lines come
    /// in pieces.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(Vec<u8>)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (mut text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            while self.held.len() + text.len() > LINE {
                let (fits, rest) = text.split_at(LINE - self.held.len());
                self.held.extend_from_slice(fits);
                text = rest;
                line(std::mem::take(&mut self.held));
            }
            self.held.extend_from_slice(text);
            if ends {
                line(std::mem::take(&mut self.held));
            }
        }
    }

    /// The stream has ended: what is left over, where there is something.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        (!self.held.is_empty()).then(|| std::mem::take(&mut self.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.push(piece, |line| lines.push(line));
        }
        lines.extend(splitter.finish());
        lines
    }

    #[test]
    fn lines_are_put_together_and_taken_apart() {
        assert_eq!(split(&[b"one\ntw", b"o\n\nthree"]), [&b"one"[..], b"two", b"", b"three"]);
        assert_eq!(split(&[]), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_long_line_comes_in_pieces() {
        let long = vec![b'x'; 2 * LINE + 5];
        let lengths: Vec<usize> = split(&[&long, b"\n"]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [LINE, LINE, 5]);
    }

    proptest::proptest! {
        #[test]
        fn no_byte_is_lost(stream: Vec<u8>, cut in 1_usize..50) {
            let pieces: Vec<&[u8]> = stream.chunks(cut).collect();
            let mut joined = split(&pieces).join(&b'\n');
            if stream.last() == Some(&b'\n') {
                joined.push(b'\n');
            }
            proptest::prop_assert_eq!(joined, stream);
        }
    }
}
