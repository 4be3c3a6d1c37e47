//! A data share processor: checks the packets of ingestion batches, exchanges verification messages
//! with its peer, and adds the shares of the packets that both processors accept.
//!
//! | module | does |
//! |---|---|
//! | [`config`], [`processor`] | the YAML file, and the buckets, keys and limits that it names |
//! | [`intake`] | turns an ingestion batch into a prepared batch and a validation batch |
//! | [`prepared`] | the sealed record of an intake, in the processor's own bucket |
//! | [`sum`] | joins prepared batches with the peer's validation batches into a sum part |
//! | [`aggregate`] | sums a window without rosters |
//! | [`roster`] | agrees with the peer on the batches of each window, and sums them |
//! | [`inspect`] | describes any file, object or batch, and verifies it |
//! | [`put_again`] | rewrites mailbox objects whose existence is not confirmed |
//! | [`worker`] | processes tasks from queues, several at once |
//! | [`budget`], [`cache`] | limit memory; cache objects of the own bucket between batches |
//! | [`commands`] | the command line |
//! | [`wear`] | counts failed proofs by packet key and refuses keys above a limit |
//! | [`error`], [`reason`] | why batches, windows and single packets are rejected or retried |

pub mod aggregate;
pub mod buckets;
pub mod budget;
mod build;
pub mod cache;
pub mod client_keys;
pub mod commands;
pub mod config;
pub mod error;
mod horizons;
pub mod ids;
pub mod inspect;
pub mod intake;
mod key_encoding;
pub mod keys;
pub mod limits;
mod packet_keys;
pub mod prepared;
pub mod processor;
pub mod progress;
mod published;
pub mod put_again;
pub mod reason;
mod records;
pub mod resources;
pub mod roster;
pub mod sealed;
pub mod sum;
mod unconfirmed;
pub mod wear;
pub mod worker;
