//! The pages, the bodies, the answers, the connections.
//!
//! | file | holds |
//! |---|---|
//! | `server` | listening, connections, the way down |
//! | `app` | what all requests share; the routers |
//! | `reports` | `POST /v1/{locality}/reports` |
//! | `body`, `decode` | bodies: read, unpacked, taken apart, all within bounds |
//! | `budget` | bytes that are being worked on |
//! | `network` | where a request comes from; nothing else sees an address |
//! | `refusal` | the one place where problems become answers |
//! | `documents` | what is served to clients and processors: configuration, manifest |
//! | `openapi` | the description of all pages |
//! | `operations` | what it says of itself to operators |
//! | `patience`, `idle` | connections that do not take their answer, or ask nothing |
//! | `tls`, `watch` | certificates and the registry, read again when they change |

mod app;
mod body;
mod budget;
mod decode;
mod documents;
mod idle;
mod network;
mod openapi;
mod operations;
mod patience;
mod refusal;
mod reports;
mod server;
mod tls;
mod watch;

pub use app::App;
pub use decode::fuzzing;
pub use network::Peer;
pub use server::Server;
