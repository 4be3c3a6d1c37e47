//! The name of a message's file, which contains the whole changing state of the message.

use std::fmt;

/// Duration of a folder in microseconds, a compromise between the number of folders and the number
/// of files in each.
const FOLDER_MICROS: u64 = 64_000_000;

/// The tree that contains a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The message may be received, whatever the time in its name.
    Ready,
    /// The message may be received once the time in its name has passed.
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

/// The file of a message.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) state: State,
    pub(super) name: Name,
}

/// The parsed name: `TIME-PUBLISHED-ATTEMPT-KIND-ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// In microseconds: the time since which the message is ready, or until which it is held.
    pub(super) time: u64,
    /// Time of publication, in microseconds.
    pub(super) published: u64,
    /// The number of deliveries.
    pub(super) attempt: u32,
    /// Whether the message is held by a lease. A returned lease does not match a name without this
    /// flag.
    pub(super) leased: bool,
    /// Letters and digits, drawn at publication.
    pub(super) id: String,
}

impl Name {
    /// Parses a name; returns `None` for a file that does not belong to the queue.
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
        // Only the canonical spelling: a variant would not be found again under the name derived
        // from it.
        (alphanumeric && name.to_string() == text).then_some(name)
    }

    /// Returns the folder to which the message belongs.
    pub(super) fn folder(&self) -> String {
        folder_at(self.time)
    }

    /// Returns the lease that this name represents. Each delivery increments the attempt, so each
    /// has a different lease.
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

/// Returns the folder of a moment. Folders sort by time.
pub(super) fn folder_at(micros: u64) -> String {
    format!("{:010}", micros / FOLDER_MICROS)
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
