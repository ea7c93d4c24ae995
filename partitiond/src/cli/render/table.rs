//! Columns.

/// Rows of cells, each with the width that a terminal gives it.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<(String, usize)>>,
}

impl Table {
    /// A table with a heading, which `paint` makes stand back.
    pub fn with_heading(heading: &[&str], paint: impl Fn(&str) -> String) -> Self {
        let cells = heading.iter().map(|text| (paint(text), text.chars().count())).collect();
        Self { rows: vec![cells] }
    }

    /// A row of plain cells.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.painted(cells.into_iter().map(|cell| (cell.into(), None)));
    }

    /// A row of cells, some of them in colour: then with the text that they show.
    pub fn painted(&mut self, cells: impl IntoIterator<Item = (String, Option<String>)>) {
        let cells = cells.into_iter().map(|(text, painted)| {
            let width = text.chars().count();
            (painted.unwrap_or(text), width)
        });
        self.rows.push(cells.collect());
    }

    /// The text: columns two spaces apart, no spaces at the ends of lines.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|at| {
                let cells = self.rows.iter().filter_map(|row| row.get(at));
                cells.map(|(_, width)| *width).max().unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            let mut gap = 0;
            for ((text, width), column) in row.iter().zip(&widths) {
                if *width > 0 {
                    line.push_str(&" ".repeat(gap));
                    line.push_str(text);
                    gap = 0;
                }
                gap += column - width + 2;
                if *width == 0 {
                    continue;
                }
            }
            out += &line;
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let mut table = Table::with_heading(&["NAME", "STATE", "X"], str::to_owned);
        table.painted([
            ("a".to_owned(), None),
            ("up".to_owned(), Some("\x1b[32mup\x1b[0m".to_owned())),
            ("1".to_owned(), None),
        ]);
        table.row(["longer", "", "2"]);
        let expected = "NAME    STATE  X\na       \x1b[32mup\x1b[0m     1\nlonger         2\n";
        assert_eq!(table.render(), expected);
    }
}
