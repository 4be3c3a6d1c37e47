//! The data model of Tallybox: identifiers, times, object names, Avro records, manifests and tasks.
//!
//! This crate defines every format that two programs, or two organisations, exchange, and converts
//! each between its bytes and a typed value. The formats of ENPA v1 are supported byte for byte;
//! `docs/formats.md` describes them and the additional ones.
//!
//! Every function is pure. The caller supplies readers and writers, the current time and random
//! values; the crate itself performs no I/O and reads no clock.
//!
//! # Modules
//!
//! | module | contents |
//! |---|---|
//! | [`id`], [`role`], [`time`], [`digest`] | identifiers, processor roles, dates and windows, SHA-256 |
//! | [`path`] | the names of all objects in buckets |
//! | [`avro`] | the container file format, its limits and the record codec |
//! | [`header`], [`packet`], [`signature`] | the Avro records of signed batches |
//! | [`marker`] | deterministic sync markers, so that a repeated run writes identical files |
//! | [`manifest`], [`task`] | the JSON documents: published keys and mailboxes, queue messages |
//! | [`extensions`] | capabilities beyond ENPA, and the windows in which they apply |
//! | [`packet_keys`] | the rule that a packet key belongs to one processor and one number of bins |
//! | [`registry`] | the metrics of a deployment and the form of a report for each |
//! | [`roster`] | the signed lists by which two processors agree on the batches of a window |
//! | [`report`], [`client_config`] | reports, the answers to them, and the clients' configuration |
//! | [`client_keys`] | comparison of the clients' packet keys with a processor's |
//! | [`cause`] | an error with all its causes as one line, for every crate above |
//! | [`spool`] | the ingestor's objects between a report and its batch |
//!
//! # Errors
//!
//! Each error enum belongs to one module and is `#[non_exhaustive]`. A parsing error means that the
//! bytes do not follow their format, so the same bytes fail again. An error of a reader or writer is
//! passed on and gives no information about the bytes ([`avro::AvroError::Io`]).
//!
//! Parsing also validates: a [`time::Window`] is never empty, an [`id::AggregationId`] is always
//! usable in an object name, and a value that exists needs no further check of its syntax.

pub mod avro;
pub mod cause;
pub mod client_config;
pub mod client_keys;
pub mod digest;
pub mod extensions;
pub mod header;
pub mod id;
pub mod manifest;
pub mod marker;
pub mod packet;
pub mod packet_keys;
pub mod path;
pub mod registry;
pub mod report;
pub mod role;
pub mod roster;
pub mod signature;
pub mod spool;
pub mod task;
pub mod time;
