use super::*;
use crate::info::system::System;
use crate::survey::Survey;

const PROGRAM: Terminal = Terminal { width: None, colour: false, unicode: true };

fn number(text: &str) -> Devno {
    text.parse().unwrap()
}

/// loop0 carries vg-my--data and another; secret lies on vg-my--data, both on mirror.
fn system() -> System {
    let system = System::new();
    system.device("dm-2", "254:2", "2048", &["dm-0", "loop0"], &[]);
    system.dm("dm-2", "mirror", "", "0");
    system.holder("dm-0", "dm-2");
    system.holder("loop0", "dm-2");
    let proc = system.roots.proc.join("self");
    std::fs::create_dir_all(&proc).unwrap();
    std::fs::write(proc.join("mountinfo"), "22 1 254:18 / /srv ro - ext4 /dev/mapper/secret1 rw\n").unwrap();
    std::fs::write(system.roots.proc.join("swaps"), "Filename Type\n/dev/dm-2 partition 1 0 -2\n").unwrap();
    system
}

fn all(survey: &Survey<'_>) -> Graph {
    let each: Vec<_> = survey.devices().iter().map(|device| device.devno).collect();
    let (all, of_each) = (Graph::of_all(survey), Graph::of(survey, &each));
    assert_eq!(format!("{all:?}"), format!("{of_each:?}"), "asked of all at once, or of each");
    all
}

fn tree(direction: Direction, terminal: &Terminal) -> String {
    let system = system();
    text(&all(&system.survey()), direction, &[], terminal)
}

#[test]
fn a_device_is_drawn_once_and_referred_to_from_its_other_places() {
    assert_eq!(
        tree(Direction::Below, &PROGRAM),
        "NAME             DEVNO      SIZE  STATE      WHAT                   MOUNTS\n\
         mirror           254:2     1 MiB                                    [swap]\n\
         ├─loop0          7:0     200 MiB             disk\n\
         └─vg-my--data    254:0    24 MiB             LVM my-data in vg\n  \
           └─loop0                                    as above\n\
         secret1          254:18                      partition 1 by kpartx  /srv (ext4, read-only)\n\
         └─secret         254:10    8 MiB  suspended  LUKS2\n  \
           └─vg-my--data                              as above\n"
    );
}

#[test]
fn the_tree_can_be_turned_round_and_drawn_with_ascii() {
    assert_eq!(
        tree(Direction::Above, &Terminal { unicode: false, ..PROGRAM }),
        "NAME           DEVNO      SIZE  STATE      WHAT                   MOUNTS\n\
         loop0          7:0     200 MiB             disk\n\
         |-mirror       254:2     1 MiB                                    [swap]\n\
         `-vg-my--data  254:0    24 MiB             LVM my-data in vg\n  \
           |-mirror                                 as above\n  \
           `-secret     254:10    8 MiB  suspended  LUKS2\n    \
             `-secret1  254:18                      partition 1 by kpartx  /srv (ext4, read-only)\n"
    );
}

#[test]
fn a_tree_of_one_device_has_what_is_under_and_over_it() {
    let system = system();
    let survey = system.survey();
    let names = |word: &str| {
        let mut names: Vec<_> = Graph::of(&survey, &[survey.find_block(word).unwrap()]).nodes().map(Node::name).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names("secret"), "loop0 secret secret1 vg-my--data");
    assert_eq!(names("mirror"), "loop0 mirror vg-my--data");
    assert_eq!(names("loop0"), "loop0 mirror secret secret1 vg-my--data");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in 1..120 {
        let text = tree(Direction::Below, &Terminal { width: Some(width), ..PROGRAM });
        assert!(text.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= width), "{width}:\n{text}");
        assert_eq!(text.lines().count(), 8);
    }
}

#[test]
fn colours_tell_the_state_of_a_whole_line_and_nothing_else() {
    let colour = Terminal { colour: true, ..PROGRAM };
    let text = tree(Direction::Below, &colour);
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_string();
    assert!(line("LUKS2").starts_with("\x1b[33m") && line("LUKS2").ends_with("\x1b[0m"));
    assert!(line("└─loop0  ").starts_with("\x1b[2m") && line("mirror").starts_with("mirror"));
    assert!(!tree(Direction::Below, &PROGRAM).contains('\x1b'));
}

#[test]
fn a_cycle_that_cannot_be_ends_and_hides_nothing() {
    let system = System::new();
    for (at, (own, other)) in [("dm-20", "dm-21"), ("dm-21", "dm-20")].into_iter().enumerate() {
        system.device(own, &format!("254:{}", 20 + at), "8", &[other], &[other]);
        system.dm(own, &format!("snake{at}"), "", "0");
    }
    system.device("dm-22", "254:22", "8", &["dm-22"], &["dm-22"]);
    system.dm("dm-22", "self", "", "0");
    let survey = system.survey();
    for direction in [Direction::Below, Direction::Above] {
        let text = text(&all(&survey), direction, &[], &PROGRAM);
        for name in ["snake0", "snake1", "self"] {
            assert!(text.contains(name), "{text}");
        }
        assert!(text.lines().count() < 20, "{text}");
    }
    assert!(dot::dot(&all(&survey), &survey).contains("\"254:22\" -> \"254:22\""));
}

#[test]
fn a_very_long_chain_needs_no_stack() {
    let system = System::new();
    let count = 400;
    for at in 0..count {
        let below = if at == 0 { vec![] } else { vec![format!("dm-{}", 999 + at)] };
        system.device(
            &format!("dm-{}", 1000 + at),
            &format!("254:{}", 1000 + at),
            "8",
            &below.iter().map(String::as_str).collect::<Vec<_>>(),
            &[],
        );
        system.dm(&format!("dm-{}", 1000 + at), &format!("link{at}"), "", "0");
    }
    let survey = system.survey();
    let graph = Graph::of(&survey, &[number(&format!("254:{}", 999 + count))]);
    assert_eq!(text(&graph, Direction::Below, &[], &Terminal { width: Some(80), ..PROGRAM }).lines().count(), count + 1);
}

#[test]
fn the_graph_for_graphviz_takes_any_name() {
    let system = system();
    system.dm("dm-2", "a<b>&\"c\"\\N{x|y}", "", "0");
    std::fs::write(system.roots.proc.join("self/mountinfo"), "22 1 254:2 / /a\"b\\\\c\\012d rw - ext4 /dev/dm-2 rw\n").unwrap();
    let survey = system.survey();
    let dot = dot::dot(&all(&survey), &survey);
    assert!(dot.contains("<b>a&lt;b&gt;&amp;&quot;c&quot;\\N{x|y}</b>"), "{dot}");
    assert!(dot.contains("label=\"/a\\\"b\\\\\\\\c\\\\x0ad\\next4\""), "{dot}");
    assert!(dot.contains("\"254:10\" -> \"254:0\";") && dot.contains("label=\"volume group vg\""), "{dot}");
}

#[test]
fn json_has_every_edge_both_ways() {
    let system = system();
    let survey = system.survey();
    let value: serde_json::Value = serde_json::from_str(&json::json(&all(&survey), &survey).unwrap()).unwrap();
    let of = |devno: &str| value.as_array().unwrap().iter().find(|node| node["devno"] == devno).unwrap().clone();
    assert_eq!(of("254:0")["above"], serde_json::json!(["254:2", "254:10"]));
    assert_eq!(of("254:2")["below"], serde_json::json!(["7:0", "254:0"]));
    assert_eq!(of("254:18")["mounts"], serde_json::json!([{"at": "/srv", "root": "/", "fs_type": "ext4", "read_only": true}]));
    assert_eq!(
        (&of("254:2")["swap"], &of("7:0")["state"], &of("254:10")["state"]),
        (&true.into(), &serde_json::Value::Null, &"suspended".into())
    );
}

#[test]
fn every_json_key_is_in_the_man_page_and_no_other() {
    let system = system();
    let survey = system.survey();
    let value: serde_json::Value = serde_json::from_str(&json::json(&all(&survey), &survey).unwrap()).unwrap();
    let mut keys = BTreeSet::new();
    for (key, value) in value.as_array().unwrap().iter().flat_map(|node| node.as_object().unwrap()) {
        let inner = value.as_array().into_iter().flatten().filter_map(serde_json::Value::as_object).flatten();
        keys.extend(inner.map(|(inner, _)| format!("{key}[].{inner}")));
        keys.insert(key.clone());
    }
    let page = include_str!("../../../man/dmhelper-tree.8");
    let documented: BTreeSet<String> = page.lines().filter_map(|line| line.strip_prefix(".It Va ")).map(str::to_string).collect();
    assert_eq!(documented, keys);
}
