//! What `make bench` makes of its samples.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../benches/bench/report.rs"]
mod report;

use report::{Column, Samples, Table, Value, publish};

const fn column(heading: &'static str, value: Value) -> Column {
    Column { heading, value, decimals: 2 }
}

const TABLE: Table = Table {
    name: "wall",
    title: "seconds",
    columns: &[
        column("stock", Value::Median("stock")),
        column("p99", Value::Percentile("stock", 99)),
        column("ratio", Value::Ratio("ours", "stock")),
        column("best", Value::BestRatio("ours", "stock")),
        column("growth", Value::Growth((100.0, "stock"), (1000.0, "ours"))),
        column("against", Value::Against(&[("open", "close")], "stock")),
        column("n", Value::Count("stock")),
    ],
    note: "a note",
};

fn samples() -> Samples {
    let mut text = String::new();
    for value in [3, 1, 2, 4] {
        text += &format!("wall\topen\tstock\t{value}\n");
    }
    Samples::parse(&(text + "wall\topen\tours\t25\nwall\tclose\tstock\t10\n")).unwrap()
}

#[test]
fn a_table_shows_medians_percentiles_ratios_and_growth_and_leaves_blank_what_was_not_measured() {
    assert_eq!(
        TABLE.text(&samples()),
        "seconds      stock        p99      ratio       best     growth    against          n\n\
         open          2.50       4.00      10.00      25.00       1.00       0.25       4.00\n\
         close        10.00      10.00                                                   1.00\n\
         (a note)\n"
    );
}

#[test]
fn the_file_for_programs_holds_the_same_and_all_statistics() {
    let directory = tempfile::tempdir().unwrap();
    let path = publish("event", "Events", &[TABLE], &samples(), directory.path()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let row = &json["tables"][0]["rows"][0];
    assert_eq!(row["row"], "open");
    assert_eq!(row["shown"][2], serde_json::json!({ "heading": "ratio", "value": 10.0 }));
    assert_eq!(row["samples"]["stock"], serde_json::json!({ "n": 4, "min": 1.0, "median": 2.5, "p99": 4.0, "max": 4.0 }));
}

#[test]
fn samples_that_no_table_shows_and_tables_without_samples_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let mut strange = samples();
    strange.add("cpu", "open", "stock", 1.0);
    assert!(publish("event", "Events", &[TABLE], &strange, directory.path()).unwrap_err().contains("`cpu`"));
    assert!(publish("event", "Events", &[TABLE], &Samples::default(), directory.path()).unwrap_err().contains("`wall`"));
    assert!(Samples::parse("wall\topen\tstock\n").is_err());
    assert!(Samples::parse("wall\topen\tstock\tfast\n").is_err());
    assert_eq!(samples().lines().lines().next(), Some("wall\topen\tstock\t3"));
}
