//! A cell of a listing: for people, for programs that read text, for JSON, and for sorting and comparing.

use std::cmp::Ordering;

use serde::{Serialize, Serializer};

use crate::devno::Devno;
use crate::emit::json::{Neighbour, Text};
use crate::emit::table;
use crate::info::Related;
use crate::text::printable;

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
    /// For programs that read text: exact, and harmless.
    pub fn plain(&self) -> String {
        match self {
            Value::Size(sectors) => (u128::from(*sectors) * 512).to_string(),
            _ => self.human(),
        }
    }

    /// For people.
    pub fn human(&self) -> String {
        match self {
            Value::Size(sectors) => table::size(*sectors),
            _ => self.items().join(","),
        }
    }

    /// The texts that a filter is compared with: none for an empty cell, each one of a list.
    pub fn items(&self) -> Vec<String> {
        match self {
            Value::None => Vec::new(),
            Value::Text(bytes) => vec![printable(bytes)],
            Value::Flag(is_so) => vec![if *is_so { "yes" } else { "no" }.to_string()],
            Value::Number(number) => vec![number.to_string()],
            Value::Size(sectors) => vec![(u128::from(*sectors) * 512).to_string()],
            Value::Devno(devno) => vec![devno.to_string()],
            Value::List(texts) => texts.iter().map(|text| printable(text)).collect(),
            Value::Devices(others) => others.iter().map(device).collect(),
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

/// A device by its name, or by its number where no name is known.
pub fn device(other: &Related) -> String {
    other.name.as_ref().map_or_else(|| other.devno.to_string(), |name| printable(name))
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
