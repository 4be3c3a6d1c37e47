//! A deterministic simulation of the whole pipeline under injected faults, in virtual time.
//!
//! One number, the seed, determines everything that happens in a run. The work is done by the real
//! code: the ingestor's batcher, the workflow managers and workers of both processors, and the
//! portal's reader. Everything between them is simulated: buckets and queues in memory that delay,
//! fail, lose and repeat operations and report wrong results, processes that crash at any
//! operation, and clocks that are wrong. After every run an audit verifies that each accepted
//! report was counted exactly once or is reported with a reason.
//!
//! `docs/simulation.md` lists the faults, the checked properties and the planted faults.
//!
//! | module | contents |
//! |---|---|
//! | [`scenario`], [`trouble`], [`dice`] | the parameters, faults and random streams of a seed |
//! | [`schedule`], [`timer`], [`time`] | virtual time and the events that wait in it |
//! | [`bucket`], [`queue`], [`announcement`] | simulated buckets, queues and the peer's announcement, as one process sees them |
//! | [`keyring`], [`pool`] | the keys of all parties; the reports, which are sealed in advance |
//! | [`process`], [`machine`] | the processes of a run and the programs that they execute |
//! | [`dishonest_ingestor`], [`stale`], [`garbage`], [`dishonest_processor`], [`oversize`], [`forger`], [`editor`], [`violations`], [`operator`] | dishonest ingestors and processors, attackers and operators, and a record of their violations of the rules |
//! | [`run`](mod@run), [`evidence`], [`agreement`], [`once`], [`wear`], [`passed`], [`check`](mod@check) | one simulation run and the audit of its objects |
//! | [`counts`] | how often each kind of event happened |
//! | [`campaign`], [`shrink`], [`bugs`], [`cli`] | runs of many seeds, shrinking of a failing run, planted faults, the command line |
#![allow(
    clippy::expect_used,
    reason = "test support: a failure here is a failed run"
)]

pub mod agreement;
pub mod announcement;
pub mod bucket;
pub mod bugs;
pub mod campaign;
pub mod check;
pub mod cli;
pub mod counts;
pub mod dice;
pub mod dishonest_ingestor;
pub mod dishonest_processor;
pub mod editor;
pub mod evidence;
pub mod forger;
pub mod garbage;
pub mod keyring;
pub mod machine;
pub mod once;
pub mod operator;
pub mod oversize;
pub mod passed;
pub mod pool;
pub mod process;
pub mod queue;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod shrink;
pub mod stale;
pub mod time;
pub mod timer;
pub mod trouble;
pub mod violations;
pub mod wear;
