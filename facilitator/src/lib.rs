//! A data share processor: checks packets, tells its peer what it found, and adds what both found good.
//!
//! | module | does |
//! |---|---|
//! | [`config`], [`processor`] | the YAML file, and what it opens: buckets, keys, limits |
//! | [`intake`] | ingestion batch in; prepared batch and validation batch out |
//! | [`prepared`] | the sealed record of an intake, in the processor's own bucket |
//! | [`aggregate`] | prepared batches and the peer's validations in; a sum part out |
//! | [`inspect`] | what any file, object or batch is, and whether it verifies |
//! | [`unconfirmed`] | objects that a mailbox only says to hold, put again by later tasks |
//! | [`worker`] | tasks from queues, several at once |
//! | [`budget`], [`cache`] | memory: how much at once, and what is kept between batches |
//! | [`commands`] | the command line |
//! | [`wear`] | failed proofs by packet key, and when a key has seen too many |
//! | [`error`], [`reason`] | why something is rejected or retried: batches and windows; single packets |

pub mod aggregate;
pub mod budget;
pub mod cache;
pub mod client_keys;
pub mod commands;
pub mod config;
pub mod error;
mod given_up;
pub mod ids;
pub mod inspect;
pub mod intake;
mod packet_keys;
pub mod prepared;
pub mod processor;
pub mod reason;
mod records;
pub mod roster;
pub mod sealed;
pub mod unconfirmed;
pub mod wear;
pub mod worker;

/// The program as it was built.
pub(crate) const BUILD: tallybox_service::version::Build =
    tallybox_service::version::Build::new("facilitator", &[("cloud", cfg!(feature = "cloud"))]);
