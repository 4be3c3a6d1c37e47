//! Workers on queues in memory.
mod placeholder {}
