//! Numbers for people: medians, ratios, tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// The middle one; of an even number the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// The median of each, in the order in which they came first.
pub fn medians_of<T: Ord + Clone>(values: impl Iterator<Item = (T, f64)>) -> Vec<(T, f64)> {
    let mut all: BTreeMap<T, Vec<f64>> = BTreeMap::new();
    let mut order = Vec::new();
    for (what, value) in values {
        if !all.contains_key(&what) {
            order.push(what.clone());
        }
        all.entry(what).or_default().push(value);
    }
    order.into_iter().map(|what| (what.clone(), median(&all[&what]))).collect()
}

/// Seconds of each.
pub fn seconds(durations: &[Duration]) -> Vec<f64> {
    durations.iter().map(Duration::as_secs_f64).collect()
}

/// The median of the ratios of pairs that were measured next to each other. What slows the whole
/// machine for a while slows both of a pair.
pub fn paired_ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    median(&ratios)
}

/// Median, least and most.
pub fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("{:.2} s ({least:.2} to {most:.2})", median(values))
}

/// A figure beside its goal.
pub fn against(goal: f64, figure: f64) -> String {
    let verdict = if figure <= goal { "met" } else { "**not met**" };
    format!("at most {goal}×: {verdict}")
}

/// A table in Markdown.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings.
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(str::to_owned).to_vec()] }
    }

    /// One row more.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// As text, its columns aligned.
    pub fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, "| {cell:<width$} ");
            }
            text.push_str("|\n");
            if number == 0 {
                for width in &widths {
                    let _ = write!(text, "|{}", "-".repeat(width + 2));
                }
                text.push_str("|\n");
            }
        }
        text
    }
}
