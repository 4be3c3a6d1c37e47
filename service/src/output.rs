//! Output of a command: its summary, or one line that states why it failed.
use std::fmt::{self, Display};
use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::exit::Exit;
use crate::progress::Progress;
use tallybox_model::cause::chain;

/// The result of a successful command: fields for machines, lines for people.
pub trait Summary: Serialize {
    /// Writes the lines for people, without a newline at the end.
    ///
    /// # Errors
    /// Only errors of the formatter.
    fn human(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// The reason why a command failed, with an exit code from the table at [`Exit`].
///
/// The JSON form is `{"outcome":"rejected","reason":"bad-signature","object":"…","message":"…"}`,
/// followed by the details.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The exit code, also the `outcome` in JSON; never [`Exit::Done`].
    #[serde(rename = "outcome")]
    pub exit: Exit,
    /// A machine-readable reason in kebab case, from the program's closed list.
    pub reason: String,
    /// The object, file or batch that the failure concerns, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// A message for people: lower case, no full stop, no secret.
    pub message: String,
    /// Further named facts, such as the other object and both digests of a conflict.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

impl Failure {
    /// Creates a failure that names no object.
    pub fn new(exit: Exit, reason: impl Into<String>, message: impl Display) -> Self {
        Self {
            exit,
            reason: reason.into(),
            object: None,
            message: message.to_string(),
            details: Map::new(),
        }
    }

    /// Creates a failure from an error and its causes: `cannot read: no such file or directory`.
    pub fn from_error(
        exit: Exit,
        reason: impl Into<String>,
        error: &dyn std::error::Error,
    ) -> Self {
        Self::new(exit, reason, chain(error))
    }

    /// Names the object that the failure concerns.
    #[must_use]
    pub fn object(mut self, object: impl Display) -> Self {
        self.object = Some(object.to_string());
        self
    }

    /// Adds a fact. A name that the JSON form already uses is ignored.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        if !["outcome", "reason", "object", "message"].contains(&name) {
            self.details.insert(name.to_owned(), value.into());
        }
        self
    }
}

impl Display for Failure {
    /// Writes `rejected (bad-signature): OBJECT: MESSAGE [name=value …]`, always one line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}): ", self.exit, OneLine(&self.reason))?;
        // Many messages already contain the object's name.
        if let Some(object) = self
            .object
            .as_deref()
            .filter(|object| !self.message.contains(object))
        {
            write!(formatter, "{}: ", OneLine(object))?;
        }
        write!(formatter, "{}", OneLine(&self.message))?;
        for (name, value) in &self.details {
            match value {
                Value::String(text) => write!(formatter, " {name}={}", OneLine(text))?,
                other => write!(formatter, " {name}={other}")?,
            }
        }
        Ok(())
    }
}

/// A text from outside, escaped for a terminal. Control characters are escaped, so that the name of
/// a peer's object can neither move the cursor nor start a second line.
struct OneLine<'a>(&'a str);

impl Display for OneLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character.is_control()
                || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            {
                write!(formatter, "{}", character.escape_default())?;
            } else {
                fmt::Write::write_char(formatter, character)?;
            }
        }
        Ok(())
    }
}

/// The options `--json` and `--quiet`, for a program's command line (`#[command(flatten)]`).
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Output {
    /// Print the summary, or the reason of a failure, as one line of JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Do not draw a progress bar
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

impl Output {
    /// Creates output for machines (`true`) or people, with a progress bar on a terminal.
    pub fn new(json: bool) -> Self {
        Self { json, quiet: false }
    }

    /// Prints the summary to stdout.
    ///
    /// # Errors
    /// If stdout cannot be written. A pipe that the reader has closed is not an error.
    pub fn summary(&self, summary: &impl Summary) -> io::Result<()> {
        survive(self.write_summary(&mut io::stdout().lock(), summary))
    }

    /// Prints the failure (with `--json`, one JSON line on stdout; otherwise, one line on stderr)
    /// and returns its exit code.
    pub fn failure(&self, failure: &Failure) -> Exit {
        // An error here cannot be reported anywhere; the exit code still states the failure.
        let _ = if self.json {
            write_json(&mut io::stdout().lock(), failure)
        } else {
            crate::progress::bars().suspend(|| writeln!(io::stderr(), "{failure}"))
        };
        failure.exit
    }

    /// Creates a progress bar over `total_bytes`, or a hidden one with `--json` or `--quiet`.
    pub fn progress(&self, total_bytes: Option<u64>, label: &str) -> Progress {
        if self.json || self.quiet {
            Progress::hidden()
        } else {
            Progress::packets(total_bytes, label)
        }
    }

    fn write_summary(self, out: &mut dyn Write, summary: &impl Summary) -> io::Result<()> {
        if self.json {
            write_json(out, summary)
        } else {
            writeln!(
                out,
                "{}",
                fmt::from_fn(|formatter| summary.human(formatter))
            )?;
            out.flush()
        }
    }
}

/// Writes one line of JSON with a single call, so that other output cannot split it.
fn write_json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

/// Accepts a closed pipe: with `| head`, the reader has chosen to stop.
fn survive(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Counted {
        packets: u64,
        rejected: u64,
    }

    impl Summary for Counted {
        fn human(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(
                formatter,
                "packets   {}\nrejected  {}",
                self.packets, self.rejected
            )
        }
    }

    /// A stdout whose reader has closed the pipe, or whose disk is full.
    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    fn written(json: bool) -> String {
        let mut bytes = Vec::new();
        Output::new(json)
            .write_summary(
                &mut bytes,
                &Counted {
                    packets: 20,
                    rejected: 2,
                },
            )
            .unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn people_get_lines_and_machines_one_line() {
        assert_eq!(written(false), "packets   20\nrejected  2\n");
        assert_eq!(written(true), "{\"packets\":20,\"rejected\":2}\n");
    }

    #[test]
    fn a_reader_that_went_away_is_no_fault_but_a_full_disk_is() {
        for json in [false, true] {
            let counted = Counted {
                packets: 1,
                rejected: 0,
            };
            let write =
                |kind| survive(Output::new(json).write_summary(&mut Broken(kind), &counted));
            assert!(write(io::ErrorKind::BrokenPipe).is_ok());
            assert_eq!(
                write(io::ErrorKind::StorageFull).unwrap_err().kind(),
                io::ErrorKind::StorageFull
            );
        }
    }

    #[test]
    fn a_failure_is_one_line_in_both_forms() {
        let failure = Failure::new(
            Exit::Rejected,
            "bad-signature",
            "header signature does not verify with key k2",
        )
        .object("a/b.batch")
        .detail("digest", "00ff")
        .detail("count", 3)
        .detail("reason", "second word");
        assert_eq!(
            failure.to_string(),
            "rejected (bad-signature): a/b.batch: header signature does not verify with key k2 count=3 digest=00ff"
        );
        assert_eq!(
            serde_json::to_string(&failure).unwrap(),
            "{\"outcome\":\"rejected\",\"reason\":\"bad-signature\",\"object\":\"a/b.batch\",\
             \"message\":\"header signature does not verify with key k2\",\"count\":3,\"digest\":\"00ff\"}"
        );
        assert_eq!(Output::new(false).failure(&failure), Exit::Rejected);
    }

    #[test]
    fn names_from_outside_cannot_write_on_the_terminal() {
        let failure = Failure::new(Exit::Retry, "absent", "not there\nrejected (x): forged")
            .object("a\u{1b}[2Jb\r");
        let line = failure.to_string();
        assert_eq!(
            line,
            "retry (absent): a\\u{1b}[2Jb\\r: not there\\nrejected (x): forged"
        );
        let json = serde_json::to_string(&failure).unwrap();
        assert!(!json.contains(['\n', '\u{1b}']), "{json}");
    }

    #[test]
    fn an_object_named_by_the_message_is_not_said_twice() {
        let failure =
            Failure::new(Exit::Retry, "absent", "a/b.batch: not there").object("a/b.batch");
        assert_eq!(failure.to_string(), "retry (absent): a/b.batch: not there");
    }

    #[test]
    fn causes_are_told_once() {
        let error = crate::ConfigError::Unreadable {
            path: "first.yaml".into(),
            source: io::Error::new(io::ErrorKind::NotFound, "gone"),
        };
        let failure = Failure::from_error(Exit::Usage, "config", &error);
        assert_eq!(failure.message, "config file first.yaml: cannot read: gone");
    }
}
