//! The words and the bytes of Tallybox: ids, times, object names, Avro records, manifests, tasks.
//!
//! Everything here is pure: no input or output beyond readers and writers that the caller hands in, no clock,
//! no randomness. The formats are those of ENPA v1, byte for byte; `docs/formats.md` describes them.
//!
//! | module | holds |
//! |---|---|
//! | [`id`], [`role`], [`time`], [`digest`] | the small words: who, which, when |
//! | [`path`] | every object name, spelled here and nowhere else |
//! | [`avro`] | the container framing, its limits, and the record codec |
//! | [`header`], [`packet`], [`signature`] | the Avro records |
//! | [`marker`] | what makes our files deterministic |
//! | [`manifest`], [`task`] | the JSON documents |
//! | [`extensions`] | what a processor says that it can beyond ENPA, and from which window on both do |
//! | [`packet_keys`] | the rule that a packet key belongs to one processor and one number of bins |
//! | [`registry`] | which metrics there are, and what a report of each has to look like |
//! | [`roster`] | which batches a processor can sum in a window: the names of what two processors agree by |
//! | [`report`], [`client_config`] | what clients send, what they are answered, what they are told |
//! | [`client_keys`] | compares the packet keys that clients are told with those that a processor holds |
//! | [`spool`] | what an ingestor keeps between a report and its batch |

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
