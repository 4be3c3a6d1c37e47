//! A source or destination of messages as written in a configuration.
//!
//! | text | is |
//! |---|---|
//! | `tasks`, `./tasks`, `/srv/tasks` | a directory; a relative one is relative to the configuration |
//! | `file:///srv/tasks` | a directory |
//! | `memory:`, `memory:NAME` | a new queue in memory; the one of this name in this process |
//! | `sqs://REGION/ACCOUNT/NAME`, `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME` | an SQS queue |
//! | `sns:ARN` | an SNS topic: a destination whose messages arrive in the SQS queues subscribed to it |
//! | `pubsub://PROJECT/NAME` | Google Pub/Sub: a subscription as a source, a topic as a destination |
//!
//! The crate `url` cannot parse these texts: a Google project may contain a colon, which a URL
//! reserves for the port.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::QueueError;
use crate::error::setting;

/// A source or destination of messages. The text cannot contain a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A queue in memory; without a name, a new one.
    Memory(String),
    Directory(PathBuf),
    /// An SQS queue.
    Sqs {
        region: String,
        account: String,
        name: String,
    },
    /// An SNS topic.
    Sns {
        region: String,
        arn: String,
    },
    Pubsub {
        project: String,
        /// The name of a subscription or a topic, depending on the use.
        name: String,
    },
}

/// The service that stores the messages of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Memory,
    Directory,
    Aws,
    Gcp,
}

impl Endpoint {
    /// Parses a place. A relative path is relative to `relative_to`.
    pub(crate) fn parse(text: &str, relative_to: &Path) -> Result<Self, QueueError> {
        parse(text, relative_to).map_err(|problem| setting(without_secrets(text), problem))
    }

    pub(crate) fn service(&self) -> Service {
        match self {
            Self::Memory(_) => Service::Memory,
            Self::Directory(_) => Service::Directory,
            Self::Sqs { .. } | Self::Sns { .. } => Service::Aws,
            Self::Pubsub { .. } => Service::Gcp,
        }
    }

    /// Returns whether messages can be published to this endpoint but not received from it.
    pub(crate) fn is_topic(&self) -> bool {
        matches!(self, Self::Sns { .. })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(name) => write!(f, "memory:{name}"),
            Self::Directory(directory) => write!(f, "{}", directory.display()),
            Self::Sqs {
                region,
                account,
                name,
            } => write!(f, "sqs://{region}/{account}/{name}"),
            Self::Sns { arn, .. } => write!(f, "sns:{arn}"),
            Self::Pubsub { project, name } => write!(f, "pubsub://{project}/{name}"),
        }
    }
}

fn parse(text: &str, relative_to: &Path) -> Result<Endpoint, String> {
    if text.trim().is_empty() {
        return Err("the place is empty: write a directory, sqs://REGION/ACCOUNT/NAME or pubsub://PROJECT/NAME".into());
    }
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("the place contains a control character: remove it".into());
    }
    if text.starts_with("arn:") {
        return sns(text);
    }
    match text.split_once(':') {
        Some(("memory", name)) => return memory(name),
        Some(("sns", arn)) => return sns(arn),
        Some(("file", path)) => return file_directory(path),
        _ => {}
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let directory = std::path::absolute(relative_to.join(text));
        return directory
            .map(Endpoint::Directory)
            .map_err(|error| error.to_string());
    };
    if rest.contains(['@', '?', '#']) {
        return Err(
            "user names, queries and fragments are not allowed; credentials are settings".into(),
        );
    }
    let parts: Vec<&str> = rest.split('/').collect();
    match (scheme, parts.as_slice()) {
        ("sqs", [region, account, name]) => sqs(region, account, name),
        ("sqs", _) => Err("an SQS queue has the form sqs://REGION/ACCOUNT/NAME".into()),
        ("https" | "http", [host, account, name]) => match amazon_region(host) {
            Some(region) => sqs(region, account, name),
            None => Err(
                "the host is not one of Amazon SQS: write sqs://REGION/ACCOUNT/NAME, and the server as the setting \
                         endpoint"
                    .into(),
            ),
        },
        ("pubsub", [project, name]) => pubsub(project, name),
        ("pubsub", _) => {
            Err("a Pub/Sub subscription or topic has the form pubsub://PROJECT/NAME, without folders".into())
        }
        _ => Err(
            "the place has to be DIRECTORY, file:///DIRECTORY, memory:NAME, sqs://REGION/ACCOUNT/NAME, sns:ARN, \
                  or pubsub://PROJECT/NAME"
                .into(),
        ),
    }
}

fn memory(name: &str) -> Result<Endpoint, String> {
    match name.bytes().all(is_word) {
        true => Ok(Endpoint::Memory(name.to_owned())),
        false => Err("the name of a queue in memory may contain letters, digits, - and _".into()),
    }
}

/// Parses the part of `file:///srv/tasks` after the scheme. A directory whose name would need
/// percent-encoding has to be given as a plain path.
fn file_directory(rest: &str) -> Result<Endpoint, String> {
    match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') && !path.contains(['@', '?', '#', '%']) => {
            Ok(Endpoint::Directory(PathBuf::from(path)))
        }
        _ => Err("a file URL has the form file:///directory; unusual characters are written in a plain path".into()),
    }
}

/// Returns the region in the name of an SQS host.
fn amazon_region(host: &str) -> Option<&str> {
    let inner = host.strip_prefix("sqs.")?;
    let region = inner
        .strip_suffix(".amazonaws.com")
        .or(inner.strip_suffix(".amazonaws.com.cn"))?;
    (!region.contains('.')).then_some(region)
}

fn sqs(region: &str, account: &str, name: &str) -> Result<Endpoint, String> {
    check_aws_name(region, account, name)?;
    Ok(Endpoint::Sqs {
        region: region.to_owned(),
        account: account.to_owned(),
        name: name.to_owned(),
    })
}

fn sns(arn: &str) -> Result<Endpoint, String> {
    let form = "an SNS topic has the form sns:arn:aws:sns:REGION:ACCOUNT:NAME";
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", partition, "sns", region, account, name] = parts.as_slice() else {
        return Err(form.into());
    };
    if !partition.starts_with("aws") {
        return Err(form.into());
    }
    check_aws_name(region, account, name).map_err(|problem| format!("{form}: {problem}"))?;
    Ok(Endpoint::Sns {
        region: (*region).to_owned(),
        arn: arn.to_owned(),
    })
}

/// Checks the parts of the name of a queue or topic, for which AWS has the same rules.
fn check_aws_name(region: &str, account: &str, name: &str) -> Result<(), String> {
    let is_region = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if region.is_empty() || !region.bytes().all(is_region) {
        return Err(format!(
            "{region:?} is not a region: write one such as us-west-2"
        ));
    }
    if account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "{account:?} is not an account: write its twelve digits"
        ));
    }
    if name.ends_with(".fifo") {
        return Err(
            "FIFO is not supported, because tasks have no order: create a standard queue or topic"
                .into(),
        );
    }
    if !(1..=80).contains(&name.len()) || !name.bytes().all(is_word) {
        return Err(
            "the name of a queue or topic has to be 1 to 80 letters, digits, - and _".into(),
        );
    }
    Ok(())
}

fn pubsub(project: &str, name: &str) -> Result<Endpoint, String> {
    let is_project = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
    if project.is_empty() || !project.bytes().all(is_project) {
        return Err(format!("{project:?} is not the id of a project"));
    }
    let is_name = |byte: u8| is_word(byte) || b".~+".contains(&byte);
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.starts_with("goog");
    if !(begins && name.bytes().all(is_name) && (3..=255).contains(&name.len())) {
        return Err(
            "the name of a subscription or topic has to consist of 3 to 255 letters, digits and - . _ ~ +, and \
                    has to begin with a letter but not with goog"
                .into(),
        );
    }
    Ok(Endpoint::Pubsub {
        project: project.to_owned(),
        name: name.to_owned(),
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Returns the text, or only its scheme if it may contain a user name, a password or a signature.
fn without_secrets(text: &str) -> &str {
    match text.split_once(':') {
        Some((scheme, rest)) if rest.contains(['@', '?', '#']) => scheme,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parsed(text: &str) -> Endpoint {
        Endpoint::parse(text, Path::new("/config")).unwrap()
    }

    #[test]
    fn a_place_says_what_it_was_read_from() {
        for text in [
            "memory:",
            "memory:tasks-1",
            "/srv/tasks",
            "sqs://us-west-2/123456789012/intake-tasks_1",
            "sns:arn:aws:sns:us-west-2:123456789012:intake",
            "sns:arn:aws-us-gov:sns:us-gov-west-1:123456789012:intake",
            "pubsub://my-project/intake.tasks",
            "pubsub://example.com:my-project/intake",
        ] {
            assert_eq!(parsed(text).to_string(), text);
        }
        assert_eq!(parsed("tasks").to_string(), "/config/tasks");
        assert_eq!(parsed("file:///srv/tasks").to_string(), "/srv/tasks");
        for host in [
            "sqs.us-west-2.amazonaws.com",
            "sqs.us-west-2.amazonaws.com.cn",
        ] {
            let text = format!("https://{host}/123456789012/a");
            assert_eq!(parsed(&text).to_string(), "sqs://us-west-2/123456789012/a");
        }
        let arn = "arn:aws:sns:us-west-2:123456789012:intake";
        assert_eq!(parsed(arn).to_string(), format!("sns:{arn}"));
    }

    #[test]
    fn what_cannot_be_a_place_says_why_and_no_secret() {
        for (text, expected) in [
            ("", "the place is empty"),
            ("sqs://us-west-2/intake", "sqs://REGION/ACCOUNT/NAME"),
            ("sqs://us west/1/intake", "not a region"),
            ("sqs://us-west-2/me/intake", "not an account"),
            ("sqs://us-west-2/1/intake.fifo", "FIFO"),
            ("sqs://us-west-2/1/in take", "1 to 80"),
            ("https://queues.example.org/1/a", "setting endpoint"),
            ("sns:intake", "sns:arn:aws:sns:REGION"),
            ("arn:aws:sqs:us-west-2:1:intake", "sns:arn:aws:sns:REGION"),
            ("pubsub://project", "pubsub://PROJECT/NAME"),
            ("pubsub://project/topics/intake", "pubsub://PROJECT/NAME"),
            ("pubsub://project/ab", "3 to 255"),
            ("pubsub://project/google", "goog"),
            ("amqp://host/queue", "has to be DIRECTORY"),
            ("file://tasks", "file:///directory"),
            ("memory:a b", "letters, digits"),
            ("sqs://us-west-2/1/key:SECRET@x", "credentials are settings"),
            ("pubsub://p/name?token=SECRET", "credentials are settings"),
        ] {
            let error = Endpoint::parse(text, Path::new("/config"))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(expected) && !error.contains("SECRET"),
                "{error}"
            );
        }
    }
}
