//! What a processor uses while it works: threads, memory, cached objects and the clock.

use crate::budget::Budget;
use crate::cache::Cache;
use crate::error::Error;
use std::sync::Arc;
use tallybox_crypto::p256x8::ImplementationChoice;
use tallybox_service::clock::Clock;

/// What a processor uses while it works.
#[derive(Debug)]
pub struct Resources {
    /// The threads that open packets.
    pub pool: Arc<rayon::ThreadPool>,
    /// The memory budget for the packets of concurrent batches; unlimited except in a worker.
    pub budget: Budget,
    /// Cached objects of the own bucket that never change.
    pub cache: Cache,
    /// The source of the current time.
    pub clock: Clock,
}

impl Resources {
    /// Starts the threads, one per core by default.
    ///
    /// # Errors
    /// [`Error::Setting`] if the threads cannot be started.
    pub(crate) fn start(threads: Option<usize>) -> Result<Self, Error> {
        log_key_agreement(ImplementationChoice::get());
        Ok(Self {
            pool: Arc::new(pool(threads)?),
            budget: Budget::default(),
            cache: Cache::default(),
            clock: Clock::system(),
        })
    }
}

/// Logs how packets are opened. A fault makes intake slow, and never wrong.
fn log_key_agreement(selection: ImplementationChoice) {
    let eight_lanes = selection.implementation.has_eight_lanes();
    let reason = selection.reason;
    if reason.is_fault() {
        tracing::warn!(eight_lanes, %reason, "intake is slow");
    } else {
        tracing::debug!(eight_lanes, %reason, "key agreement");
    }
}

fn pool(threads: Option<usize>) -> Result<rayon::ThreadPool, Error> {
    let builder = rayon::ThreadPoolBuilder::new().thread_name(|i| format!("packets-{i}"));
    // 0 lets rayon start one thread per core.
    let builder = builder.num_threads(threads.unwrap_or(0));
    // A packet that makes a thread panic fails its batch in this run; the process continues.
    let builder =
        builder.panic_handler(|_| tracing::error!("a thread that opens packets panicked"));
    builder
        .build()
        .map_err(|error| Error::Setting(format!("cannot start threads: {error}")))
}
