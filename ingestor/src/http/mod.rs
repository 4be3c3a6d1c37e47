//! The HTTP server: documents, request bodies, answers and connections.
//!
//! | file | contents |
//! |---|---|
//! | `server` | listening and shutdown |
//! | `connection` | connections: their limits and timeouts |
//! | `app`, `router` | state that all requests share; the routers |
//! | `reports` | `POST /v1/{locality}/reports` |
//! | `body`, `decode` | bodies: read, decompressed and split into reports, all within limits |
//! | `budget` | memory limits for requests in progress |
//! | `network` | the network that a request comes from; no other module sees an address |
//! | `problems` | the page that explains each problem type |
//! | `reason` | messages for reports that cannot be parsed, in JSON terms |
//! | `refusal` | conversion of problems to HTTP answers |
//! | `documents` | documents for clients and processors: configuration, manifest |
//! | `openapi`, `example` | the OpenAPI description, with a request that is accepted |
//! | `operations` | readiness and metrics for operators |
//! | `framing` | detection of requests that state their length twice |
//! | `cors` | requests from pages of other origins in browsers |
//! | `write_timeout` | timeouts for answers that a client does not read |
//! | `tls`, `watch` | reload of certificates and registry when they change |

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
mod problems;
mod reason;
mod refusal;
mod reports;
mod router;
mod server;
mod tls;
mod watch;
mod write_timeout;

pub use app::App;
pub use decode::fuzzing;
pub use network::Peer;
pub use server::Server;
