//! Kubernetes: work as Jobs, and leader election by a Lease.

mod jobs;
mod lease;
mod manifest;

pub use jobs::Jobs;
pub use lease::KubernetesLease;
pub use manifest::JobForm;

use kube::Client;

use crate::error::Error;

/// Creates a client from the environment: the pod's service account in a cluster, the user's
/// configuration elsewhere.
async fn client() -> Result<Client, Error> {
    Client::try_default()
        .await
        .map_err(|error| failed("cannot set up the client", error))
}

/// Returns the configured namespace, or that of the client's configuration.
fn namespace(client: &Client, configured: Option<&String>) -> String {
    let default = || client.default_namespace().to_owned();
    configured.cloned().unwrap_or_else(default)
}

/// Converts a failed request into an error.
fn failed(what: impl Into<String>, error: kube::Error) -> Error {
    let passing = match &error {
        // Forbidden and invalid requests fail until an operator changes something.
        kube::Error::Api(status) => !(status.is_forbidden() || status.is_invalid()),
        _ => true,
    };
    Error::Kubernetes {
        what: what.into(),
        source: Box::new(error),
        passing,
    }
}
