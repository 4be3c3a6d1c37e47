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

pub mod avro;
pub mod digest;
pub mod header;
pub mod id;
pub mod manifest;
pub mod marker;
pub mod packet;
pub mod path;
pub mod role;
pub mod signature;
pub mod task;
pub mod time;
