//! The shell all programs share: config files, logs, exit codes, progress, what the terminal shows; and for programs that
//! stay up, signals (feature `shutdown`), the page for operators and the places of a server's connections (feature
//! `operations`), and documents of other organisations (feature `fetch`).
//!
//! A one-shot command is put together like this: [`exit::parse`] reads the command line, [`log::init`] sets up the
//! logs, [`config::load`] reads the YAML file, [`output::Output`] prints the summary or the reason of the failure, and
//! [`exit::Exit`] is what `main` returns. None of it knows what the program does, and without those features none of it
//! knows a network.

pub mod cause;
pub mod chart;
pub mod clock;
pub mod config;
#[cfg(feature = "operations")]
pub mod connections;
mod error;
pub mod exit;
pub mod fault;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod live;
pub mod log;
#[cfg(feature = "operations")]
pub mod operations;
pub mod output;
pub mod process;
#[cfg(feature = "operations")]
mod process_metrics;
pub mod progress;
#[cfg(feature = "operations")]
pub mod reach;
pub mod secret_file;
#[cfg(feature = "shutdown")]
pub mod shutdown;
pub mod version;
mod yaml;

pub use error::{ConfigError, LogError};
