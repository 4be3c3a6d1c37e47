//! Compares two records as JSON values, field by field.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// How many differences are listed.
const MOST_LISTED_DIFFERENCES: usize = 20;

/// Fields with different values.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FieldDifferences {
    /// The number of different fields.
    pub total: u64,
    /// The first of them.
    pub listed: Vec<FieldDifference>,
}

/// A field with different values.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FieldDifference {
    /// The path of the field, such as `sum-part.sum[3]`.
    pub field: String,
    /// The value in the first; `None` if the field is missing.
    pub a: Option<Value>,
    /// The value in the second; `None` if the field is missing.
    pub b: Option<Value>,
}

/// Compares two values. Compares lists of texts as sets, and other lists element by element.
pub(super) fn differences(a: &Value, b: &Value) -> FieldDifferences {
    let mut found = FieldDifferences::default();
    compare("", Some(a), Some(b), &mut found);
    found
}

fn compare(field: &str, a: Option<&Value>, b: Option<&Value>, found: &mut FieldDifferences) {
    if a == b {
        return;
    }
    match (a, b) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let field = if field.is_empty() {
                    key.clone()
                } else {
                    format!("{field}.{key}")
                };
                compare(&field, left.get(key), right.get(key), found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) if texts(left) && texts(right) => {
            for only in left.iter().filter(|item| !right.contains(item)) {
                found.add(field, Some(only), None);
            }
            for only in right.iter().filter(|item| !left.contains(item)) {
                found.add(field, None, Some(only));
            }
            let same = |(a, b): (&[Value], &[Value])| a.iter().all(|item| b.contains(item));
            if same((left, right)) && same((right, left)) {
                found.add(&format!("{field} (order or repetitions)"), None, None);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            for index in 0..left.len().max(right.len()) {
                compare(
                    &format!("{field}[{index}]"),
                    left.get(index),
                    right.get(index),
                    found,
                );
            }
        }
        _ => found.add(field, a, b),
    }
}

fn texts(list: &[Value]) -> bool {
    !list.is_empty() && list.iter().all(Value::is_string)
}

impl FieldDifferences {
    fn add(&mut self, field: &str, a: Option<&Value>, b: Option<&Value>) {
        self.total += 1;
        if self.listed.len() < MOST_LISTED_DIFFERENCES {
            self.listed.push(FieldDifference {
                field: field.to_owned(),
                a: a.cloned(),
                b: b.cloned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_difference_is_named() {
        let a =
            json!({ "bins": 3, "name": "a", "inner": { "sum": [1, 2, 3], "batches": ["x", "y"] } });
        let b =
            json!({ "bins": 3, "name": "b", "inner": { "sum": [1, 5], "batches": ["y", "z"] } });
        let found = differences(&a, &b);
        let fields: Vec<&str> = found
            .listed
            .iter()
            .map(|difference| difference.field.as_str())
            .collect();
        assert_eq!(
            fields,
            [
                "inner.batches",
                "inner.batches",
                "inner.sum[1]",
                "inner.sum[2]",
                "name"
            ]
        );
        assert_eq!((found.total, differences(&a, &a).total), (5, 0));
        assert_eq!(
            (&found.listed[3].a, &found.listed[3].b),
            (&Some(json!(3)), &None)
        );
    }

    #[test]
    fn only_the_first_are_listed() {
        let a = json!((0..100).collect::<Vec<_>>());
        let b = json!((1..101).collect::<Vec<_>>());
        let found = differences(&a, &b);
        assert_eq!(
            (found.total, found.listed.len()),
            (100, MOST_LISTED_DIFFERENCES)
        );
    }
}
