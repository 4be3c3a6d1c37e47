//! The workflow manager: looks at the mailboxes of a processor, and starts the work that is due. It sees names of objects
//! and no packet: it has no crypto and no key.
//!
//! ```text
//! buckets -> inventory -> due -> start        listings in; what is due, a pure function; messages or Jobs out
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`policy`] | the lengths of time that everything follows from |
//! | [`inventory`] | what stands in the buckets, by bounded listings |
//! | [`mod@due`] | what is due, and where each batch and window stands: pure |
//! | [`work`] | one task to be started, and why |
//! | [`start`] | starting work: as messages on queues, or as Kubernetes Jobs |
//! | `kubernetes` | Jobs, and leading by a Lease (feature `kubernetes`) |
//! | [`manager`], [`summary`] | one run: look, say what is seen, start what is due |
//! | [`replay`], [`rejected`] | what an operator asks for once more; what workers have set aside |
//! | [`status`] | where every window and batch stands, for people |
//! | [`serve`], [`leader`], [`metrics`] | staying up; which of several leads; what is counted |
//! | [`config`], [`open`](Manager::open) | the configuration file, and what it opens |
//! | [`announcement`], [`switch`] | what we and the peer announce; from which window on rosters are used |
//! | [`commands`] | the command line |

pub mod announcement;
pub mod commands;
pub mod config;
pub mod due;
pub mod error;
pub mod inventory;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod leader;
pub mod manager;
pub mod metrics;
mod news;
mod open;
pub mod policy;
pub mod rejected;
pub mod replay;
pub mod serve;
pub mod start;
pub mod status;
pub mod summary;
pub mod switch;
pub mod work;

pub use due::due;
pub use manager::Manager;

/// The program as it was built.
pub(crate) const BUILD: tallybox_service::version::Build = tallybox_service::version::Build::new(
    "workflow-manager",
    &[
        ("cloud", cfg!(feature = "cloud")),
        ("kubernetes", cfg!(feature = "kubernetes")),
    ],
);
