//! Exit codes: one for each decision that a cron job or a person can take.
use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use serde::{Serialize, Serializer};

use crate::version::Build;

/// The result of a command.
///
/// | code | variant | what the caller should do |
/// |---|---|---|
/// | 0 | `Done` | continue; also returned if the same bytes already exist |
/// | 2 | `Usage` | correct the command line or the configuration file |
/// | 3 | `Rejected` | do not run it again: a retry cannot succeed; one line states the reason |
/// | 4 | `Retry` | call again later: something is missing or out of reach |
/// | 5 | `Conflict` | investigate: an object exists with other bytes; nothing was overwritten |
/// | 6 | `BelowMinimum` | nothing, or call again later: too few accepted packets for a sum part |
/// | 7 | `Held` | investigate: an operator has to release what would be published |
///
/// Code 1 is left to the Rust runtime and has no meaning here. A panic exits with 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done by this call or an earlier one.
    Done = 0,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The input can never succeed.
    Rejected = 3,
    /// The same call can succeed later.
    Retry = 4,
    /// An object exists with other bytes than the ones to be written.
    Conflict = 5,
    /// There are fewer accepted packets than the configured minimum.
    BelowMinimum = 6,
    /// An operator has to release the result.
    Held = 7,
}

impl Exit {
    /// All results, in the order of their codes.
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::Usage,
        Self::Rejected,
        Self::Retry,
        Self::Conflict,
        Self::BelowMinimum,
        Self::Held,
    ];

    /// Returns the process exit code.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Returns the word for this result in JSON, logs and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Usage => "usage",
            Self::Rejected => "rejected",
            Self::Retry => "retry",
            Self::Conflict => "conflict",
            Self::BelowMinimum => "below-minimum",
            Self::Held => "held",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Parses the command line of this process. Help and version go to stdout, usage errors to stderr.
///
/// # Errors
/// The exit code to return from `main`: [`Exit::Done`] after help or version, [`Exit::Usage`] for
/// arguments that do not parse.
pub fn parse<T: Parser>() -> Result<T, Exit> {
    parse_build(&Build::new("", &[]))
}

/// Does the same as [`parse`], for a program whose `--version` names its features.
///
/// # Errors
/// As [`parse`].
pub fn parse_build<T: Parser>(build: &Build) -> Result<T, Exit> {
    parse_from(build, std::env::args_os())
}

/// Does the same as [`parse`] with the given arguments, of which the first is the program's name.
///
/// # Errors
/// As [`parse`].
pub fn parse_from<T: Parser>(
    build: &Build,
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<T, Exit> {
    // clap wants a text that lives as long as the process.
    let version: &'static str = Box::leak(build.to_string().into_boxed_str());
    let matches = T::command()
        .version(version)
        .try_get_matches_from(arguments);
    let parsed = matches.and_then(|mut matches| T::from_arg_matches_mut(&mut matches));
    parsed.map_err(|error| {
        // A reader that has closed the pipe (`| head`) is not an error of the command line.
        let _ = error.print();
        if error.use_stderr() {
            Exit::Usage
        } else {
            Exit::Done
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const BUILD: Build = Build::new("x", &[]);

    #[derive(Debug, Parser)]
    #[command(version)]
    struct Arguments {
        #[arg(long)]
        count: u32,
    }

    #[test]
    fn codes_are_what_cron_jobs_were_told() {
        let codes: Vec<u8> = Exit::ALL.into_iter().map(Exit::code).collect();
        assert_eq!(codes, [0, 2, 3, 4, 5, 6, 7]);
        let debugged = format!("{:?}", ExitCode::from(Exit::Conflict));
        assert_eq!(debugged, format!("{:?}", ExitCode::from(5)));
    }

    #[test]
    fn words_are_distinct_and_are_the_json() {
        let mut names: Vec<&str> = Exit::ALL.into_iter().map(Exit::as_str).collect();
        assert_eq!(
            serde_json::to_string(&Exit::BelowMinimum).unwrap(),
            "\"below-minimum\""
        );
        assert_eq!(format!("{:>9}", Exit::Retry), "    retry");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Exit::ALL.len());
    }

    #[test]
    fn the_command_line_ends_in_our_codes() {
        assert_eq!(
            parse_from::<Arguments>(&BUILD, ["x", "--count", "3"])
                .unwrap()
                .count,
            3
        );
        assert_eq!(
            parse_from::<Arguments>(&BUILD, ["x"]).unwrap_err(),
            Exit::Usage
        );
        assert_eq!(
            parse_from::<Arguments>(&BUILD, ["x", "--count", "many"]).unwrap_err(),
            Exit::Usage
        );
        assert_eq!(
            parse_from::<Arguments>(&BUILD, ["x", "--colour"]).unwrap_err(),
            Exit::Usage
        );
        assert_eq!(
            parse_from::<Arguments>(&BUILD, ["x", "--help"]).unwrap_err(),
            Exit::Done
        );
        assert_eq!(
            parse_from::<Arguments>(&BUILD, ["x", "--version"]).unwrap_err(),
            Exit::Done
        );
    }
}
