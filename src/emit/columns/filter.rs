//! `--filter COLUMN=PATTERN`: which devices are shown.

use std::str::FromStr;

use super::Column;
use super::choice::column;
use super::value::{Kind, Value};
use crate::error::{Error, Result};

/// A condition on one column.
#[derive(Debug)]
pub struct Filter {
    /// Which one.
    pub column: &'static Column,
    test: Test,
}

#[derive(Debug)]
enum Test {
    /// Any of the cell's texts fits the pattern (`*`, `?`), or none does.
    Fits(String, bool),
    /// The number compares so; an empty cell has none.
    Number(Comparison, i128),
}

type Comparison = fn(&i128, &i128) -> bool;

/// Longer ones first: `>` is a part of `>=`.
const OPERATORS: [(&str, Comparison); 6] =
    [("!=", i128::ne), (">=", i128::ge), ("<=", i128::le), ("=", i128::eq), (">", i128::gt), ("<", i128::lt)];

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |cause: &str| Error::usage("--filter", text, cause);
        let at = text.find(['=', '!', '<', '>']).ok_or_else(|| wrong("not COLUMN=PATTERN; also !=, <, <=, >, >="))?;
        let (name, rest) = text.split_at(at);
        let found = OPERATORS.iter().find_map(|(operator, comparison)| Some((*operator, *comparison, rest.strip_prefix(operator)?)));
        let (operator, comparison, operand) = found.ok_or_else(|| wrong("not COLUMN=PATTERN; also !=, <, <=, >, >="))?;
        let column = column(name.trim())?;
        let numeric = matches!(column.kind, Kind::Number | Kind::Size);
        let test = match operator {
            // Empty cells are asked for with nothing after the sign.
            "=" | "!=" if !numeric || operand.is_empty() => Test::Fits(operand.to_string(), operator == "="),
            _ if numeric => Test::Number(comparison, number(operand, column.kind).ok_or_else(|| wrong("not a number"))?),
            _ => return Err(wrong("this column has no numbers: use = or !=")),
        };
        Ok(Self { column, test })
    }
}

impl Filter {
    /// Whether a cell of the column meets the condition.
    pub fn admits(&self, value: &Value) -> bool {
        match &self.test {
            Test::Fits(pattern, wanted) => {
                let items = value.items();
                let fits = if pattern.is_empty() { items.is_empty() } else { items.iter().any(|item| fits(pattern, item)) };
                fits == *wanted
            }
            Test::Number(comparison, operand) => value.number().is_some_and(|number| comparison(&number, operand)),
        }
    }
}

/// A number; of a size, in bytes, or with a unit of powers of 1024: `10G`, `10GiB`.
fn number(text: &str, kind: Kind) -> Option<i128> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: i128 = digits.parse().ok()?;
    let unit = unit.trim().to_ascii_uppercase();
    let letter = unit.strip_suffix("IB").unwrap_or(&unit);
    let power = match (kind, letter) {
        (_, "") if unit.is_empty() => 0,
        (Kind::Size, "B") => 0,
        (Kind::Size, letter) if letter.len() == 1 => "KMGTPE".find(letter)? + 1,
        _ => return None,
    };
    number.checked_mul(1024_i128.checked_pow(u32::try_from(power).ok()?)?)
}

/// Whether a text fits a pattern in which `*` stands for any characters and `?` for one.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and up to where it has been taken to reach.
    let mut star: Option<(usize, usize)> = None;
    while let Some(character) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == character => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, reach)) => {
                    (p, t) = (at + 1, reach + 1);
                    star = Some((at, t));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(filter: &str, value: Value) -> bool {
        filter.parse::<Filter>().unwrap().admits(&value)
    }

    #[test]
    fn patterns_fit_whole_texts() {
        for (pattern, text) in
            [("a", "a"), ("*", ""), ("a*", "abc"), ("*c", "abc"), ("a?c", "abc"), ("*a*b*", "xaybz"), ("a**", "a"), ("", "")]
        {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a?", "a"), ("*b", "abc"), ("a*c*d", "abc"), ("?", ""), ("A", "a")] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_is_compared_with_each_text_of_a_list() {
        let list = || Value::List(vec![b"/home".to_vec(), b"/srv".to_vec()]);
        assert!(admits("mounts=/srv", list()) && admits("mounts=/h*", list()) && !admits("mounts=/", list()));
        assert!(admits("mounts!=/", list()) && !admits("mounts!=/srv", list()));
        assert!(admits("mounts=", Value::None) && admits("mounts=", Value::List(Vec::new())) && !admits("mounts=", list()));
        assert!(admits("mounts!=", list()) && admits("uuid!=x", Value::None));
        assert!(admits("read_only=yes", Value::Flag(true)) && !admits("read_only=yes", Value::Flag(false)));
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_sizes_in_bytes() {
        let gib = || Value::Size(2 << 20);
        assert!(admits("size=1G", gib()) && admits("size>=1GiB", gib()) && admits("size<1025m", gib()) && admits("size=1073741824", gib()));
        assert!(!admits("size>1G", gib()) && !admits("size!=1024MiB", gib()));
        assert!(admits("open>0", Value::Number(10)) && admits("open<=10", Value::Number(10)));
        assert!(!admits("open>=0", Value::None) && admits("open=", Value::None), "what is not known is neither 0 nor more");
    }

    #[test]
    fn what_cannot_be_a_condition_is_refused() {
        for text in ["", "name", "nope=1", "=x", "name>a", "open=x", "open=1K", "size=K", "size=1X", "size=1IB", "size=-1", "open!x"] {
            assert_eq!(text.parse::<Filter>().unwrap_err().status(), 2, "{text}");
        }
    }
}
