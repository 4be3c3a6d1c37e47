//! The subset of JSON that manifests use: values that preserve repeated keys, and a deterministic
//! serialisation.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// The entries of an object in the order of the text, repeated keys included.
pub(super) type Entries = Vec<(String, Json)>;

/// A JSON value, reduced to the types that manifests use.
pub(super) enum Json {
    Null,
    Text(String),
    Natural(u64),
    Object(Entries),
    /// Any other value, represented by the name of its type.
    Other(&'static str),
}

impl Json {
    /// Returns the name of the value's type, for an error.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Text(_) => "a string",
            Self::Natural(_) => "a natural number",
            Self::Object(_) => "an object",
            Self::Other(kind) => kind,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other("a boolean"))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Natural(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other("a negative number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other("a fraction"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        // Manifests contain no arrays. The elements are parsed only to check the syntax.
        while list.next_element::<Json>()?.is_some() {}
        Ok(Json::Other("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json, A::Error> {
        let mut entries = Entries::new();
        while let Some(entry) = object.next_entry()? {
            entries.push(entry);
        }
        Ok(Json::Object(entries))
    }
}

/// Serialises a manifest as compact JSON, with keys in declared order.
#[allow(
    clippy::expect_used,
    reason = "structs of strings, integers and maps keyed by strings always serialise"
)]
pub(super) fn to_bytes(manifest: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(manifest).expect("a manifest holds nothing that JSON cannot")
}
