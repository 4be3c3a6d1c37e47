//! The workflow manager: scans a processor's buckets and starts the work that is due. It reads
//! object names and small records, never packets, and has neither cryptography nor packet keys.
//!
//! ```text
//! buckets -> inventory -> due -> start    listings in; due work (pure); messages or Jobs out
//! ```
//!
//! | module | contents |
//! |---|---|
//! | [`policy`] | the durations that determine the schedule |
//! | [`inventory`] | the state of the buckets, read by bounded listings |
//! | [`mod@due`] | the work that is due, and the status of each batch and window: pure |
//! | [`work`] | one task to be started, and the reason |
//! | [`start`] | starting work: as queue messages or as Kubernetes Jobs |
//! | `kubernetes` | Jobs, and leader election by a Lease (feature `kubernetes`) |
//! | [`manager`], [`summary`] | one run: scan, report, start due work |
//! | [`replay`], [`rejected`] | starts that an operator repeats; tasks that workers rejected |
//! | `status` | the status of every window and batch, for people |
//! | [`serve`], [`leader`], [`metrics`] | the long-running process, leader election, metrics |
//! | [`config`], [`open`](Manager::open) | the configuration file; the manager that it describes |
//! | [`announcement`], [`switch`] | announcements of both processors; windows with rosters |
//! | [`commands`] | the command line |

pub mod announcement;
mod build;
pub mod commands;
pub mod config;
pub mod due;
pub mod error;
mod failure;
mod findings;
pub mod inventory;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod leader;
pub mod manager;
pub mod metrics;
mod open;
pub mod policy;
pub mod rejected;
pub mod replay;
pub mod serve;
pub mod start;
mod status;
pub mod summary;
pub mod switch;
pub mod work;

pub use manager::Manager;
