//! The ingestor: receives reports from clients and writes each of them, exactly once, into one
//! signed batch for each of the two processors.
//!
//! ```text
//! http -> door -> spool                        `ingestor serve`: check, make durable, acknowledge
//!                 spool -> batch -> mailboxes  `ingestor batch`: plan, drop replays, shuffle,
//!                                              cut, sign
//! ```
//!
//! | module | contents |
//! |---|---|
//! | [`config`], [`ingestor`] | the configuration, and the keys, files and buckets that it names |
//! | `packet_keys` | packet key checks: one locality and number of bins each, all metrics covered |
//! | [`http`] | the HTTP server: documents, request bodies, answers, connections |
//! | [`admission`] | the checks that a report passes before it is written to the spool |
//! | [`attestation`] | parsing and verification of device attestations |
//! | [`spool`] | slabs: the reports accepted within a fraction of a second, in one durable object |
//! | [`batch`] | from a window's slabs to signed batches, a pure function of the window's plan |
//! | [`commands`] | the command line |

pub mod admission;
pub mod attestation;
pub mod batch;
mod build;
pub mod commands;
pub mod config;
pub mod error;
pub mod http;
pub mod ingestor;
pub mod metrics;
mod packet_keys;
pub mod signer;
pub mod spool;
