//! Places as editors count them: lines from 0, and UTF-16 units in a line.

use lsp_types::{Position, Range};

/// A text whose lines are known.
#[derive(Clone, Debug)]
pub struct Lines {
    text: String,
    starts: Vec<usize>,
}

impl Lines {
    /// The lines of a text.
    pub fn of(text: String) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { starts: starts.collect(), text }
    }

    /// Puts text in place of some bytes. (Offsets of [`offset`](Self::offset) are never within a character.)
    pub fn replace(&mut self, range: std::ops::Range<usize>, text: &str) {
        let mut whole = std::mem::take(&mut self.text);
        if whole.get(range.clone()).is_some() {
            whole.replace_range(range, text);
        }
        *self = Self::of(whole);
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of a byte.
    pub fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Position { line: number(line), character: number(before.encode_utf16().count()) }
    }

    /// The place of some bytes.
    pub fn range(&self, range: std::ops::Range<usize>) -> Range {
        Range { start: self.position(range.start), end: self.position(range.end) }
    }

    /// The byte at a place; of a place behind a line's end, that end.
    pub fn offset(&self, position: Position) -> usize {
        let line = position.line as usize;
        let Some(start) = self.starts.get(line).copied() else { return self.text.len() };
        let end = self.starts.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let text = self.text.get(start..end).unwrap_or_default();
        let text = text.strip_suffix('\r').unwrap_or(text);
        let mut units = 0;
        for (at, char) in text.char_indices() {
            if units >= position.character as usize {
                return start + at;
            }
            units += char.len_utf16();
        }
        start + text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_go_there_and_back() {
        let lines = Lines::of("é = 1\n𝄞x\n".to_owned());
        let at = |line, character| Position { line, character };
        assert_eq!(lines.position(0), at(0, 0));
        assert_eq!(lines.position(2), at(0, 1));
        assert_eq!(lines.position("é = 1\n𝄞".len()), at(1, 2));
        for offset in [0, 2, 3, 7, 11, 12, 13] {
            if lines.text().is_char_boundary(offset) {
                assert_eq!(lines.offset(lines.position(offset)), offset, "{offset}");
            }
        }
        assert_eq!(lines.offset(at(0, 99)), 6);
        assert_eq!(lines.offset(at(99, 0)), lines.text().len());
        assert_eq!(Lines::of("a\r\nb".to_owned()).offset(at(0, 9)), 1);
        // Half a character is the place behind it.
        assert_eq!(lines.offset(at(1, 1)), "é = 1\n𝄞".len());
    }
}
