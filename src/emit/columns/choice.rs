//! Which columns, and in which order the rows: what the words after `-o` and `--sort` mean.

use std::cmp::Ordering;

use super::value::Value;
use super::{COLUMNS, Column, DEFAULT};
use crate::error::{Error, Result};

/// A column by its name.
///
/// # Errors
/// A usage error that lists the names there are.
pub fn column(name: &str) -> Result<&'static Column> {
    let found = COLUMNS.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| Error::usage("column", name, "no such column").advise(format!("there are {}", names().join(", "))))
}

/// The names of all columns.
pub fn names() -> Vec<&'static str> {
    COLUMNS.iter().map(|column| column.name).collect()
}

/// The columns of a list separated by commas: `all` for every one; a list that begins with `+` adds to the default.
///
/// # Errors
/// As [`column()`]; a usage error for a list without a column.
pub fn columns(list: &str) -> Result<Vec<&'static Column>> {
    let list = list.strip_prefix('+').map_or_else(|| list.to_string(), |more| format!("{DEFAULT},{more}"));
    let mut chosen = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "all" => chosen.extend(&COLUMNS),
            name => chosen.push(column(name)?),
        }
    }
    if chosen.is_empty() {
        return Err(Error::usage("column", list, "names no column").advise(format!("there are {}", names().join(", "))));
    }
    Ok(chosen)
}

/// A column to sort by, and whether the other way round.
pub type Key = (&'static Column, bool);

/// The keys of a list separated by commas, the first the weightiest; one after `-` the other way round.
///
/// # Errors
/// As [`columns`].
pub fn keys(list: &str) -> Result<Vec<Key>> {
    let key = |name: &str| match name.strip_prefix('-') {
        Some(name) => Ok((column(name)?, true)),
        None => Ok((column(name)?, false)),
    };
    list.split(',').map(str::trim).map(key).collect()
}

/// How two rows stand to each other by the cells of these keys.
pub fn compare<'v>(keys: &[Key], cells: impl Iterator<Item = (&'v Value, &'v Value)>) -> Ordering {
    let one = |((_, back), (a, b)): (&Key, (&Value, &Value))| match (a.is_empty(), b.is_empty()) {
        // What is not known comes last either way.
        (false, false) if *back => b.compare(a),
        _ => a.compare(b),
    };
    keys.iter().zip(cells).map(one).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(list: &str) -> Vec<&'static str> {
        columns(list).unwrap().iter().map(|column| column.name).collect()
    }

    #[test]
    fn columns_are_chosen_in_any_order_and_case() {
        assert_eq!(chosen("uuid, Name,uuid"), ["uuid", "name", "uuid"]);
        assert_eq!(chosen("+open").last(), Some(&"open"));
        assert_eq!(chosen("+open").len(), DEFAULT.split(',').count() + 1);
        assert_eq!(chosen("all").len(), COLUMNS.len());
    }

    #[test]
    fn what_is_no_column_is_refused_with_what_there_is() {
        for list in ["", ",", "nope", "name,nope"] {
            let message = columns(list).unwrap_err().to_string();
            assert!(message.contains("there are name, meant, uuid, "), "{message}");
        }
        assert!(keys("").is_err() && keys("-").is_err());
    }

    #[test]
    fn what_is_not_known_comes_last_either_way() {
        let cells = [Value::Number(10), Value::Number(9), Value::List(Vec::new()), Value::None];
        let order = |a: usize, b: usize, list: &str| compare(&keys(list).unwrap(), [(&cells[a], &cells[b])].into_iter());
        for (a, b) in [(0, 2), (0, 3)] {
            assert_eq!(
                (order(a, b, "open"), order(a, b, "-open"), order(b, a, "-open")),
                (Ordering::Less, Ordering::Less, Ordering::Greater)
            );
        }
        assert_eq!((order(0, 1, "open"), order(0, 1, "-open"), order(2, 3, "open")), (Ordering::Greater, Ordering::Less, Ordering::Equal));
    }

    #[test]
    fn keys_may_be_turned_round() {
        let keys: Vec<_> = keys("-size,name").unwrap().iter().map(|(column, back)| (column.name, *back)).collect();
        assert_eq!(keys, [("size", true), ("name", false)]);
    }
}
