//! The last response to a create-if-absent request, and whether it states that the object exists.
//!
//! `object_store` maps every status 409 to `AlreadyExists`. S3 and GCS also respond with 409 to two
//! concurrent requests, after which neither object need exist. Therefore the HTTP service of the
//! clouds records status and error code of each response here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use object_store::{Extensions, PutMode, PutOptions};

/// Status of a failed precondition, which means that the object exists.
const PRECONDITION_FAILED: u16 = 412;
/// Azure's error code for an existing object, with status 409. Other codes with this status
/// (leases, a container or an account that is being changed) give no information about the object.
const AZURE_EXISTS: &str = "BlobAlreadyExists";

/// A shared value in the extensions of a request. A store without a server leaves it empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastAnswer(Arc<AtomicU16>);

impl LastAnswer {
    /// Returns the options of a request that creates an object if it is absent and records the
    /// response here.
    pub(super) fn create_options(&self) -> PutOptions {
        let mut extensions = Extensions::new();
        extensions.insert(self.clone());
        PutOptions {
            mode: PutMode::Create,
            extensions,
            ..PutOptions::default()
        }
    }

    /// Records a response: its status, and the error code if a header contains it.
    #[cfg_attr(
        not(any(feature = "aws", feature = "gcp", feature = "azure")),
        allow(dead_code, reason = "only a cloud's HTTP service has answers to note")
    )]
    pub(crate) fn note(&self, status: u16, code: Option<&str>) {
        let exists = code == Some(AZURE_EXISTS);
        self.0.store(
            if exists { PRECONDITION_FAILED } else { status },
            Ordering::SeqCst,
        );
    }

    /// Returns whether the response "already exists" is conclusive.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.0.load(Ordering::SeqCst), 0 | PRECONDITION_FAILED)
    }
}
