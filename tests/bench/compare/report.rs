//! What was measured: rows, the table of a run, and its plots.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::contender::Who;

/// One kind of figure of one contender at one size.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What was measured, as the table says it.
    pub(crate) what: &'static str,
    /// Unit of the values; less is better in all of them.
    pub(crate) unit: &'static str,
    /// Records or zones.
    pub(crate) size: usize,
    pub(crate) who: Who,
    /// One a repetition.
    pub(crate) values: Vec<f64>,
}

/// All rows of a run, in the order in which they came to be.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds one value; says it at once, for whoever waits.
    pub(crate) fn add(&mut self, what: &'static str, unit: &'static str, size: usize, who: Who, value: f64) {
        println!("{:10}  {what} ({size}): {} {unit}", who.name(), figure(value));
        let same = self.rows.iter_mut().find(|row| (row.what, row.size, row.who) == (what, size, who));
        match same {
            Some(row) => row.values.push(value),
            None => self.rows.push(Row { what, unit, size, who, values: vec![value] }),
        }
    }

    /// [`Report::add`] for what only a server that keeps its zones can be asked for; the floor's is left out.
    pub(crate) fn add_kept(&mut self, what: &'static str, unit: &'static str, size: usize, who: Who, value: f64) {
        if who != Who::Floor {
            self.add(what, unit, size, who, value);
        }
    }

    /// Every figure is there for every contender, and is a number.
    pub(crate) fn assert_complete(&self, contenders: &[Who]) {
        assert!(self.rows.len() > 20, "{} rows", self.rows.len());
        for (what, _, size) in self.kinds() {
            for who in contenders {
                let value = self.median(what, size, *who);
                assert!(value.is_some_and(f64::is_finite), "{what} ({size}) of {}: {value:?}", who.name());
            }
        }
    }

    /// Every kind of figure with its size, in order.
    fn kinds(&self) -> Vec<(&'static str, &'static str, usize)> {
        let mut kinds = Vec::new();
        for row in &self.rows {
            if !kinds.contains(&(row.what, row.unit, row.size)) {
                kinds.push((row.what, row.unit, row.size));
            }
        }
        kinds
    }

    fn median(&self, what: &str, size: usize, who: Who) -> Option<f64> {
        let row = self.rows.iter().find(|row| (row.what, row.size, row.who) == (what, size, who))?;
        let mut values = row.values.clone();
        values.sort_by(f64::total_cmp);
        Some(values[values.len() / 2])
    }

    /// Medians as a table in Markdown, with our share of the best peer's figure.
    pub(crate) fn table(&self, contenders: &[Who]) -> String {
        let mut text = String::from("| what | size | unit |");
        contenders.iter().for_each(|who| write!(text, " {} |", who.name()).expect("text"));
        text.push_str(" ours : best peer |\n| --- | ---: | --- |");
        contenders.iter().for_each(|_| text.push_str(" ---: |"));
        text.push_str(" ---: |\n");
        for (what, unit, size) in self.kinds() {
            write!(text, "| {what} | {} | {unit} |", count(size)).expect("text");
            for who in contenders {
                match self.median(what, size, *who) {
                    Some(value) => write!(text, " {} |", figure(value)).expect("text"),
                    None => text.push_str(" - |"),
                }
            }
            match self.ratio(what, size) {
                Some(ratio) => writeln!(text, " {} |", figure(ratio)).expect("text"),
                None => text.push_str(" - |\n"),
            }
        }
        text
    }

    fn ratio(&self, what: &str, size: usize) -> Option<f64> {
        let peers = [Who::Knot, Who::Nsd].into_iter().filter_map(|who| self.median(what, size, who));
        let best = peers.filter(|value| *value > 0.0).min_by(f64::total_cmp)?;
        Some(self.median(what, size, Who::Ours)? / best)
    }

    /// Writes `table.md`, `values.csv`, `ratios.svg` and a plot for each kind of figure that was measured at several
    /// sizes.
    pub(crate) fn write(&self, directory: &Path, contenders: &[Who]) -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("table.md"), self.table(contenders))?;
        std::fs::write(directory.join("values.csv"), self.values())?;
        let ratios = self.kinds().into_iter().filter_map(|(what, _, size)| {
            Some((format!("{what}, {}", count(size)), self.ratio(what, size).filter(|ratio| *ratio > 0.0)?))
        });
        std::fs::write(directory.join("ratios.svg"), crate::plot::bars(&ratios.collect::<Vec<_>>()))?;
        for (what, (unit, sizes)) in self.growing() {
            let line = |who: Who| {
                let points = sizes.iter().filter_map(|&size| Some((size as f64, self.median(what, size, who)?)));
                (who.name(), points.filter(|point| point.1 > 0.0).collect::<Vec<_>>())
            };
            let lines: Vec<_> = contenders.iter().map(|who| line(*who)).filter(|line| line.1.len() > 1).collect();
            if lines.is_empty() {
                continue;
            }
            let name: String = what.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            let svg = crate::plot::lines(&format!("{what} ({unit})"), &lines);
            std::fs::write(directory.join(format!("growth-{}.svg", name.to_lowercase())), svg)?;
        }
        Ok(())
    }

    fn values(&self) -> String {
        let mut text = String::from("what,size,unit,contender,values\n");
        for Row { what, unit, size, who, values } in &self.rows {
            let values: Vec<_> = values.iter().map(f64::to_string).collect();
            writeln!(text, "\"{what}\",{size},{unit},{},{}", who.name(), values.join(" ")).expect("text");
        }
        text
    }

    /// Kinds of figures with more than one size.
    fn growing(&self) -> BTreeMap<&'static str, (&'static str, Vec<usize>)> {
        let mut kinds: BTreeMap<_, (_, Vec<usize>)> = BTreeMap::new();
        for (what, unit, size) in self.kinds() {
            let sizes = &mut kinds.entry(what).or_insert((unit, Vec::new())).1;
            sizes.push(size);
            sizes.sort_unstable();
        }
        kinds.retain(|_, (_, sizes)| sizes.len() > 1);
        kinds
    }
}

/// Three digits that count.
pub(crate) fn figure(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 0.1 => 2,
        _ => 4,
    };
    format!("{value:.digits$}")
}

/// 1k, 100k, 1M.
pub(crate) fn count(size: usize) -> String {
    match size {
        0 => "-".to_owned(),
        size if size % 1_000_000 == 0 => format!("{}M", size / 1_000_000),
        size if size % 1_000 == 0 => format!("{}k", size / 1_000),
        size => size.to_string(),
    }
}
