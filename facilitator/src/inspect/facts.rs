//! The facts about an object: a tree of named values. JSON, text and comparisons follow from it.

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt::Display;
use tallybox_model::digest::Digest;
use tallybox_service::chart::Tone;
use tallybox_service::progress::grouped;

/// How many digits of a digest a text contains, enough for a visual comparison.
const SHOWN_DIGITS: usize = 16;

/// Facts in the order in which a report contains them.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Facts(pub(super) Vec<Fact>);

/// A named value, and its form in a text.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Fact {
    /// The name in JSON and in comparisons, in kebab case.
    pub(super) name: &'static str,
    pub(super) value: Value,
    /// The label of the row that contains the fact, if it differs from the name. Successive facts
    /// with the same label share a row; those with an empty one precede a group's rows.
    pub(super) row: Option<&'static str>,
    /// The text, if it differs from the value; empty for a fact that only JSON contains.
    shown: Option<String>,
    pub(super) tone: Option<Tone>,
    /// True if the fact is a conclusion, which comparisons of objects ignore.
    pub(super) is_conclusion: bool,
}

/// The value of a fact.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    /// A single value, an array of them, or counts by name.
    Json(Json),
    /// Further facts.
    Group(Facts),
    /// Several groups of facts.
    Groups(Vec<Facts>),
}

impl Facts {
    /// Creates the facts about an object of which only the length is known.
    pub(super) fn size(bytes: u64) -> Self {
        let size = Fact::new("bytes", bytes).unit("bytes");
        Self(vec![size.row("size")])
    }

    /// Adds a fact.
    pub(super) fn add(&mut self, fact: Fact) {
        self.0.push(fact);
    }

    /// Adds a fact to the row of the fact that contains all of these.
    pub(super) fn head(&mut self, fact: Fact) {
        self.add(fact.row(""));
    }

    /// Adds facts that share a row of a text.
    pub(super) fn row(&mut self, label: &'static str, facts: impl IntoIterator<Item = Fact>) {
        self.0.extend(facts.into_iter().map(|fact| fact.row(label)));
    }

    /// Returns the value with this name.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        let fact = self.0.iter().find(|fact| fact.name == name)?;
        Some(&fact.value)
    }
}

impl Fact {
    pub(super) fn new(name: &'static str, value: impl Into<Json>) -> Self {
        Self::with(name, Value::Json(value.into()))
    }

    /// Creates a fact that consists of others.
    pub(super) fn group(name: &'static str, facts: impl Into<Option<Facts>>) -> Self {
        let facts = facts.into().map(Value::Group);
        Self::with(name, facts.unwrap_or(Value::Json(Json::Null)))
    }

    /// Creates a list of groups.
    pub(super) fn groups(name: &'static str, groups: Vec<Facts>) -> Self {
        Self::with(name, Value::Groups(groups))
    }

    /// Creates a fact about counts by name.
    pub(super) fn counts(name: &'static str, counts: BTreeMap<String, u64>) -> Self {
        let counts = counts.into_iter().map(|(name, count)| (name, count.into()));
        Self::new(name, Json::Object(counts.collect()))
    }

    /// Creates a count of defects, which a text contains only if there are any.
    pub(super) fn defects(name: &'static str, count: u64, unit: &str) -> Self {
        match count {
            0 => Self::new(name, count).hidden(),
            _ => Self::new(name, count).unit(unit).tone(Tone::Bad),
        }
    }

    /// Creates a flag that is shown as one of two texts, or not at all if that text is empty.
    pub(super) fn flag(name: &'static str, flag: bool, [yes, no]: [&str; 2]) -> Self {
        Self::new(name, flag).shown(if flag { yes } else { no })
    }

    /// Creates the facts about a file.
    pub(super) fn file(bytes: u64, sha256: Option<Digest>) -> [Self; 2] {
        let sha256 = sha256.map(|digest| digest.to_hex());
        [
            Self::new("bytes", bytes).unit("bytes"),
            Self::new("sha256", sha256),
        ]
    }

    fn with(name: &'static str, value: Value) -> Self {
        Self {
            name,
            value,
            row: None,
            shown: None,
            tone: None,
            is_conclusion: false,
        }
    }

    pub(super) fn row(mut self, label: &'static str) -> Self {
        self.row = Some(label);
        self
    }

    pub(super) fn shown(mut self, text: impl Display) -> Self {
        self.shown = Some(text.to_string());
        self
    }

    pub(super) fn unit(self, unit: &str) -> Self {
        match self.single() {
            Some(value) => self.shown(format!("{value} {unit}")),
            None => self,
        }
    }

    /// Shows the value without its name.
    pub(super) fn unnamed(self) -> Self {
        let text = self.single().unwrap_or_default();
        self.shown(text)
    }

    pub(super) fn hidden(self) -> Self {
        self.shown("")
    }

    pub(super) fn tone(mut self, tone: Tone) -> Self {
        self.tone = Some(tone);
        self
    }

    pub(super) fn conclusion(mut self) -> Self {
        self.is_conclusion = true;
        self
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.shown.as_deref() == Some("")
    }

    fn single(&self) -> Option<String> {
        match &self.value {
            Value::Json(json) => text_of(json),
            Value::Group(_) | Value::Groups(_) => None,
        }
    }

    /// Returns the label of a row that contains only this fact.
    pub(super) fn label(&self) -> String {
        self.row.unwrap_or(self.name).replace('-', " ")
    }

    /// Returns the text of a single value, with its name if the fact shares a row.
    pub(super) fn text(&self, shares_row: bool) -> Option<String> {
        match &self.shown {
            Some(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            None if !shares_row => self.single(),
            None => Some(format!(
                "{} {}",
                self.name.replace('-', " "),
                self.single()?
            )),
        }
    }
}

/// Returns the text of a single value; `None` for unknown and for several values.
pub(super) fn text_of(value: &Json) -> Option<String> {
    Some(match value {
        Json::Null | Json::Array(_) | Json::Object(_) => return None,
        Json::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Json::Number(number) => match number.as_u64() {
            Some(number) => grouped(number),
            None => number.to_string(),
        },
        Json::String(text) if text.is_empty() => "(empty)".to_owned(),
        Json::String(text) if Digest::from_hex(text).is_some() => {
            text.chars().take(SHOWN_DIGITS).collect()
        }
        Json::String(text) => text.clone(),
    })
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for fact in &self.0 {
            map.serialize_entry(fact.name, &fact.value)?;
        }
        map.end()
    }
}
