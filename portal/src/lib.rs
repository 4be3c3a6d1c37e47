//! The portal of a public health authority: verifies the sum parts of both processors, adds them, and
//! shows the results. The portal sees sum parts only: no packet, no share of a single client.
//!
//! ```text
//! two sum parts -> pair (verify, compare, add) -> WindowSum, or findings
//! ```
//!
//! | module | contents |
//! |---|---|
//! | [`pair`] | the verification of a sum part; the comparison and addition of two |
//! | [`keys`] | the keys of both processors, as an operator lists them |
//! | [`collect`] | finds, verifies and adds the sum parts in mailboxes |
//! | [`config`] | the configuration file |
//! | [`evidence`] | the files of both sum parts of every sum, which prove it |
//! | [`store`] | the windows and findings that pages and exports show |
//! | [`web`] | the web pages and downloads |
//! | `report` | results as text, JSON and CSV |
//! | [`rebuild`] | the store, recreated from the evidence |
//! | [`verify`] | the offline verifier |
//! | [`demo`] | generated data for a demonstration |
//! | [`error`] | why a command fails |
//! | [`commands`] | the command line |

mod build;
pub mod collect;
pub mod commands;
pub mod config;
pub mod demo;
pub mod error;
pub mod evidence;
pub mod keys;
pub mod pair;
pub mod rebuild;
mod report;
pub mod store;
pub mod verify;
pub mod web;
