//! The downloads agree with each other and with the data dictionary.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::client::fetch;
use crate::world::pages;

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-14 * one.abs()
}

#[tokio::test]
async fn csv_and_json_agree() {
    let pages = pages();
    for metric in ["answers-v1", "numbers-v1"] {
        let base = format!("/api/v1/metrics/{metric}/windows");
        let json: Vec<BTreeMap<String, Value>> =
            serde_json::from_str(&fetch(&pages, &base).await.text).unwrap();
        let csv = fetch(&pages, &format!("{base}?format=csv")).await.text;
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let rows: Vec<BTreeMap<String, String>> =
            reader.deserialize().map(|row| row.unwrap()).collect();
        assert_eq!(rows.len(), json.len());
        for (row, object) in rows.iter().zip(&json) {
            assert_eq!(row.len(), object.len());
            for (field, value) in object {
                let same = match value {
                    Value::Null => row[field].is_empty(),
                    Value::String(text) => row[field] == *text,
                    // serde_json reads the last digit of a float only approximately.
                    number => near(row[field].parse().unwrap(), number.as_f64().unwrap()),
                };
                assert!(same, "{field}: {value} and {:?}", row[field]);
            }
        }
    }
}

#[tokio::test]
async fn downloads_are_described_and_harmless() {
    let pages = pages();
    let dictionary: Value =
        serde_json::from_str(&fetch(&pages, "/api/v1/dictionary").await.text).unwrap();
    let fields = dictionary["tidy"].as_array().unwrap().iter();
    let described: BTreeSet<&str> = fields
        .map(|field| field["field"].as_str().unwrap())
        .collect();
    let base = "/api/v1/metrics/answers-v1/windows";
    let tidy = fetch(&pages, &format!("{base}?format=csv")).await;
    let columns: BTreeSet<&str> = tidy.text.lines().next().unwrap().split(',').collect();
    assert_eq!(columns, described);
    assert!(tidy.headers["content-disposition"].starts_with("attachment"));
    assert!(tidy.text.contains(",'=1+1,"), "a formula is a text");
    // A gap is a row, and a selection restricts rows.
    let states = tidy.text.matches("below-minimum").count();
    assert_eq!((states, tidy.text.matches("one-side").count()), (3, 1));
    let north = fetch(&pages, &format!("{base}?format=csv&locality=north"))
        .await
        .text;
    assert_eq!(north.lines().count(), 1 + 5 * 3);
    let wide = fetch(&pages, &format!("{base}?format=wide")).await.text;
    let mut reader = csv::Reader::from_reader(wide.as_bytes());
    assert_eq!(reader.headers().unwrap().len(), 8 + 3 + 3);
    let first = reader.records().next().unwrap().unwrap();
    assert_eq!((&first[5], &first[11]), ("3000001", "1500000"));
    let debiased: f64 = first[8].parse().unwrap();
    let flip = 1.0 / (1.0 + 4.0_f64.exp());
    let expected = (1_500_000.0 - 3_000_001.0 * flip) / (1.0 - 2.0 * flip);
    assert!((debiased - expected).abs() < 1e-3);
}
