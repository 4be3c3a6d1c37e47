//! The data model of Tallybox: identifiers, times, object names, Avro records, manifests and tasks.
//!
//! This crate defines every format that two programs, or two organisations, exchange, and converts
//! each between its bytes and a typed value. The formats are those of ENPA v1, byte for byte;
//! `docs/formats.md` describes them. All other crates of the workspace build on this one.
//!
//! Every function is pure. The caller supplies readers and writers, the current time and random
//! values; the crate itself performs no I/O and reads no clock.
//!
//! # Modules
//!
//! | module | contents |
//! |---|---|
//! | [`id`], [`role`], [`time`], [`digest`] | basic values: identifiers, the two processors, dates and windows, SHA-256 |
//! | [`path`] | the names of all objects in buckets |
//! | [`avro`] | the container file format, its limits and the record codec |
//! | [`header`], [`packet`], [`signature`] | the Avro records of signed batches |
//! | [`marker`] | deterministic sync markers, so that a repeated run writes identical files |
//! | [`manifest`], [`task`] | the JSON documents: published keys and mailboxes, queue messages |
//! | [`extensions`] | the capabilities beyond ENPA that processors announce, and the windows in which they apply |
//! | [`packet_keys`] | the rule that a packet key belongs to one processor and one number of bins |
//! | [`registry`] | the metrics of a deployment and the form of a report for each |
//! | [`roster`] | the signed lists by which two processors agree on the batches of a window |
//! | [`report`], [`client_config`] | reports from clients, the answers to them, and the clients' configuration |
//! | [`client_keys`] | the comparison of the packet keys given to clients with those that a processor holds |
//! | [`spool`] | the ingestor's objects between a report and its batch |
//!
//! # Errors
//!
//! Every module has its own `#[non_exhaustive]` error enum. A parsing error means that the bytes do
//! not follow their format: the same bytes fail again, so a caller rejects them and never retries.
//! Errors of readers and writers are passed on unchanged ([`avro::AvroError::Io`]). Text from a
//! foreign document is shortened and escaped before an error repeats it.
//!
//! Parsing also validates: a [`time::Window`] is never empty, an [`id::AggregationId`] is always
//! usable in an object name, and a value that exists needs no further check of its syntax.

pub mod avro;
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
