//! The chart: how many times as good each metric is with the profile, on a logarithmic scale, so that twice
//! as good and half as good are as long.

use std::fmt::Write as _;

use crate::document::number;
use crate::experiment::{Measured, Metric};

/// In pixels: the width of the picture, where bars may be, how high a row and a heading are.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 330.0;
const RIGHT: f64 = 880.0;
const TOP: f64 = 96.0;
const ROW: f64 = 19.0;
const HEADING: f64 = 22.0;
const BAR: f64 = 12.0;
/// The scale's ends, and the lines on it.
const LEAST: f64 = 1.0 / 20.0;
const MOST: f64 = 50.0;
const LINES: [f64; 9] = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0];

const GAINED: &str = "#2b6cb0";
const HARMED: &str = "#c05621";

/// The picture.
pub fn svg(all: &[Measured]) -> String {
    let rows: usize = all.iter().map(|measured| 1 + measured.experiment.harmed.len()).sum();
    let bottom = TOP + rows as f64 * ROW + all.len() as f64 * (HEADING + 4.0);
    let height = bottom + 34.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    text(
        &mut svg,
        16.0,
        26.0,
        "start",
        "#1a202c",
        "Profiles against the kernel's default",
        Some(17),
    );
    let told = "times as good, median of five; the thin line is from the least to the most of the five pairs";
    text(&mut svg, 16.0, 46.0, "start", "#4a5568", told, None);
    for (x, colour, what) in [(16.0, GAINED, "what it is for"), (130.0, HARMED, "what it may harm")]
    {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"58\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"
        );
        text(&mut svg, x + 18.0, 68.0, "start", "#1a202c", what, None);
    }
    for line in LINES {
        let x = place(line);
        let (colour, width) = if line == 1.0 { ("#1a202c", 1.5) } else { ("#e2e8f0", 1.0) };
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"{colour}\" \
             stroke-width=\"{width}\"/>"
        );
        let label =
            if line < 1.0 { format!("1/{:.0}", 1.0 / line) } else { format!("{line:.0}×") };
        text(&mut svg, x, TOP - 6.0, "middle", "#4a5568", &label, None);
        text(&mut svg, x, bottom + 16.0, "middle", "#4a5568", &label, None);
    }
    text(&mut svg, place(0.2), bottom + 30.0, "middle", HARMED, "← worse", None);
    text(&mut svg, place(5.0), bottom + 30.0, "middle", GAINED, "better →", None);
    let mut y = TOP + 4.0;
    for measured in all {
        let experiment = measured.experiment;
        text(&mut svg, 16.0, y + 14.0, "start", "#1a202c", experiment.title, Some(13));
        y += HEADING;
        bar(&mut svg, y, measured, &experiment.gained, GAINED);
        y += ROW;
        for metric in experiment.harmed {
            bar(&mut svg, y, measured, metric, HARMED);
            y += ROW;
        }
        y += 4.0;
    }
    svg + "</svg>\n"
}

fn bar(svg: &mut String, y: f64, measured: &Measured, metric: &Metric, colour: &str) {
    let series = measured.of(metric);
    let factor = series.factor(metric.better);
    let factors = series.factors(metric.better);
    let least = factors.iter().copied().fold(f64::INFINITY, f64::min);
    let most = factors.iter().copied().fold(0.0, f64::max);
    let middle = y + ROW / 2.0;
    text(svg, LEFT - 12.0, middle + 4.0, "end", "#2d3748", metric.title, None);
    if !factor.is_finite() {
        return text(
            svg,
            place(1.0) + 6.0,
            middle + 4.0,
            "start",
            colour,
            "nothing to compare",
            None,
        );
    }
    let (one, end) = (place(1.0), place(factor));
    let _ = writeln!(
        svg,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>",
        one.min(end),
        middle - BAR / 2.0,
        (end - one).abs().max(1.0),
    );
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\" stroke=\"#1a202c\" \
         stroke-width=\"1\"/>",
        place(least),
        place(most),
    );
    let label = format!("{}×", number(factor));
    let (x, anchor) = match factor < 1.0 {
        true => (end.min(place(least)) - 5.0, "end"),
        false => (end.max(place(most)) + 5.0, "start"),
    };
    text(svg, x, middle + 4.0, anchor, colour, &label, None);
}

/// Where a factor is, from left to right. What is beyond the scale is at its end.
fn place(factor: f64) -> f64 {
    let share = (factor.clamp(LEAST, MOST) / LEAST).ln() / (MOST / LEAST).ln();
    LEFT + share * (RIGHT - LEFT)
}

fn text(
    svg: &mut String,
    x: f64,
    y: f64,
    anchor: &str,
    colour: &str,
    text: &str,
    bold: Option<u32>,
) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('`', "");
    let style =
        bold.map_or(String::new(), |size| format!(" font-size=\"{size}\" font-weight=\"bold\""));
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\"{style}>{text}</text>"
    );
}
