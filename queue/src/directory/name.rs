//! The name of a message's file: all that changes about a message.

use std::fmt;

/// Microseconds of a folder: few enough files in one, few enough folders.
const STRETCH: u64 = 64_000_000;

/// Which of the two trees a message is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It may be received, whatever the time in its name.
    Ready,
    /// It may be received once the time in its name has passed.
    Held,
}

impl State {
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Held => "held",
        }
    }
}

/// A message's file.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) state: State,
    pub(super) name: Name,
}

/// What a name says: `TIME-PUBLISHED-ATTEMPT-KIND-ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// In microseconds: since when it is ready, or until when it is held.
    pub(super) time: u64,
    /// When it was published, in microseconds.
    pub(super) published: u64,
    /// How often it has been handed out.
    pub(super) attempt: u32,
    /// Whether it is held by a lease, so that a lease that was given back does not find it.
    pub(super) leased: bool,
    /// Letters and digits, drawn when it was published.
    pub(super) id: String,
}

impl Name {
    /// None for a file that is not ours.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts: [&str; 5] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
        let [time, published, attempt, kind, id] = parts;
        let number = |digits: &str| digits.parse::<u64>().ok();
        let name = Self {
            time: number(time)?,
            published: number(published)?,
            attempt: attempt.parse().ok()?,
            leased: match kind {
                "leased" => true,
                "free" => false,
                _ => return None,
            },
            id: id.to_owned(),
        };
        let alphanumeric = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        // As we write it: what only looks like it would not be found again under the name we make of it.
        (alphanumeric && name.to_string() == text).then_some(name)
    }

    /// The folder that it belongs into.
    pub(super) fn folder(&self) -> String {
        folder_at(self.time)
    }

    /// The lease that this name stands for. Each hand-out counts an attempt, so each has another.
    pub(super) fn lease(&self) -> String {
        format!("{}.{}", self.id, self.attempt)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.leased { "leased" } else { "free" };
        let Self {
            time,
            published,
            attempt,
            id,
            ..
        } = self;
        write!(f, "{time:016}-{published:016}-{attempt}-{kind}-{id}")
    }
}

/// The folder of a moment; folders sort by time.
pub(super) fn folder_at(micros: u64) -> String {
    format!("{:010}", micros / STRETCH)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_says_what_it_was_made_of() {
        let text = "1604176140000000-1604176139000001-12-leased-aB3";
        let name = Name::parse(text).unwrap();
        assert_eq!(
            (name.time, name.attempt, name.leased),
            (1_604_176_140_000_000, 12, true)
        );
        assert_eq!(name.to_string(), text);
        assert_eq!(name.lease(), "aB3.12");
        assert_eq!(name.folder(), "0025065252");
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let all = [
            "",
            ".nfs0001",
            "README",
            "1604176140000000-1604176139000001-12-leased",
            "1604176140000000-1604176139000001-12-leased-a-b",
            "1604176140000000-1604176139000001-12-leased-a/b",
            "1604176140000000-1604176139000001-012-leased-ab",
            "1604176140-1604176139000001-12-leased-ab",
            "1604176140000000-1604176139000001-12-lost-ab",
        ];
        for text in all {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }
}
