//! Logs on stderr: readable lines on a terminal, otherwise one JSON object per line.
//!
//! This module logs neither the command line nor the environment, because both can contain secrets.
use std::io::{self, IsTerminal, Write};

use clap::Args;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::error::LogError;
use crate::progress;

/// The default filter of one-shot commands: only warnings and errors, because the summary reports
/// the rest.
pub const QUIET: &str = "warn";

/// The option `--log`, for a program's command line (`#[command(flatten)]`).
#[derive(Args, Clone, Debug, Default)]
pub struct LogOptions {
    /// Log filter: error, warn, info, debug or trace, also by module
    /// (`warn,tallybox_transport=debug`)
    #[arg(long, value_name = "FILTER", env = "TALLYBOX_LOG", global = true)]
    pub log: Option<String>,
}

impl LogOptions {
    /// Sets up the logs of this process, with the filter `default` if the caller names none.
    ///
    /// # Errors
    /// [`LogError`]; the program exits with [`crate::exit::Exit::Usage`].
    pub fn init(&self, default: &str) -> Result<(), LogError> {
        init(self.log.as_deref().unwrap_or(default))
    }
}

/// Sets up the logs of this process with a filter in the syntax of `tracing_subscriber::EnvFilter`.
///
/// # Errors
/// [`LogError::BadFilter`] if the filter does not parse, [`LogError::AlreadySet`] on a second call.
pub fn init(filter: &str) -> Result<(), LogError> {
    let subscriber = subscriber(filter, io::stderr().is_terminal(), || AboveBars)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadySet)
}

fn subscriber<W>(
    filter: &str,
    terminal: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let bad = |_| LogError::BadFilter {
        filter: filter.to_owned(),
    };
    let parsed = EnvFilter::try_new(filter).map_err(bad)?;
    let lines = if terminal {
        fmt::layer()
            .with_writer(writer)
            .with_target(false)
            .with_ansi(console::colors_enabled_stderr())
            .boxed()
    } else {
        fmt::layer()
            .with_writer(writer)
            .json()
            .flatten_event(true)
            .boxed()
    };
    Ok(Registry::default().with(parsed).with(lines))
}

/// A writer to stderr that hides the progress bars while it writes a line.
struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        progress::bars().suspend(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A writer that records its input.
    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, terminal: bool) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = subscriber(filter, terminal, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(batch_id = "b1", "batch taken");
            tracing::warn!(batch_id = "b2", "batch rejected");
        });
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn off_a_terminal_each_event_is_one_json_line() {
        let text = logged("info", false);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["message"], "batch taken");
        assert_eq!(lines[0]["batch_id"], "b1");
        assert_eq!(lines[1]["level"], "WARN");
    }

    #[test]
    fn on_a_terminal_people_read_it() {
        let text = logged("info", true);
        assert!(
            text.contains("batch taken")
                && serde_json::from_str::<serde_json::Value>(&text).is_err(),
            "{text}"
        );
    }

    #[test]
    fn the_filter_filters() {
        assert_eq!(logged(QUIET, false).lines().count(), 1);
        assert_eq!(logged("off", false), "");
        assert_eq!(
            logged("warn,tallybox_service=info", false).lines().count(),
            2
        );
    }

    #[test]
    fn a_bad_filter_is_named() {
        let error = init("tallybox=loudly").unwrap_err();
        assert!(error.to_string().contains("tallybox=loudly"), "{error}");
    }
}
