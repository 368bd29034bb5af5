//! Rows and columns as text: aligned and fitted to a terminal, or with a TAB between cells for a program.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::value::{Kind, Value};
use super::{Shape, Width};
use crate::terminal::Terminal;

/// Between two columns on a terminal.
const GAP: usize = 2;

/// A listing as text, and how many columns at the right did not fit the terminal.
pub fn text(columns: &[Shape], rows: &[Vec<Value>], headings: bool, terminal: &Terminal) -> (String, usize) {
    match terminal.width {
        Some(width) => aligned(columns, rows, headings, width, terminal.unicode),
        None => (separated(columns, rows.iter().map(Vec::as_slice), headings), 0),
    }
}

/// Every cell whole, a TAB between two: no cell holds one. Of longer rows only the columns' cells.
pub fn separated(columns: &[Shape], rows: impl IntoIterator<Item = impl AsRef<[Value]>>, headings: bool) -> String {
    let mut out = String::new();
    if headings {
        out.push_str(&columns.iter().map(|column| column.heading()).collect::<Vec<_>>().join("\t"));
        out.push('\n');
    }
    for row in rows {
        for (at, (cell, _)) in row.as_ref().iter().zip(columns).enumerate() {
            if at > 0 {
                out.push('\t');
            }
            let _ = write!(out, "{cell}");
        }
        out.push('\n');
    }
    out
}

/// Aligned columns, cut to this width, and how many columns at the right did not fit.
pub(crate) fn aligned(columns: &[Shape], rows: &[Vec<Value>], headings: bool, width: usize, unicode: bool) -> (String, usize) {
    let mut lines: Vec<Vec<String>> = Vec::with_capacity(rows.len() + 1);
    if headings {
        lines.push(columns.iter().map(|column| column.heading()).collect());
    }
    lines.extend(rows.iter().map(|row| row.iter().map(Value::human).collect()));
    let natural = |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.width()).max().unwrap_or(0);
    let natural: Vec<usize> = (0..columns.len()).map(natural).collect();
    let widths = fit(columns, &natural, width);
    let mut out = String::new();
    for line in &lines {
        let mut row = String::new();
        for ((cell, column), width) in line.iter().zip(columns).zip(&widths) {
            if !row.is_empty() {
                row.push_str(&" ".repeat(GAP));
            }
            let cell = cut(cell, *width, unicode);
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            let right = matches!(column.kind, Kind::Number | Kind::Size);
            row.push_str(&if right { padding + &cell } else { cell + &padding });
        }
        out.push_str(row.trim_end());
        out.push('\n');
    }
    (out, columns.len() - widths.len())
}

/// What is cut only in the last place stays at least so wide, and all else so wide, while that is enough: one long name
/// must not take the room from everything beside it.
const COMFORT: (usize, usize) = (20, 12);

/// How wide each column may be on a terminal of this width: those that may be cut are, then the last ones are left out.
fn fit(columns: &[Shape], natural: &[usize], width: usize) -> Vec<usize> {
    for shown in (2..=natural.len()).rev() {
        let mut widths: Vec<usize> = natural.iter().take(shown).copied().collect();
        let available = width.saturating_sub(GAP * (shown - 1));
        let of = |at: usize| columns.get(at).map(|column| column.width);
        let comfortable = |at| match of(at)? {
            Width::CutLast(least) => Some(least.max(COMFORT.0)),
            Width::Cut(least) => Some(least.max(COMFORT.1)),
            Width::Whole => None,
        };
        let least = |at| if let Width::Cut(least) = of(at)? { Some(least) } else { None };
        let last = |at| if let Width::CutLast(least) = of(at)? { Some(least) } else { None };
        shrink(&mut widths, comfortable, available);
        shrink(&mut widths, least, available);
        shrink(&mut widths, last, available);
        if widths.iter().sum::<usize>() <= available {
            return widths;
        }
    }
    natural.iter().take(1).map(|natural| *natural.min(&width)).collect()
}

/// Makes the widest of those that have a floor narrower, again and again, until all fit or none can give way.
fn shrink(widths: &mut [usize], floor: impl Fn(usize) -> Option<usize>, available: usize) {
    while widths.iter().sum::<usize>() > available {
        let gives_way = |(at, width): &(usize, &mut usize)| floor(*at).is_some_and(|least| **width > least);
        match widths.iter_mut().enumerate().filter(gives_way).max_by_key(|(_, width)| **width) {
            Some((_, widest)) => *widest -= 1,
            None => return,
        }
    }
}

/// The text in so many columns of a terminal, with a sign at its end that something is missing.
pub(crate) fn cut(text: &str, width: usize, unicode: bool) -> String {
    if text.width() <= width {
        return text.to_string();
    }
    let mut out = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(character);
    }
    out.push(if unicode { '…' } else { '~' });
    out
}
