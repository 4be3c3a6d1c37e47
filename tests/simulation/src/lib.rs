//! The whole pipeline under every fault, in virtual time, from one seed.
//!
//! Real code does the work: the ingestor's batcher, both processors' managers and workers, the portal's reader. What is
//! made up is what is between them: buckets and queues in memory that delay, fail, lose, double and lie, processes that
//! die at any operation, clocks that are wrong. Every run ends in a check that each accepted report was counted exactly
//! once, or is reported with a reason.
//!
//! | module | holds |
//! |---|---|
//! | [`scenario`], [`trouble`], [`dice`] | what a seed makes happen |
//! | [`schedule`], [`timer`], [`time`] | virtual time, and what waits in it |
//! | [`bucket`], [`queue`], [`announcement`] | buckets, queues and the peer's announcement as one process sees them |
//! | [`keyring`], [`pool`] | everybody's keys; reports sealed beforehand |
//! | [`cast`], [`machine`] | who there is, and the programs that they run |
//! | [`liar`], [`stale`], [`garbage`], [`tamper`], [`oversize`], [`forger`], [`lies`], [`operator`] | an ingestor, processors and operators that do not keep to the rules |
//! | [`run`](mod@run), [`evidence`], [`accord`](mod@accord), [`once`], [`wear`], [`passed`], [`check`](mod@check) | one run, what is left of it, and what is wrong with that |
//! | [`counts`] | how often each thing happened |
//! | [`campaign`], [`shrink`], [`bugs`], [`cli`] | many seeds; the least of one that fails; known faults; the command line |
#![allow(clippy::expect_used, reason = "test support: a failure here is a failed run")]

pub mod accord;
pub mod announcement;
pub mod bucket;
pub mod bugs;
pub mod campaign;
pub mod cast;
pub mod check;
pub mod cli;
pub mod counts;
pub mod dice;
pub mod editor;
pub mod evidence;
pub mod forger;
pub mod garbage;
pub mod keyring;
pub mod liar;
pub mod lies;
pub mod machine;
pub mod once;
pub mod operator;
pub mod oversize;
pub mod passed;
pub mod pool;
pub mod queue;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod shrink;
pub mod stale;
pub mod tamper;
pub mod time;
pub mod timer;
pub mod trouble;
pub mod wear;
