//! Formats an error with all its causes, for logs and messages.

use std::error::Error;

/// Formats an error and its causes as one line: `own: cannot reach a/b: connection refused`.
///
/// Every log line about a failure contains this text, because the last cause names what an operator
/// has to repair ("no space left on device", "SignatureDoesNotMatch"). A cause is skipped if the
/// text before it already ends with the same words: transparent errors, and errors that print their
/// own source, repeat their cause.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failed {
        #[error("cannot reach a/b")]
        Unavailable(#[source] Box<dyn Error>),
        #[error(transparent)]
        Transparent(Box<dyn Error>),
        #[error("request failed: {0}")]
        PrintsItsSource(#[source] std::io::Error),
    }

    #[test]
    fn every_cause_is_said_once() {
        let refused = || std::io::Error::other("connection refused");
        let request = Failed::Unavailable(Box::new(Failed::PrintsItsSource(refused())));
        let error = Failed::Transparent(Box::new(request));
        assert_eq!(
            chain(&error),
            "cannot reach a/b: request failed: connection refused"
        );
        assert_eq!(chain(&refused()), "connection refused");
    }
}
