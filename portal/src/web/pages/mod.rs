//! One file for each page: a handler that reads the source, a view model, and its template.

mod about;
mod findings;
mod metric;
mod overview;
mod table;
mod window;

pub(super) use about::about;
pub(super) use findings::findings;
pub(super) use metric::metric;
pub(super) use overview::overview;
pub(super) use window::window;
