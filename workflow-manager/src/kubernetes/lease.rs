//! Leader election by a Kubernetes Lease, as in other controllers: the first process that replaces
//! the version it has read becomes the leader.

use std::fmt;

use async_trait::async_trait;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use tallybox_service::clock::Clock;

use super::{client, failed, namespace};
use crate::config::LeaseConfig;
use crate::error::Error;
use crate::leader::{Election, Leadership};

/// Leader election by a Lease.
#[derive(Clone)]
pub struct KubernetesLease {
    api: Api<Lease>,
    name: String,
    holder: String,
    seconds: u32,
    clock: Clock,
}

impl fmt::Debug for KubernetesLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesLease")
            .field("name", &self.name)
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

impl KubernetesLease {
    /// Connects to the cluster of the environment. The lease lasts `seconds`, and `holder`
    /// identifies this process.
    ///
    /// # Errors
    /// [`Error::Kubernetes`].
    pub async fn open(config: &LeaseConfig, seconds: u32, holder: String) -> Result<Self, Error> {
        Ok(Self::in_cluster(client().await?, config, seconds, holder))
    }

    /// Uses a Lease in the cluster of a given client.
    #[must_use]
    pub fn in_cluster(client: Client, config: &LeaseConfig, seconds: u32, holder: String) -> Self {
        let namespace = namespace(&client, config.namespace.as_ref());
        Self {
            api: Api::namespaced(client, &namespace),
            name: config.name.clone(),
            holder,
            seconds,
            clock: Clock::system(),
        }
    }

    /// Replaces the clock.
    #[must_use]
    pub fn on(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Returns the Lease with this process as its holder.
    fn ours(&self, mut lease: Lease, now: Timestamp) -> Lease {
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(self.holder.as_str()) {
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
            spec.acquire_time = Some(MicroTime(now));
        }
        spec.holder_identity = Some(self.holder.clone());
        spec.lease_duration_seconds = Some(i32::try_from(self.seconds).unwrap_or(i32::MAX));
        spec.renew_time = Some(MicroTime(now));
        lease
    }

    fn new_lease(&self) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.clock.millis()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    async fn read(&self) -> Result<Option<Lease>, Error> {
        let found = self.api.get_opt(&self.name).await;
        found.map_err(|error| failed(format!("cannot read Lease {}", self.name), error))
    }

    async fn write(&self, lease: &Lease, is_new: bool) -> Result<Leadership, Error> {
        let how = PostParams::default();
        let written = match is_new {
            true => self.api.create(&how, lease).await,
            false => self.api.replace(&self.name, &how, lease).await,
        };
        match written {
            Ok(_) => Ok(Leadership::Ours),
            // Another process has written the Lease since we read it.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Leadership::Theirs {
                holder: "another".to_owned(),
            }),
            Err(error) => Err(failed(format!("cannot write Lease {}", self.name), error)),
        }
    }
}

/// Returns the holder of a Lease at this time, or `None` if it has no holder or has expired.
fn holder(lease: &Lease, now: Timestamp) -> Option<&str> {
    let spec: &LeaseSpec = lease.spec.as_ref()?;
    let holder = spec
        .holder_identity
        .as_deref()
        .filter(|holder| !holder.is_empty())?;
    let renewed = spec.renew_time.as_ref()?.0.as_millisecond();
    let lasts = i64::from(spec.lease_duration_seconds?).saturating_mul(1000);
    (now.as_millisecond() < renewed.saturating_add(lasts)).then_some(holder)
}

#[async_trait]
impl Election for KubernetesLease {
    async fn campaign(&self) -> Result<Leadership, Error> {
        let now = self.now();
        let Some(lease) = self.read().await? else {
            return self.write(&self.ours(self.new_lease(), now), true).await;
        };
        match holder(&lease, now) {
            Some(other) if other != self.holder => Ok(Leadership::Theirs {
                holder: other.to_owned(),
            }),
            _ => self.write(&self.ours(lease, now), false).await,
        }
    }

    async fn resign(&self) -> Result<(), Error> {
        let Some(mut lease) = self.read().await? else {
            return Ok(());
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(self.holder.as_str()) {
            return Ok(());
        }
        // A Lease without a holder can be acquired at once.
        spec.holder_identity = None;
        self.write(&lease, false).await.map(drop)
    }

    fn location(&self) -> String {
        format!("Lease {} at {}", self.name, self.api.resource_url())
    }
}
