//! The pages, the bodies, the answers, the connections.
//!
//! | file | holds |
//! |---|---|
//! | `server` | listening, and the way down |
//! | `connection` | connections: who has a place, and for how long |
//! | `app` | what all requests share; the routers |
//! | `reports` | `POST /v1/{locality}/reports` |
//! | `body`, `decode` | bodies: read, unpacked, taken apart, all within bounds |
//! | `budget` | bytes that are being worked on |
//! | `network` | where a request comes from; nothing else sees an address |
//! | `problems` | the page that says what each problem means |
//! | `reason` | why a report cannot be read, in words of JSON |
//! | `refusal` | the one place where problems become answers |
//! | `documents` | what is served to clients and processors: configuration, manifest |
//! | `openapi`, `example` | the description of all pages, with a request that is accepted |
//! | `operations` | what it says of itself to operators |
//! | `framing` | requests whose length is given twice |
//! | `cors` | pages of other origins, in browsers |
//! | `patience` | answers that are not taken |
//! | `tls`, `watch` | certificates and the registry, read again when they change |

mod app;
mod body;
mod budget;
mod connection;
mod cors;
mod decode;
mod documents;
mod example;
mod framing;
mod network;
mod openapi;
mod operations;
mod patience;
mod problems;
mod reason;
mod refusal;
mod reports;
mod server;
mod tls;
mod watch;

pub use app::App;
pub use decode::fuzzing;
pub use network::Peer;
pub use server::Server;
