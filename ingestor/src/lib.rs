//! The ingestor: from a phone's post to one signed batch for each processor, exactly once.
//!
//! ```text
//! http -> door -> spool                       `ingestor serve`: checked, made durable, acknowledged
//!                 spool -> batch -> mailboxes `ingestor batch`: planned, replays dropped, shuffled, cut, signed
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`config`], [`ingestor`] | the configuration file, and what it opens |
//! | `packet_keys` | the checks that every key has one locality and one number of bins, and every metric a key pair |
//! | [`http`] | the pages, the bodies, the answers, the connections |
//! | [`door`] | what is checked of a report before it is kept |
//! | [`attestation`] | what a device says about itself, and whether it holds |
//! | [`spool`] | slabs: a fraction of a second of accepted reports in one durable object |
//! | [`batch`] | from the slabs of a window to signed batches, a pure function of the window's plan |
//! | [`commands`] | the command line |

pub mod attestation;
pub mod batch;
pub mod commands;
pub mod config;
pub mod door;
pub mod error;
pub mod http;
pub mod ingestor;
pub mod metrics;
mod packet_keys;
pub mod spool;

/// The program as it was built.
pub(crate) const BUILD: tallybox_service::version::Build = tallybox_service::version::Build::new(
    "ingestor",
    &[
        ("cloud", cfg!(feature = "cloud")),
        ("test-attestation", cfg!(feature = "test-attestation")),
    ],
);
