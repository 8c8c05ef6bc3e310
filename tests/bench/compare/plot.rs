//! Two kinds of plots as SVG, readable on a light and on a dark page.

use std::fmt::Write as _;

use crate::report::{count, figure};

const WIDTH: f64 = 770.0;
/// In the order of contenders; each has enough contrast on white and on black.
const COLOURS: [&str; 4] = ["#d9480f", "#1c7ed6", "#2f9e44", "#868e96"];
const STYLE: &str = "<style>text{font:13px system-ui,sans-serif;fill:#444}.grid{stroke:#8886;stroke-width:1}\
    .axis{stroke:#888;stroke-width:1.5}@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>";

fn open(height: f64) -> String {
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\">{STYLE}\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Our figure as a share of the best peer's, on a logarithmic axis; left of the line at 1 is better.
pub(crate) fn bars(ratios: &[(String, f64)]) -> String {
    let (row, left, top) = (22.0, 380.0, 40.0);
    let height = top + row * ratios.len() as f64 + 30.0;
    let right = WIDTH - 60.0;
    let low = ratios.iter().map(|r| r.1).fold(0.1, f64::min).log10().floor();
    let high = ratios.iter().map(|r| r.1).fold(1.0, f64::max).log10().ceil().max(0.5);
    let x = |ratio: f64| left + (ratio.log10() - low) / (high - low) * (right - left);
    let mut svg = open(height);
    let _ =
        writeln!(svg, "<text x=\"8\" y=\"20\">secondaryd : best of Knot and NSD (1 = the same, less is better)</text>");
    let mut power = low;
    while power <= high {
        let at = x(10f64.powf(power));
        let class = if power == 0.0 { "axis" } else { "grid" };
        let bottom = height - 26.0;
        let _ = writeln!(svg, "<line class=\"{class}\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>");
        let label = figure(10f64.powf(power));
        let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", height - 8.0);
        power += 1.0;
    }
    for (index, (what, ratio)) in ratios.iter().enumerate() {
        let y = top + row * index as f64;
        let (from, to) = (x(1.0).min(x(*ratio)), x(1.0).max(x(*ratio)));
        let colour = if *ratio <= 1.0 { COLOURS[2] } else { COLOURS[0] };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text><rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" \
             height=\"14\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left - 8.0,
            y + 14.0,
            escaped(what),
            y + 3.0,
            (to - from).max(1.0),
            to + 6.0,
            y + 14.0,
            figure(*ratio)
        );
    }
    svg + "</svg>\n"
}

/// One line a contender, both axes logarithmic.
pub(crate) fn lines(title: &str, lines: &[(&str, Vec<(f64, f64)>)]) -> String {
    let (left, right, top, bottom, height) = (70.0, WIDTH - 110.0, 40.0, 300.0, 340.0);
    let points = || lines.iter().flat_map(|line| line.1.iter().copied());
    let range = |value: fn((f64, f64)) -> f64| {
        let values = || points().map(value);
        let low = values().fold(f64::INFINITY, f64::min).log10().floor();
        (low, values().fold(0.0, f64::max).log10().ceil().max(low + 1.0))
    };
    let ((x_low, x_high), (y_low, y_high)) = (range(|p| p.0), range(|p| p.1));
    let x = |value: f64| left + (value.log10() - x_low) / (x_high - x_low) * (right - left);
    let y = |value: f64| bottom - (value.log10() - y_low) / (y_high - y_low) * (bottom - top);
    let mut svg = open(height);
    let _ = writeln!(svg, "<text x=\"8\" y=\"20\">{}</text>", escaped(title));
    let mut power = x_low;
    while power <= x_high {
        let at = x(10f64.powf(power));
        let label = count(10f64.powf(power) as usize);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            bottom + 20.0
        );
        power += 1.0;
    }
    power = y_low;
    while power <= y_high {
        let at = y(10f64.powf(power));
        let label = figure(10f64.powf(power));
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            left - 8.0,
            at + 4.0
        );
        power += 1.0;
    }
    let mut taken: Vec<f64> = Vec::new();
    for ((name, points), colour) in lines.iter().zip(COLOURS) {
        let path: Vec<_> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\" points=\"{}\"/>",
            path.join(" ")
        );
        for p in points {
            let _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>", x(p.0), y(p.1));
        }
        // Names do not cover each other.
        let mut at = points.last().map_or(top, |p| y(p.1) + 4.0);
        while taken.iter().any(|other| (other - at).abs() < 15.0) {
            at += 5.0;
        }
        taken.push(at);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{at:.1}\" style=\"fill:{colour};font-weight:600\">{name}</text>",
            right + 8.0
        );
    }
    svg + "</svg>\n"
}
