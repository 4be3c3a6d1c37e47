//! The last answer to a create-if-absent request, and whether it says that the object exists.
//!
//! `object_store` calls every status 409 `AlreadyExists`. S3 and GCS answer 409 to two requests that meet in flight, and
//! then neither object need exist. So the clouds' HTTP service notes status and error code of each answer here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use object_store::{Extensions, PutMode, PutOptions};

/// Status of a failed precondition: the object exists.
const PRECONDITION_FAILED: u16 = 412;
/// Azure's error code for an object that exists, with status 409. Its other codes of that status (leases, a container or
/// an account that is being changed) say nothing about the object.
const AZURE_EXISTS: &str = "BlobAlreadyExists";

/// A note that travels in the extensions of a request. A store that is no server leaves it empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastAnswer(Arc<AtomicU16>);

impl LastAnswer {
    /// The options of a request that creates an object if it is absent, and notes the answer here.
    pub(super) fn create_options(&self) -> PutOptions {
        let mut extensions = Extensions::new();
        extensions.insert(self.clone());
        PutOptions {
            mode: PutMode::Create,
            extensions,
            ..PutOptions::default()
        }
    }

    /// Notes an answer: its status, and the error code where a header names it.
    #[cfg_attr(
        not(any(feature = "aws", feature = "gcp", feature = "azure")),
        allow(dead_code, reason = "only a cloud's HTTP service has answers to note")
    )]
    pub(crate) fn note(&self, status: u16, code: Option<&str>) {
        let settled = code == Some(AZURE_EXISTS);
        self.0
            .store(if settled { PRECONDITION_FAILED } else { status }, Ordering::SeqCst);
    }

    /// Whether "already exists" is to be believed.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.0.load(Ordering::SeqCst), 0 | PRECONDITION_FAILED)
    }
}
