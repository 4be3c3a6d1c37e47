//! The pages, the bodies, the answers, the connections.
