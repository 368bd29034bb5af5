use argh::{ArgsInfo, FromArgs};

use crate::emit::columns::filter::Filter;
use crate::emit::columns::value::Value;
use crate::emit::columns::{COLUMNS, Column, DEFAULT, Shape, choice, layout};
use crate::emit::json;
use crate::error::Result;
use crate::info::Roots;
use crate::survey::{Subject, Survey, steady};
use crate::terminal::Terminal;

/// List all device-mapper devices, a line for each.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "ls")]
pub(super) struct Ls {
    /// columns, separated by commas: +COLUMN adds to the usual ones, all shows every one
    #[argh(option, short = 'o', long = "output", arg_name = "COLUMNS")]
    output: Option<String>,

    /// columns to sort by, separated by commas: -COLUMN the other way round (by default: name)
    #[argh(option, long = "sort", arg_name = "COLUMNS")]
    sort: Option<String>,

    /// show only devices whose column fits: COLUMN=PATTERN with * and ?, or !=, <, <=, >, >=; all of several
    #[argh(option, long = "filter", arg_name = "CONDITION")]
    filters: Vec<Filter>,

    /// print no line of headings
    #[argh(switch)]
    no_headings: bool,

    /// print an array of JSON objects
    #[argh(switch)]
    json: bool,
}

impl Ls {
    pub(super) fn run(self) -> Result<()> {
        let shown = choice::columns(self.output.as_deref().unwrap_or(DEFAULT))?;
        let keys = self.sort.as_deref().map(choice::keys).transpose()?.unwrap_or_default();
        // A row holds what is shown, then what it is filtered and sorted by.
        let asked: Vec<&Column> =
            shown.iter().copied().chain(self.filters.iter().map(|filter| filter.column)).chain(keys.iter().map(|key| key.0)).collect();
        let roots = Roots::default();
        let survey = Survey::open(&roots)?;
        let values = |subject: &Subject<'_>| asked.iter().map(|column| (column.extract)(subject)).collect::<Vec<_>>();
        let admitted = |row: &Vec<Value>| self.filters.iter().zip(row.iter().skip(shown.len())).all(|(filter, value)| filter.admits(value));
        let rows = survey.devices().iter().filter_map(|device| steady(&survey, &device, values)).filter(admitted);
        let terminal = Terminal::of_stdout();
        let shapes: Vec<_> = shown.iter().map(|column| column.shape()).collect();
        if keys.is_empty() && terminal.width.is_none() && !self.json {
            // Each as it comes: no more than one of thousands is kept.
            super::print(&layout::separated(&shapes, rows, !self.no_headings))?;
        } else {
            let mut rows: Vec<Vec<Value>> = rows.collect();
            let first_key = shown.len() + self.filters.len();
            rows.sort_by(|a, b| choice::compare(&keys, a.iter().skip(first_key).zip(b.iter().skip(first_key))));
            rows.iter_mut().for_each(|row| row.truncate(shown.len()));
            if self.json {
                super::print(&json::listing(&shown, &rows)?)?;
            } else {
                print(&shapes, &rows, !self.no_headings, &terminal)?;
            }
        }
        super::tell_troubles("ls", &survey);
        if survey.control().is_none() {
            let mut more: Vec<_> = asked.iter().filter(|column| column.needs_root).map(|column| column.name).collect();
            more.push("devices without a table");
            more.dedup();
            log::info!("ls: root would also see {}", more.join(", "));
        }
        Ok(())
    }
}

/// Prints a table, and what of it the terminal has no room for.
fn print(shapes: &[Shape], rows: &[Vec<Value>], headings: bool, terminal: &Terminal) -> Result<()> {
    let (text, hidden) = layout::text(shapes, rows, headings, terminal);
    super::print(&text)?;
    if hidden > 0 {
        let names: Vec<_> = shapes.iter().skip(shapes.len() - hidden).map(|shape| shape.name).collect();
        log::info!("ls: the terminal is too narrow to show {}", names.join(", "));
    }
    Ok(())
}

/// What stands at the end of the help: every column.
pub(super) fn help() -> String {
    let width = COLUMNS.iter().map(|column| column.name.len()).max().unwrap_or(0);
    let line = |column: &Column| {
        let root = if column.needs_root { " (root only)" } else { "" };
        format!("  {:width$}  {}{root}\n", column.name, column.help)
    };
    format!("\nColumns:\n{}\nUsual columns: {DEFAULT}\n", COLUMNS.iter().map(line).collect::<String>())
}
