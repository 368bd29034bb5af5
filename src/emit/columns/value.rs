//! A cell of a listing: for people, for programs that read text, for JSON, and for sorting and comparing.

use std::cmp::Ordering;
use std::fmt::{self, Display, Formatter};

use serde::{Serialize, Serializer};

use crate::devno::Devno;
use crate::emit::json::{Neighbour, Text};
use crate::emit::table;
use crate::info::Related;
use crate::text::{Printable, printable};

/// What a column's cells are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// `yes` or `no`.
    Flag,
    /// A whole number.
    Number,
    /// A size: in bytes for programs, with a unit for people.
    Size,
    /// `MAJOR:MINOR`.
    Devno,
    /// Any number of texts.
    List,
    /// Any number of devices.
    Devices,
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing there, or not known.
    None,
    /// [`Kind::Text`]
    Text(Vec<u8>),
    /// [`Kind::Flag`]
    Flag(bool),
    /// [`Kind::Number`]
    Number(i64),
    /// [`Kind::Size`], in sectors of 512 bytes.
    Size(u64),
    /// [`Kind::Devno`]
    Devno(Devno),
    /// [`Kind::List`]
    List(Vec<Vec<u8>>),
    /// [`Kind::Devices`]
    Devices(Vec<Related>),
}

impl Value {
    /// For people.
    pub fn human(&self) -> String {
        match self {
            Value::Size(sectors) => table::size(*sectors),
            _ => self.to_string(),
        }
    }

    /// The texts that a filter is compared with: none for an empty cell, each one of a list.
    pub fn items(&self) -> Vec<String> {
        match self {
            Value::None => Vec::new(),
            Value::List(texts) => texts.iter().map(|text| printable(text)).collect(),
            Value::Devices(others) => others.iter().map(|other| Named(other).to_string()).collect(),
            scalar => vec![scalar.to_string()],
        }
    }

    /// The number, where it is one: sizes in bytes.
    pub fn number(&self) -> Option<i128> {
        match self {
            Value::Number(number) => Some(i128::from(*number)),
            Value::Size(sectors) => Some(i128::from(*sectors) * 512),
            _ => None,
        }
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::None => true,
            Value::List(texts) => texts.is_empty(),
            Value::Devices(others) => others.is_empty(),
            _ => false,
        }
    }

    /// Numbers by their value, all else by its bytes; empty cells last.
    pub fn compare(&self, other: &Value) -> Ordering {
        if let (Value::Devno(a), Value::Devno(b)) = (self, other) {
            return a.cmp(b);
        }
        if let (Some(a), Some(b)) = (self.number(), other.number()) {
            return a.cmp(&b);
        }
        self.is_empty().cmp(&other.is_empty()).then_with(|| self.items().cmp(&other.items()))
    }
}

/// For programs that read text: exact, and harmless.
impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Value::None => Ok(()),
            Value::Text(bytes) => Printable(bytes).fmt(f),
            Value::Flag(is_so) => f.write_str(if *is_so { "yes" } else { "no" }),
            Value::Number(number) => number.fmt(f),
            Value::Size(sectors) => (u128::from(*sectors) * 512).fmt(f),
            Value::Devno(devno) => devno.fmt(f),
            Value::List(texts) => separated(f, texts.iter().map(|text| Printable(text))),
            Value::Devices(others) => separated(f, others.iter().map(Named)),
        }
    }
}

fn separated(f: &mut Formatter<'_>, items: impl Iterator<Item = impl Display>) -> fmt::Result {
    for (at, item) in items.enumerate() {
        if at > 0 {
            f.write_str(",")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

/// A device by its name, or by its number where no name is known.
struct Named<'a>(&'a Related);

impl Display for Named<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0.name {
            Some(name) => Printable(name).fmt(f),
            None => self.0.devno.fmt(f),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::None => serializer.serialize_none(),
            Value::Text(bytes) => Text::new(bytes).serialize(serializer),
            Value::Flag(is_so) => serializer.serialize_bool(*is_so),
            Value::Number(number) => serializer.serialize_i64(*number),
            Value::Size(sectors) => serializer.serialize_u64(sectors.saturating_mul(512)),
            Value::Devno(devno) => serializer.collect_str(devno),
            Value::List(texts) => serializer.collect_seq(texts.iter().map(Text::new)),
            Value::Devices(others) => serializer.collect_seq(others.iter().map(Neighbour::new)),
        }
    }
}
