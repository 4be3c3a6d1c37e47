//! Strict YAML parsing, with error messages that contain no value from the file.
use serde::de::DeserializeOwned;
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, MergeKeyPolicy, Options};

/// The position and reason of a parse error.
pub(crate) struct Fault {
    /// Line from 1, or 0 if unknown.
    pub(crate) line: u64,
    /// Column in characters from 1, or 0 if unknown.
    pub(crate) column: u64,
    /// Dotted path of the key; empty at the top of the document.
    pub(crate) key: String,
    /// The problem, without the value.
    pub(crate) problem: String,
}

/// Parses exactly one YAML document.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    // The parser's own errors contain lines but no keys, so the path is tracked around the
    // deserializer.
    let mut key = String::new();
    let read = |deserializer: serde_saphyr::Deserializer<'_, '_>| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            key = error.path().to_string();
            error.into_inner()
        })
    };
    serde_saphyr::with_deserializer_from_str_with_options(text, options(), read)
        .map_err(|error| fault(error.without_snippet(), text, key))
}

/// Returns strict options: ambiguous input is rejected, and errors contain no part of the text.
fn options() -> Options {
    serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_nodes: 50_000,
            max_aliases: 100,
            max_documents: 2,
        },
    }
}

fn fault(error: &Error, text: &str, key: String) -> Fault {
    let location = error.location();
    // `.` is the path of the whole document.
    let key = if key == "." {
        String::new()
    } else {
        printable(&key)
    };
    Fault {
        line: location.map_or(0, |location| location.line()),
        column: location.map_or(0, |location| location.column()),
        key,
        problem: problem(error, location.and_then(|location| scalar(text, location))),
    }
}

/// Describes the error. `value` is the source text at the position of the error; the result must
/// not contain it.
fn problem(error: &Error, value: Option<&str>) -> String {
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => unknown_key(field, expected),
        Error::SerdeMissingField { field, .. } => format!("missing key `{field}`"),
        Error::DuplicateMappingKey { .. } => "this key appears twice".to_owned(),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            format!("expected {expected}")
        }
        Error::SerdeInvalidLength { expected, .. } => format!("wrong length, expected {expected}"),
        Error::SerdeUnknownVariant { expected, .. } => {
            format!("expected {}", alternatives(expected))
        }
        Error::InvalidScalar { ty, .. } => format!("expected {ty}"),
        Error::Unexpected { expected, .. } => format!("expected {expected}"),
        Error::Eof { .. } => "the document ends too early".to_owned(),
        Error::MultipleDocuments { .. } => "more than one document".to_owned(),
        Error::MergeKeyNotAllowed { .. } => "merge keys (`<<`) are not supported".to_owned(),
        Error::InvalidBooleanStrict { .. } => "expected true or false".to_owned(),
        Error::NullIntoString { .. } => "expected a string, found null".to_owned(),
        Error::UnknownAnchor { .. } => "alias of an undefined anchor".to_owned(),
        Error::Budget { .. } => "nested too deeply, or too many nodes for a config file".to_owned(),
        // Messages of the underlying parser are fixed sentences about the syntax.
        Error::ExternalMessage { .. } => "not valid YAML".to_owned(),
        Error::Message { msg, .. } => without_value(msg, value),
        Error::AliasError { error, .. } => problem(error, value),
        // All other kinds are rare, and some contain the value they found.
        _ => "the value does not have the expected form".to_owned(),
    }
}

fn unknown_key(field: &str, expected: &[&str]) -> String {
    let field = printable(field);
    match nearest(&field, expected) {
        Some(near) => format!("unknown key `{field}`, did you mean `{near}`?"),
        None => format!("unknown key `{field}`, expected {}", alternatives(expected)),
    }
}

/// "`a`, `b` or `c`".
fn alternatives(names: &[&str]) -> String {
    match names {
        [] => "no key".to_owned(),
        [name] => format!("`{name}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

/// Returns the expected name closest to `name`, if it is within two edits.
fn nearest<'a>(name: &str, expected: &[&'a str]) -> Option<&'a str> {
    let near = expected
        .iter()
        .map(|candidate| (edits(name, candidate), *candidate))
        .min()?;
    (near.0 <= 2).then_some(near.1)
}

/// Returns the edit distance of two names in characters. Both are short: a key of a config type,
/// and a key truncated by [`printable`].
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

/// Removes the value from a message that a type's own check wrote. If the file may spell the value
/// differently (escapes, tags, several lines), the whole message is replaced.
fn without_value(message: &str, value: Option<&str>) -> String {
    match value {
        Some(text) => printable(&message.replace(text, "(value)")),
        None => "not a valid value for this key".to_owned(),
    }
}

/// Returns the scalar at `place` without its quotes, if its spelling in the file equals its value.
fn scalar(text: &str, location: Location) -> Option<&str> {
    let start = usize::try_from(location.span().byte_offset()?).ok()?;
    let length = usize::try_from(location.span().byte_len()?).ok()?;
    let before = text.get(..start)?.trim_end_matches(' ');
    let source = text.get(start..start.checked_add(length)?)?.trim();
    // Any other text before the scalar is a tag or an anchor, and a tag can change the value.
    let bare = before.is_empty() || before.ends_with([':', '-', ',', '[', '{', '\n']);
    let inner = source
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let inner = inner.or_else(|| {
        source
            .strip_prefix('\'')
            .and_then(|rest| rest.strip_suffix('\''))
    });
    let inner = inner.unwrap_or(source);
    let respelled = inner.contains(['\\', '\'', '"']) || inner.chars().any(char::is_control);
    let indirect = source.starts_with(['!', '&', '*', '|', '>', '{', '[']);
    (bare && !respelled && !indirect && !inner.is_empty()).then_some(inner)
}

/// Formats a text from the file for one line of a log: control characters are replaced, and the
/// text is cut at 100 characters.
fn printable(text: &str) -> String {
    text.chars()
        .take(100)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found() {
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("role", "rule"), 1);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(nearest("bucket", &["buckets", "role"]), Some("buckets"));
        assert_eq!(nearest("colour", &["buckets", "role"]), None);
    }

    #[test]
    fn alternatives_read_as_a_sentence() {
        assert_eq!(alternatives(&["a"]), "`a`");
        assert_eq!(alternatives(&["a", "b", "c"]), "`a`, `b` or `c`");
    }

    #[test]
    fn a_quoted_value_is_cut_out_or_the_message_dropped() {
        assert_eq!(
            without_value("abc is too short", Some("abc")),
            "(value) is too short"
        );
        assert_eq!(
            without_value("abc is too short", None),
            "not a valid value for this key"
        );
    }
}
