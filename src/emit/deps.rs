//! Devices and what they use, or what uses them: a row for each pair.

use serde::Serialize;

use crate::devno::Devno;
use crate::emit::columns::value::{Kind, Value};
use crate::emit::columns::{Shape, Width, layout};
use crate::emit::json::{Text, pretty};
use crate::error::Result;
use crate::info::Related;
use crate::survey::Survey;
use crate::terminal::Terminal;

/// Which way to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// At what a device uses.
    Below,
    /// At what uses a device.
    Above,
}

/// A device and its neighbours in one direction.
#[derive(Debug)]
pub struct Neighbours {
    /// The device.
    pub device: Related,
    /// Those it uses or is used by, each with a link that stays the same.
    pub others: Vec<(Related, Option<Vec<u8>>)>,
}

impl Neighbours {
    /// What a survey knows of a device's neighbours.
    pub fn of(survey: &Survey<'_>, devno: Devno, direction: Direction) -> Self {
        let others = match direction {
            Direction::Below => survey.below(devno),
            Direction::Above => survey.above(devno),
        };
        let others = others.into_iter().map(|other| (survey.relate(other), survey.stable_link(other))).collect();
        Self { device: survey.relate(devno), others }
    }
}

/// A row for each pair: none for a device without neighbours. Also whether the terminal had room for the links.
pub fn text(all: &[Neighbours], direction: Direction, headings: bool, terminal: &Terminal) -> (String, bool) {
    let other = if direction == Direction::Below { "uses" } else { "used_by" };
    let shapes = [
        Shape { name: "device", kind: Kind::Devices, width: Width::CutLast(16) },
        Shape { name: other, kind: Kind::Devices, width: Width::CutLast(16) },
        Shape { name: "devno", kind: Kind::Devno, width: Width::Whole },
        // The beginning of a link alone tells nothing.
        Shape { name: "link", kind: Kind::Text, width: Width::Cut(30) },
    ];
    let row = |device: &Related, (other, link): &(Related, Option<Vec<u8>>)| {
        let link = link.clone().map_or(Value::None, Value::Text);
        vec![Value::Devices(vec![device.clone()]), Value::Devices(vec![other.clone()]), Value::Devno(other.devno), link]
    };
    let rows: Vec<_> = all.iter().flat_map(|one| one.others.iter().map(|other| row(&one.device, other))).collect();
    // Headings over nothing tell nothing.
    let (text, hidden) = layout::text(&shapes, &rows, headings && !rows.is_empty(), terminal);
    (text, hidden == 0)
}

#[derive(Serialize)]
struct Object {
    name: Option<Text>,
    devno: String,
    device_mapper: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<Option<Text>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dependencies: Option<Vec<Object>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dependants: Option<Vec<Object>>,
}

impl Object {
    fn new(device: &Related, link: Option<Option<Text>>) -> Self {
        let name = device.name.as_ref().map(Text::new);
        Self { name, devno: device.devno.to_string(), device_mapper: device.device_mapper, link, dependencies: None, dependants: None }
    }
}

/// An array with an object for each device, which has an array of its neighbours.
pub fn json(all: &[Neighbours], direction: Direction) -> Result<String> {
    let object = |one: &Neighbours| {
        let others = Some(one.others.iter().map(|(other, link)| Object::new(other, Some(link.as_ref().map(Text::new)))).collect());
        let object = Object::new(&one.device, None);
        match direction {
            Direction::Below => Object { dependencies: others, ..object },
            Direction::Above => Object { dependants: others, ..object },
        }
    };
    pretty(&all.iter().map(object).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::system::System;

    const PROGRAM: Terminal = Terminal { width: None, colour: false, unicode: true };

    fn system() -> System {
        let system = System::new();
        let links = "S:disk/by-id/wwn-0x5000\nS:disk/by-id/ata-MODEL_SERIAL\nS:disk/by-id/ata-Z\nS:disk/by-path/x\n";
        std::fs::write(system.roots.run_udev.join("data/b7:0"), links).unwrap();
        system
    }

    fn neighbours(system: &System, words: &[&str], direction: Direction) -> Vec<Neighbours> {
        let survey = system.survey();
        words.iter().map(|word| Neighbours::of(&survey, survey.find_block(word).unwrap(), direction)).collect()
    }

    #[test]
    fn each_pair_is_a_row_with_a_link_that_stays() {
        let system = system();
        let below = neighbours(&system, &["vg-my--data", "secret", "loop0"], Direction::Below);
        let expected =
            "DEVICE\tUSES\tDEVNO\tLINK\nvg-my--data\tloop0\t7:0\t/dev/disk/by-id/ata-MODEL_SERIAL\nsecret\tvg-my--data\t254:0\t\n";
        assert_eq!(text(&below, Direction::Below, true, &PROGRAM).0, expected);
        let above = neighbours(&system, &["loop0", "vg-my--data", "secret1"], Direction::Above);
        let expected = "loop0\tvg-my--data\t254:0\t\nvg-my--data\tsecret\t254:10\t/dev/mapper/secret\n";
        assert_eq!(text(&above, Direction::Above, false, &PROGRAM).0, expected);
        assert_eq!(text(&[], Direction::Above, true, &PROGRAM).0, "");
    }

    #[test]
    fn json_tells_of_devices_without_neighbours_too() {
        let system = system();
        let of = |word, direction| -> serde_json::Value {
            serde_json::from_str(&json(&neighbours(&system, &[word], direction), direction).unwrap()).unwrap()
        };
        assert_eq!(
            of("vg-my--data", Direction::Below),
            serde_json::json!([{
                "name": "vg-my--data", "devno": "254:0", "device_mapper": true,
                "dependencies": [{"name": "loop0", "devno": "7:0", "device_mapper": false, "link": "/dev/disk/by-id/ata-MODEL_SERIAL"}]
            }])
        );
        assert_eq!(of("secret1", Direction::Above)[0]["dependants"], serde_json::json!([]));
    }
}
