//! The shell that all programs share: configuration files, logs, exit codes, progress and terminal
//! output.
//!
//! Programs that keep running use three more features: `shutdown` (signals), `operations` (the HTTP
//! endpoint for operators and the limits of a server's connections) and `fetch` (documents that
//! other organisations publish).
//!
//! A one-shot command uses these modules in this order: [`exit::parse`] reads the command line,
//! [`log::init`] sets up the logs, [`config::load`] reads the YAML file, [`output::Output`] prints
//! the summary or the reason of the failure, and `main` returns an [`exit::Exit`]. No module
//! depends on what the program does. Without the three features, no module uses the network.

pub mod chart;
pub mod clock;
pub mod config;
#[cfg(feature = "operations")]
pub mod connections;
mod error;
pub mod exit;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod key_file;
pub mod live;
pub mod log;
#[cfg(feature = "operations")]
pub mod operations;
pub mod output;
pub mod process;
#[cfg(feature = "operations")]
pub mod process_metrics;
pub mod progress;
#[cfg(feature = "operations")]
pub mod reach;
mod secret_file;
#[cfg(feature = "shutdown")]
pub mod shell;
#[cfg(feature = "shutdown")]
pub mod shutdown;
pub mod version;
mod yaml;

pub use error::{ConfigError, LogError, OutputError};
