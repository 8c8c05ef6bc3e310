//! What people read: aligned columns, and times as they are spoken of.

use std::fmt::Write as _;

/// Left-aligned columns, two blanks apart; the last one is never padded.
pub(crate) struct Table<'a> {
    headings: &'a [&'a str],
    rows: Vec<Vec<String>>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(headings: &'a [&'a str]) -> Table<'a> {
        Table { headings, rows: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn row(&mut self, cells: &[&str]) {
        // What comes from the network must not steer the terminal.
        self.rows.push(cells.iter().map(|cell| cell.replace(char::is_control, "?")).collect());
    }
}

impl std::fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.headings[column].len()]).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..self.headings.len()).map(width).collect();
        let headings: Vec<String> = self.headings.iter().map(|&heading| heading.to_owned()).collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:width$}  ");
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A past time as `5m ago`; without one `never`.
pub(crate) fn ago(time: Option<&str>) -> String {
    match time.map(|time| (time, seconds_from_now(time))) {
        None => "never".to_owned(),
        Some((_, Some(seconds))) => format!("{} ago", rough(-seconds)),
        Some((time, None)) => time.to_owned(),
    }
}

/// A future time as `in 5m`; without one `-`.
pub(crate) fn ahead(time: Option<&str>) -> String {
    match time.map(|time| (time, seconds_from_now(time))) {
        None => "-".to_owned(),
        Some((_, Some(seconds))) if seconds <= 0 => "now".to_owned(),
        Some((_, Some(seconds))) => format!("in {}", rough(seconds)),
        Some((time, None)) => time.to_owned(),
    }
}

fn seconds_from_now(time: &str) -> Option<i64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.as_second() - jiff::Timestamp::now().as_second())
}

/// The two largest units, which is what one look can take in.
fn rough(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}
