//! Connections of a server: how many there are, which one is closed when there are too many, and when a slow one is closed.
//!
//! A server accepts every connection at once. When its places are taken, it closes the connections that have gone longest
//! without a complete request, so a client that holds places without using them never keeps another client out.
//!
//! | file | holds |
//! |---|---|
//! | `pace` | how far a client is behind a minimum rate |
//! | `standing` | what happens on one connection: requests that come, are worked on, are answered |
//! | `places` | all connections of a listener, and the choice of which one to close |
//! | `watched` | bodies that report their progress to their connection |
//! | `files` | how many files, and so connections, the process may have open |

mod files;
mod pace;
mod places;
mod standing;
mod watched;

pub use files::open_file_limit;
pub use pace::Pace;
pub use places::{Crowded, Place, PlaceLimits, Places};
pub use standing::{Asked, Connection, End, Times};
pub use watched::{Coming, Going};
