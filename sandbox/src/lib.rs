//! Every role in one process, on local directories: the quick start, and batches to time the programs with.
//!
//! | module | does |
//! |---|---|
//! | [`world`], [`layout`], [`keys`] | the directory: buckets, configuration files, everybody's keys |
//! | [`door`] | clients post to a real ingestor over HTTP, honest ones and others |
//! | [`ingest`], [`schedule`] | what an ingestor does that writes what it likes: signed batches, names and dates |
//! | [`plan`], [`hostile`], [`stream`] | which packets a batch holds, hostile ones among them; made on all cores |
//! | [`portal`], [`observe`] | adding both sum parts; what became of the hostile packets |
//! | [`run`](mod@run), [`outcome`], [`report`] | the whole way, what came of it, and how that looks |
//! | [`always`], [`roles`], [`rough`] | the rules of a sandbox that stays up; every program, in this process or as one of its own; delays and failures |
//! | [`serve`] | the same for as long as a client developer wants, with pages that say what became of each report |
//! | [`generate`](mod@generate) | batches of valid packets, the same bytes for the same seed |
//! | [`cli`], [`error`] | the command line; why something cannot be done |

pub mod always;
pub mod attestation;
mod check;
pub mod cli;
pub mod door;
pub mod error;
mod flow;
pub mod generate;
pub mod hostile;
pub mod ingest;
pub mod keys;
pub mod layout;
pub mod observe;
pub mod outcome;
pub mod plan;
pub mod portal;
pub mod report;
pub mod roles;
pub mod rough;
pub mod run;
pub mod schedule;
pub mod serve;
mod stages;
pub mod stream;
pub mod world;
