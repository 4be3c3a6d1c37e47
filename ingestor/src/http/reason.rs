//! Messages for reports that cannot be parsed, in JSON terms instead of Rust terms.

use serde_json::error::Category;
use tallybox_model::report::json::JsonReport;

/// Phrases of the decoder, and their replacements in answers.
const REPLACEMENTS: [(&str, &str); 15] = [
    ("expected i32", "expected a whole number of 32 bits"),
    ("expected i64", "expected a whole number of 64 bits"),
    (
        "expected u64",
        "expected a whole number that is not negative",
    ),
    (
        "expected u32",
        "expected a whole number of 32 bits that is not negative",
    ),
    ("expected f64", "expected a number"),
    ("expected a sequence", "expected an array"),
    ("expected unit", "expected null"),
    ("expected a borrowed string", "expected a string"),
    ("expected identifier", "expected the name of a member"),
    ("expected byte array", "expected bytes"),
    ("invalid type: map", "invalid type: object"),
    ("invalid type: sequence", "invalid type: array"),
    ("invalid type: unit value", "invalid type: null"),
    ("unknown field", "unknown member"),
    ("missing field", "missing member"),
];

/// Returns why `text` is not a report. The message starts with the path of the faulty member.
pub(super) fn explain_report(text: &[u8], error: &serde_json::Error) -> String {
    if error.classify() != Category::Data {
        return plain(&error.to_string());
    }
    // The first, fast pass does not track paths. Only a report that fails is parsed again to find
    // the member at fault.
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    match serde_path_to_error::deserialize::<_, JsonReport>(&mut deserializer) {
        Ok(_) => plain(&error.to_string()),
        Err(found) => {
            let path = found.path().to_string();
            let message = plain(&without_position(&found.into_inner().to_string()));
            if path == "." {
                message
            } else {
                format!("{path}: {message}")
            }
        }
    }
}

/// Returns a decoder's message in JSON terms.
pub(super) fn plain(message: &str) -> String {
    let mut message = message.to_owned();
    for (theirs, ours) in REPLACEMENTS {
        message = message.replace(theirs, ours);
    }
    message
}

/// Returns the message without line and column: they count from the start of the report, but the
/// client knows positions in the body.
fn without_position(message: &str) -> String {
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn explanation(text: &str) -> String {
        let error = serde_json::from_str::<JsonReport>(text).unwrap_err();
        explain_report(text.as_bytes(), &error)
    }

    #[test]
    fn the_member_at_fault_is_named_in_words_of_json() {
        let payload = |inside: &str| format!("{{\"metricName\":\"a\",\"payload\":{{{inside}}}}}");
        for (text, expected) in [
            (
                "7".to_owned(),
                "invalid type: integer `7`, expected a report: an object with metricName and payload",
            ),
            (
                payload("\"schemaVersion\":\"2\""),
                "payload.schemaVersion: invalid type: string \"2\", expected a whole number of 32 bits",
            ),
            (
                payload("\"prioParams\":{\"bins\":2.5}"),
                "payload.prioParams.bins: invalid type: floating point `2.5`, expected a whole number of 32 bits",
            ),
            (
                payload("\"encryptedDataShares\":[{\"payload\":\"!\"}]"),
                "payload.encryptedDataShares[0].payload: not padded base64",
            ),
            (
                payload("\"uuid\":{}"),
                "payload.uuid: invalid type: object, expected a string",
            ),
            ("{}".to_owned(), "missing member `metricName`"),
        ] {
            assert_eq!(explanation(&text), expected, "{text}");
        }
        assert!(
            explanation(&payload("\"colour\":1"))
                .starts_with("payload.colour: unknown member `colour`, expected one of `uuid`")
        );
        assert!(explanation("{").contains("line 1"));
    }
}
