//! The web pages: what readers see of the windows, rendered on the server without a script.
//!
//! Pages are pure functions: rows of a [`PageSource`] and the registry become view models, and
//! templates write these. Rows pass through `shown` first, the one place that suppresses numbers.
//!
//! | module | contents |
//! |---|---|
//! | `source` | the data of all pages |
//! | `stored`, `memory` | the sources: a store with its evidence, and rows in memory |
//! | `shown` | suppression |
//! | `days`, `quantity` | totals of days, and their estimates |
//! | `charts` | drawings |
//! | `pages` | one file for each page |
//! | `api` | downloads |
//! | `server`, `assets` | routes, headers and static files |

mod api;
mod assets;
mod charts;
mod days;
mod error;
mod memory;
mod pages;
mod quantity;
mod selection;
mod server;
mod shown;
mod site;
mod source;
mod stored;
mod text;

pub use memory::{Memory, Prove};
pub use server::router;
pub use site::{Site, SiteOptions};
pub use source::{Filter, InstanceName, PageSource, Provenance, SourceError, WindowKey};
pub use stored::Stored;
