//! Clients of AWS. They are created on first use, because loading credentials needs the network.

use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use tokio::sync::OnceCell;

use crate::error::setting;
use crate::settings::secret;
use crate::{QueueError, QueueSettings};

/// Timeouts of a connection and of a single attempt of a request. The latter exceeds the maximum
/// wait for a message.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(25);

/// Number of attempts of a request. For longer failures, the caller retries the whole task. The SDK
/// does not log its attempts, and an operator should see a failure within seconds.
const ATTEMPTS: u32 = 2;

/// The data that all clients of one queue share.
pub(super) struct Clients {
    endpoint: Option<String>,
    /// The credentials from the settings; `None` to use those of the environment.
    credentials: Option<Credentials>,
    config: OnceCell<SdkConfig>,
}

impl Clients {
    pub(super) fn new(queue: &str, settings: &QueueSettings) -> Result<Self, QueueError> {
        let id = secret(
            queue,
            "access-key-id",
            settings.access_key_id_env.as_deref(),
            settings.access_key_id_file.as_deref(),
        )?;
        let key = secret(
            queue,
            "secret-access-key",
            settings.secret_access_key_env.as_deref(),
            settings.secret_access_key_file.as_deref(),
        )?;
        let token = secret(
            queue,
            "session-token",
            settings.session_token_env.as_deref(),
            settings.session_token_file.as_deref(),
        )?;
        let credentials = match (id, key, token) {
            (None, None, None) => None,
            (Some(id), Some(key), token) => Some(Credentials::new(
                id,
                key,
                token,
                None,
                "tallybox configuration",
            )),
            _ => {
                let problem =
                    "access-key-id and secret-access-key need each other: set both, or neither";
                return Err(setting(queue, problem));
            }
        };
        let trimmed = |endpoint: &String| endpoint.trim_end_matches('/').to_owned();
        Ok(Self {
            endpoint: settings.endpoint.as_ref().map(trimmed),
            credentials,
            config: OnceCell::new(),
        })
    }

    /// Returns the URL of a queue, in the form that SQS assigns.
    pub(super) fn queue_url(&self, region: &str, account: &str, name: &str) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("{endpoint}/{account}/{name}"),
            None => {
                let china = if region.starts_with("cn-") { ".cn" } else { "" };
                format!("https://sqs.{region}.amazonaws.com{china}/{account}/{name}")
            }
        }
    }

    /// Returns the configuration for a region.
    async fn config(&self, region: &str) -> SdkConfig {
        let load = async {
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build();
            let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
                .region(Region::new(region.to_owned()))
                .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
                .timeout_config(timeouts);
            if let Some(credentials) = &self.credentials {
                loader = loader
                    .credentials_provider(SharedCredentialsProvider::new(credentials.clone()));
            }
            if let Some(endpoint) = &self.endpoint {
                loader = loader.endpoint_url(endpoint);
            }
            loader.load().await
        };
        let config = self.config.get_or_init(|| load).await;
        config
            .clone()
            .into_builder()
            .region(Region::new(region.to_owned()))
            .build()
    }
}

/// A client for one region, created on first use.
pub(super) struct Client<C> {
    clients: Arc<Clients>,
    region: String,
    create: fn(&SdkConfig) -> C,
    created: OnceCell<C>,
}

impl<C> Client<C> {
    pub(super) fn new(clients: &Arc<Clients>, region: &str, create: fn(&SdkConfig) -> C) -> Self {
        Self {
            clients: Arc::clone(clients),
            region: region.to_owned(),
            create,
            created: OnceCell::new(),
        }
    }

    pub(super) async fn get(&self) -> &C {
        let create = || async { (self.create)(&self.clients.config(&self.region).await) };
        self.created.get_or_init(create).await
    }
}
