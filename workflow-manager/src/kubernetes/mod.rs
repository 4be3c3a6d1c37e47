//! Kubernetes: work as Jobs, and leading by a Lease.

mod jobs;
mod lease;
mod manifest;

pub use jobs::Jobs;
pub use lease::KubernetesLease;
pub use manifest::JobForm;

use kube::Client;

use crate::error::Error;

/// A client as the surroundings say: the pod's own account in a cluster, the user's configuration elsewhere.
async fn client() -> Result<Client, Error> {
    Client::try_default()
        .await
        .map_err(|error| failed("the client cannot be set up", error))
}

/// What a failed request means.
fn failed(what: impl Into<String>, error: kube::Error) -> Error {
    let passing = match &error {
        // What is forbidden or invalid stays so until an operator mends it.
        kube::Error::Api(status) => !(status.is_forbidden() || status.is_invalid()),
        _ => true,
    };
    Error::Kubernetes {
        what: what.into(),
        source: Box::new(error),
        passing,
    }
}
