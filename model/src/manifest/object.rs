//! A reader of JSON objects whose keys are all known. It tracks the path of the current object, so
//! that errors can name it, and it detects repeated keys, which a derived parser ignores in maps.

use std::error::Error;

use super::ManifestError;
use super::json::{Entries, Json};

/// The number of characters of a key that an error shows: other organisations choose the keys.
const LONGEST_KEY_SHOWN: usize = 100;

/// One object of a document. Readers take its keys one by one; [`finish`](Self::finish) requires
/// that none is left.
pub(super) struct Object<'a> {
    document: &'a str,
    path: String,
    entries: Entries,
}

impl<'a> Object<'a> {
    /// Parses the outermost object of a document of at most `limit` bytes.
    pub(super) fn root(
        document: &'a str,
        bytes: &[u8],
        limit: usize,
    ) -> Result<Self, ManifestError> {
        // Checked first, because parsing takes memory in proportion to the size.
        if bytes.len() > limit {
            let document = document.to_owned();
            return Err(ManifestError::TooLarge {
                document,
                size: bytes.len(),
                limit,
            });
        }
        match serde_json::from_slice(bytes) {
            Ok(json) => Self::within(document, String::new(), json),
            Err(source) => Err(ManifestError::NotJson {
                document: document.to_owned(),
                source,
            }),
        }
    }

    fn within(document: &'a str, path: String, json: Json) -> Result<Self, ManifestError> {
        let Json::Object(entries) = json else {
            let (document, found) = (document.to_owned(), json.kind());
            let key = if path.is_empty() {
                "(document)".to_owned()
            } else {
                path
            };
            return Err(ManifestError::WrongType {
                document,
                key,
                expected: "an object",
                found,
            });
        };
        let object = Self {
            document,
            path,
            entries,
        };
        object.refuse_repeated_keys()?;
        Ok(object)
    }

    fn refuse_repeated_keys(&self) -> Result<(), ManifestError> {
        let mut keys: Vec<&str> = self.entries.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            None => Ok(()),
            Some(pair) => Err(ManifestError::RepeatedKey {
                document: self.document(),
                key: self.key(pair[0]),
            }),
        }
    }

    /// Returns the document's name, for an error.
    pub(super) fn document(&self) -> String {
        self.document.to_owned()
    }

    /// Returns the path of this object, for an error.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the path of one of this object's keys, safe to print.
    fn key(&self, key: &str) -> String {
        let shown: String = key
            .chars()
            .take(LONGEST_KEY_SHOWN)
            .flat_map(char::escape_debug)
            .collect();
        if self.path.is_empty() {
            shown
        } else {
            format!("{}.{shown}", self.path)
        }
    }

    fn remove(&mut self, key: &str) -> Option<Json> {
        let position = self.entries.iter().position(|(found, _)| found == key)?;
        Some(self.entries.swap_remove(position).1)
    }

    fn required(&mut self, key: &str) -> Result<Json, ManifestError> {
        self.remove(key).ok_or_else(|| ManifestError::MissingKey {
            document: self.document(),
            key: self.key(key),
        })
    }

    fn wrong_type(&self, key: &str, expected: &'static str, found: &Json) -> ManifestError {
        let found = found.kind();
        ManifestError::WrongType {
            document: self.document(),
            key: self.key(key),
            expected,
            found,
        }
    }

    /// Returns the error for a value of the right type but with an invalid content.
    pub(super) fn bad_value(
        &self,
        key: &str,
        source: impl Error + Send + Sync + 'static,
    ) -> ManifestError {
        let (document, key) = (self.document(), self.key(key));
        ManifestError::BadValue {
            document,
            key,
            source: Box::new(source),
        }
    }

    /// Takes a required natural number.
    pub(super) fn natural(&mut self, key: &str) -> Result<u64, ManifestError> {
        match self.required(key)? {
            Json::Natural(number) => Ok(number),
            other => Err(self.wrong_type(key, "a natural number", &other)),
        }
    }

    /// Takes a natural number; `None` if the key is absent or null.
    pub(super) fn natural_if_any(&mut self, key: &str) -> Result<Option<u64>, ManifestError> {
        match self.remove(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Natural(number)) => Ok(Some(number)),
            Some(other) => Err(self.wrong_type(key, "a natural number", &other)),
        }
    }

    /// Takes a required string.
    pub(super) fn text(&mut self, key: &str) -> Result<String, ManifestError> {
        match self.required(key)? {
            Json::Text(text) => Ok(text),
            other => Err(self.wrong_type(key, "a string", &other)),
        }
    }

    /// Takes a string; `None` if the key is absent. Null is an error.
    pub(super) fn text_if_there(&mut self, key: &str) -> Result<Option<String>, ManifestError> {
        match self.remove(key) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(key, "a string", &other)),
        }
    }

    /// Takes a string; `None` if the key is absent or null.
    pub(super) fn text_if_any(&mut self, key: &str) -> Result<Option<String>, ManifestError> {
        match self.remove(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(key, "a string", &other)),
        }
    }

    /// Takes a required object.
    pub(super) fn object(&mut self, key: &str) -> Result<Object<'a>, ManifestError> {
        let json = self.required(key)?;
        Object::within(self.document, self.key(key), json)
    }

    /// Takes the `format` number, which has to be one of `supported`.
    pub(super) fn format(&mut self, supported: &'static [u64]) -> Result<u64, ManifestError> {
        let format = self.natural("format")?;
        if supported.contains(&format) {
            return Ok(format);
        }
        Err(ManifestError::UnsupportedFormat {
            document: self.document(),
            format,
            supported,
        })
    }

    /// Returns the names of all remaining keys, for objects that are maps.
    pub(super) fn names(&self) -> Vec<String> {
        self.entries.iter().map(|(key, _)| key.clone()).collect()
    }

    /// Checks that no key is left.
    pub(super) fn finish(self) -> Result<(), ManifestError> {
        match self.entries.first() {
            None => Ok(()),
            Some((key, _)) => Err(ManifestError::UnknownKey {
                document: self.document(),
                key: self.key(key),
            }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn root(text: &str) -> Result<Object<'_>, ManifestError> {
        Object::root("test.json", text.as_bytes(), 1000)
    }

    fn refusal<T>(result: Result<T, ManifestError>) -> String {
        result.err().expect("refused").to_string()
    }

    #[test]
    fn says_where_it_is() {
        let mut outer = root(r#"{"a":{"b":{"c":7}},"d":[1,{"x":null}]}"#).unwrap();
        let mut inner = outer.object("a").unwrap().object("b").unwrap();
        assert_eq!(
            refusal(inner.text("c")),
            "manifest test.json: key a.b.c is a natural number, not a string"
        );
        assert_eq!(
            refusal(inner.text("c")),
            "manifest test.json: key a.b.c is missing"
        );
        assert_eq!(
            refusal(outer.finish()),
            "manifest test.json: key d is unknown"
        );
    }

    #[test]
    fn refuses_what_is_not_one_object() {
        for (text, found) in [
            ("[]", "an array"),
            ("null", "null"),
            ("-1", "a negative number"),
            ("1.5", "a fraction"),
        ] {
            assert_eq!(
                refusal(root(text)),
                format!("manifest test.json: key (document) is {found}, not an object")
            );
        }
        for text in ["", "{", "{} {}", "{\"a\":1,}", "\u{feff}{}"] {
            assert!(
                matches!(root(text), Err(ManifestError::NotJson { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_too_many_bytes_and_too_deep_a_text() {
        assert!(matches!(
            Object::root("t", b"{   }", 4),
            Err(ManifestError::TooLarge {
                size: 5,
                limit: 4,
                ..
            })
        ));
        let deep = "[".repeat(900);
        assert!(matches!(root(&deep), Err(ManifestError::NotJson { .. })));
    }

    #[test]
    fn refuses_repeated_keys_and_prints_them_safely() {
        assert_eq!(
            refusal(root(r#"{"a":1,"b":2,"a":1}"#)),
            "manifest test.json: key a is repeated"
        );
        let mut outer = root("{\"a\":{\"x\\ny\":1}}").unwrap();
        assert_eq!(
            refusal(outer.object("a").unwrap().finish()),
            r"manifest test.json: key a.x\ny is unknown"
        );
    }
}
