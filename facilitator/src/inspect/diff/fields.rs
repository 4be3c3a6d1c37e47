//! Compares two trees of facts, field by field.

use crate::inspect::facts::{Fact, Facts, Value, text_of};
use serde_json::Value as Json;
use std::collections::HashMap;

/// How many differences are listed.
const MOST_LISTED_DIFFERENCES: usize = 20;

/// A field and its single value. The path of the field is like `sum-part.sum[3]`.
type Leaf = (String, Json);

/// Returns the number of fields with different values, and the first of them. Conclusions are not
/// compared, and lists of texts are compared as sets.
pub(super) fn differences(a: &Facts, b: &Facts) -> (usize, Facts) {
    let mut fields = Vec::new();
    add_facts("", a, &mut fields);
    let left: HashMap<String, Json> = fields.iter().cloned().collect();
    let mut right_fields = Vec::new();
    add_facts("", b, &mut right_fields);
    let right: HashMap<String, Json> = right_fields.iter().cloned().collect();
    right_fields.retain(|(field, _)| !left.contains_key(field));
    fields.append(&mut right_fields);
    fields.retain(|(field, _)| left.get(field) != right.get(field));
    let mut listed = Vec::new();
    for (field, _) in fields.iter().take(MOST_LISTED_DIFFERENCES) {
        listed.push(difference(field, left.get(field), right.get(field)));
    }
    let mut facts = Facts::default();
    facts.head(Fact::new("total", fields.len()).unit("different fields"));
    facts.add(Fact::groups("listed", listed).row("field"));
    (fields.len(), facts)
}

fn difference(field: &str, a: Option<&Json>, b: Option<&Json>) -> Facts {
    let text = |value: Option<&Json>| value.and_then(text_of).unwrap_or_else(|| "-".to_owned());
    let mut facts = Facts::default();
    facts.row(
        "",
        [
            Fact::new("field", field).unnamed(),
            Fact::new("a", a.cloned()).shown(format!("A {}", text(a))),
            Fact::new("b", b.cloned()).shown(format!("B {}", text(b))),
        ],
    );
    facts
}

fn add_facts(path: &str, facts: &Facts, leaves: &mut Vec<Leaf>) {
    for fact in facts.0.iter().filter(|fact| !fact.is_conclusion) {
        let field = joined(path, fact.name);
        match &fact.value {
            Value::Json(value) => add_json(&field, value, leaves),
            Value::Group(facts) => add_facts(&field, facts, leaves),
            Value::Groups(groups) => {
                for (index, facts) in groups.iter().enumerate() {
                    add_facts(&format!("{field}[{index}]"), facts, leaves);
                }
            }
        }
    }
}

fn add_json(field: &str, value: &Json, leaves: &mut Vec<Leaf>) {
    match value {
        Json::Null => {}
        Json::Object(counts) => {
            for (name, count) in counts {
                leaves.push((joined(field, name), count.clone()));
            }
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let key = match item.as_str() {
                    Some(text) => format!("{field}[{text}]"),
                    None => format!("{field}[{index}]"),
                };
                leaves.push((key, item.clone()));
            }
        }
        single => leaves.push((field.to_owned(), single.clone())),
    }
}

fn joined(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(name: &str, sum: &[i64], batches: &[&str]) -> Facts {
        let mut inner = Facts::default();
        inner.add(Fact::new("sum", sum));
        inner.add(Fact::new("batches", batches));
        let mut facts = Facts::default();
        facts.add(Fact::new("bins", 3));
        facts.add(Fact::new("name", name));
        facts.add(Fact::new("verified", name).conclusion());
        facts.add(Fact::group("inner", inner));
        facts
    }

    fn listed((total, facts): (usize, Facts)) -> (usize, Vec<String>) {
        let json = serde_json::to_value(facts).unwrap_or_default();
        let listed = json["listed"].as_array().cloned().unwrap_or_default();
        let field = |item: &Json| item["field"].as_str().unwrap_or_default().to_owned();
        (total, listed.iter().map(field).collect())
    }

    #[test]
    fn each_difference_is_named() {
        let a = tree("a", &[1, 2, 3], &["x", "y"]);
        let b = tree("b", &[1, 5], &["y", "z"]);
        let (total, fields) = listed(differences(&a, &b));
        let expected = [
            "name",
            "inner.sum[1]",
            "inner.sum[2]",
            "inner.batches[x]",
            "inner.batches[z]",
        ];
        assert_eq!((total, fields), (5, expected.map(str::to_owned).to_vec()));
        assert_eq!(differences(&a, &a).0, 0);
        assert_eq!(
            differences(&a, &tree("a", &[1, 2, 3], &["y", "x"])).0,
            0,
            "a set"
        );
    }

    #[test]
    fn only_the_first_are_listed() {
        let a: Vec<i64> = (0..100).collect();
        let b: Vec<i64> = (1..101).collect();
        let (total, fields) = listed(differences(&tree("a", &a, &[]), &tree("a", &b, &[])));
        assert_eq!((total, fields.len()), (100, MOST_LISTED_DIFFERENCES));
    }
}
