//! Samples by table, row and column, and what is made of them: medians and ratios in a table for people, all of it in
//! JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

/// What was measured, in the order in which it was.
#[derive(Default)]
pub(crate) struct Samples(Vec<Sample>);

struct Sample {
    table: String,
    row: String,
    column: String,
    value: f64,
}

/// One table: which columns it shows of the samples that bear its name.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) columns: &'static [Column],
    /// What a reader must know to believe it.
    pub(crate) note: &'static str,
}

pub(crate) struct Column {
    pub(crate) heading: &'static str,
    pub(crate) value: Value,
    pub(crate) decimals: usize,
}

pub(crate) enum Value {
    /// Of the samples of this column.
    Median(&'static str),
    Percentile(&'static str, usize),
    /// One column's median over another's.
    Ratio(&'static str, &'static str),
    /// The same of their smallest samples: where it differs much from the other ratio, the machine was busy.
    BestRatio(&'static str, &'static str),
    /// This column's median over that of the partner's row.
    Against(&'static [(&'static str, &'static str)], &'static str),
    /// The exponent with which the time grows from one size to a larger one: the slope between logarithms.
    Growth((f64, &'static str), (f64, &'static str)),
    /// How many samples.
    Count(&'static str),
}

impl Samples {
    pub(crate) fn add(&mut self, table: &str, row: &str, column: &str, value: f64) {
        self.0.push(Sample { table: table.to_owned(), row: row.to_owned(), column: column.to_owned(), value });
    }

    /// Lines of `TABLE<TAB>ROW<TAB>COLUMN<TAB>NUMBER`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut samples = Self::default();
        for line in text.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let bad = || format!("bad sample `{line}`");
            let [table, row, column, value] = fields.as_slice() else { return Err(bad()) };
            samples.add(table, row, column, value.parse().map_err(|_| bad())?);
        }
        Ok(samples)
    }

    /// The same as text.
    pub(crate) fn lines(&self) -> String {
        let line = |sample: &Sample| format!("{}\t{}\t{}\t{}\n", sample.table, sample.row, sample.column, sample.value);
        self.0.iter().map(line).collect()
    }

    fn rows(&self, table: &str) -> Vec<&str> {
        let mut rows: Vec<&str> = Vec::new();
        for sample in self.0.iter().filter(|sample| sample.table == table) {
            if !rows.contains(&sample.row.as_str()) {
                rows.push(&sample.row);
            }
        }
        rows
    }

    /// Sorted.
    fn of(&self, table: &str, row: &str, column: &str) -> Vec<f64> {
        let wanted = |sample: &&Sample| sample.table == table && sample.row == row && sample.column == column;
        let mut values: Vec<f64> = self.0.iter().filter(wanted).map(|sample| sample.value).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn value(&self, table: &str, row: &str, value: &Value) -> Option<f64> {
        let median = |row: &str, column: &str| middle(&self.of(table, row, column));
        let value = match value {
            Value::Median(column) => median(row, column),
            Value::Percentile(column, percent) => percentile(&self.of(table, row, column), *percent),
            Value::Ratio(over, under) => Some(median(row, over)? / median(row, under)?),
            Value::BestRatio(over, under) => {
                let best = |column| self.of(table, row, column).first().copied();
                Some(best(over)? / best(under)?)
            }
            Value::Against(partners, column) => {
                let (_, partner) = partners.iter().find(|(of, _)| *of == row)?;
                Some(median(row, column)? / median(partner, column)?)
            }
            Value::Growth((small, before), (large, after)) => {
                Some((median(row, after)? / median(row, before)?).ln() / (large / small).ln())
            }
            Value::Count(column) => Some(self.of(table, row, column).len() as f64),
        };
        // A ratio to nothing is none.
        value.filter(|value| value.is_finite())
    }
}

impl Value {
    /// Whose samples it is made of.
    fn columns(&self) -> Vec<&'static str> {
        match self {
            Self::Median(one) | Self::Percentile(one, _) | Self::Against(_, one) | Self::Count(one) => vec![one],
            Self::Ratio(one, other) | Self::BestRatio(one, other) | Self::Growth((_, one), (_, other)) => vec![one, other],
        }
    }
}

/// The median; of a sorted list.
fn middle(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// The smallest value that so many percent do not exceed; of a sorted list.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    sorted.get((sorted.len() * percent).div_ceil(100).max(1) - 1).copied()
}

impl Table {
    /// As text: rows in the order of their first samples. Empty where nothing was measured.
    pub(crate) fn text(&self, samples: &Samples) -> String {
        let rows = samples.rows(self.name);
        if rows.is_empty() {
            return String::new();
        }
        let first = rows.iter().map(|row| row.chars().count()).chain([self.title.chars().count()]).max().unwrap_or_default();
        let mut text = format!("{:<first$}", self.title);
        for column in self.columns {
            let _ = write!(text, "  {:>9}", column.heading);
        }
        text.push('\n');
        for row in rows {
            let _ = write!(text, "{row:<first$}");
            for column in self.columns {
                let value = samples.value(self.name, row, &column.value);
                let cell = value.map_or_else(String::new, |value| format!("{value:.*}", column.decimals));
                let _ = write!(text, "  {cell:>width$}", width = column.heading.chars().count().max(9));
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        if !self.note.is_empty() {
            text.push_str(&wrapped(&format!("({})", self.note)));
        }
        text
    }

    fn json(&self, samples: &Samples) -> Json {
        let row = |row: &str| {
            let measured: BTreeMap<&str, Json> = self
                .columns
                .iter()
                .flat_map(|column| column.value.columns())
                .map(|column| (column, statistics(&samples.of(self.name, row, column))))
                .collect();
            let shown: Vec<Json> = self
                .columns
                .iter()
                .map(|column| json!({ "heading": column.heading, "value": samples.value(self.name, row, &column.value) }))
                .collect();
            json!({ "row": row, "shown": shown, "samples": measured })
        };
        let rows: Vec<Json> = samples.rows(self.name).into_iter().map(row).collect();
        json!({ "title": self.title, "note": self.note, "rows": rows })
    }
}

/// Lines of about a hundred columns.
fn wrapped(words: &str) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in words.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + width > 110 {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push(' ');
        }
        text.push_str(word);
        column += width + 1;
    }
    text + "\n"
}

fn statistics(sorted: &[f64]) -> Json {
    json!({
        "n": sorted.len(), "min": sorted.first(), "median": middle(sorted), "p99": percentile(sorted, 99), "max": sorted.last(),
    })
}

/// Prints the tables and writes the same, with all statistics, to `DIRECTORY/NAME.json`.
pub(crate) fn publish(name: &str, title: &str, tables: &[Table], samples: &Samples, directory: &Path) -> Result<PathBuf, String> {
    for sample in &samples.0 {
        if !tables.iter().any(|table| table.name == sample.table) {
            return Err(format!("{name}: nobody shows the samples of `{}`", sample.table));
        }
    }
    let mut text = format!("\n{title}\n");
    let mut all = Vec::new();
    for table in tables {
        let shown = table.text(samples);
        if shown.is_empty() {
            return Err(format!("{name}: nothing was measured for `{}`", table.name));
        }
        text.push('\n');
        text.push_str(&shown);
        all.push(table.json(samples));
    }
    print!("{text}"); // At once: another guest's lines must not come between.
    let path = directory.join(format!("{name}.json"));
    let report =
        serde_json::to_string_pretty(&json!({ "bench": name, "title": title, "tables": all })).map_err(|error| error.to_string())?;
    std::fs::write(&path, report + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}
