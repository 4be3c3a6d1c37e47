//! Connection limits of a server: how many connections it holds, and which ones it closes.
//!
//! A server accepts every connection at once. When the limit is reached, the server closes the
//! connections that have gone longest without a complete request. A client that holds connections
//! without using them therefore cannot keep other clients out.
//!
//! | file | contents |
//! |---|---|
//! | `pace` | how far a client is behind a minimum rate |
//! | `connection` | the state of one connection: requests being received, processed and answered |
//! | `places` | all connections of a listener, and the choice of the connection to close |
//! | `watched` | bodies that report their progress to their connection |
//! | `files` | the limit of open files, and therefore of connections |

mod connection;
mod files;
mod pace;
mod places;
mod watched;

pub use connection::{Asked, Connection, End, Times};
pub use files::open_file_limit;
pub use pace::TransferRate;
pub use places::{Crowded, Place, PlaceLimits, Places};
pub use watched::{Coming, Going};
