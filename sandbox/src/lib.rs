//! Every role of Tallybox in one program, on local directories: the quick start, the staging server
//! for client developers, and the generator of batches for benchmarks.
//!
//! | module | content |
//! |---|---|
//! | [`world`], [`layout`], [`config_files`], [`keys`] | the directory: buckets, configuration files, all keys |
//! | [`ingestor_server`] | a real ingestor over HTTP; the kinds of hostile posts |
//! | [`ingest`], [`schedule`] | simulated ingestor that signs arbitrary batches; names and dates |
//! | [`plan`], [`hostile`] | the packets of a batch, made on all cores |
//! | [`portal`], [`exactly_once`] | addition of both sum parts; the check that nothing is lost or double |
//! | [`run`](mod@run), [`outcome`], [`report`] | one window of the sandbox; its result; the text form |
//! | [`always`] | configuration of rosters, queues, workers and schedules |
//! | [`roles`] | the programs, inside this process or as child processes |
//! | [`fault_injection`] | fault injection: slow and failing buckets and queues |
//! | [`serve`] | the sandbox with all roles, and HTTP pages that show the status of each report |
//! | [`generate`](mod@generate) | batches of valid packets; the same seed gives the same bytes |
//! | [`cli`], [`error`] | the command line; errors |

pub mod always;
pub mod attestation;
pub mod cli;
pub mod config_files;
pub mod error;
pub mod exactly_once;
pub mod fault_injection;
pub mod generate;
pub mod hostile;
pub mod ingest;
pub mod ingestor_server;
pub mod keys;
pub mod layout;
mod lying_ingestor;
pub mod outcome;
pub mod plan;
pub mod portal;
pub mod report;
pub mod roles;
pub mod run;
pub mod schedule;
pub mod serve;
pub mod world;
