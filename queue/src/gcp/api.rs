//! Calls of Pub/Sub's REST interface, with tokens and retries.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials, service_account};
use reqwest::{StatusCode, Url, header};
use serde::Serialize;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use crate::error::setting;
use crate::settings::read;
use crate::{QueueError, QueueSettings};
use tallybox_model::cause::chain;

const ENDPOINT: &str = "https://pubsub.googleapis.com";
const SCOPE: &str = "https://www.googleapis.com/auth/pubsub";

/// The environment variable that contains the address of the emulator.
const EMULATOR: &str = "PUBSUB_EMULATOR_HOST";

/// Timeouts of a connection, and of a request that does not wait for a message.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Number of attempts of a request, and the pause before the second one, which doubles with each
/// attempt. For longer failures, the caller retries the whole task.
const REQUEST_ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Maximum size of a response, in bytes: a message in base64 and its attributes.
const ANSWER_BYTES: usize = 16 << 20;

/// Maximum length of an error text from the server, in characters.
const ERROR_CHARS: usize = 500;

/// The subject of a call, which determines the meaning of its failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A message that is published.
    Message,
    /// A lease of this client.
    Lease,
    /// A message that is received. The call may wait.
    Pull,
}

pub(super) struct Api {
    queue: String,
    endpoint: String,
    client: OnceCell<reqwest::Client>,
    /// The key of a service account. Without one, the environment provides the credentials: a file
    /// named there, workload identity, or the metadata server.
    service_account: Option<serde_json::Value>,
    /// Credentials, created on first use. They refresh themselves in the background. `None` if
    /// requests need no token.
    credentials: Option<OnceCell<Credentials>>,
}

impl Api {
    pub(super) fn new(queue: &str, settings: &QueueSettings) -> Result<Self, QueueError> {
        let emulator = std::env::var(EMULATOR).ok().filter(|host| !host.is_empty());
        let (endpoint, anonymous) = match (&settings.endpoint, emulator) {
            (Some(endpoint), _) => (endpoint.clone(), settings.anonymous),
            (None, Some(host)) => (format!("http://{host}"), true),
            (None, None) => (ENDPOINT.to_owned(), settings.anonymous),
        };
        if Url::parse(&endpoint).is_err() {
            return Err(setting(
                queue,
                format!("the endpoint {endpoint} is not a URL: write https://HOST[:PORT]"),
            ));
        }
        let service_account = match &settings.service_account_file {
            Some(_) if anonymous => {
                let problem = "service-account-file and anonymous exclude each other: keep one";
                return Err(setting(queue, problem));
            }
            Some(file) => {
                let text = read(queue, file)?;
                let key = serde_json::from_str(&text).map_err(|_| {
                    let problem =
                        format!("{} is not a service account key in JSON", file.display());
                    setting(queue, problem)
                })?;
                Some(key)
            }
            None => None,
        };
        Ok(Self {
            queue: queue.to_owned(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            client: OnceCell::new(),
            service_account,
            credentials: (!anonymous).then(OnceCell::new),
        })
    }

    /// Sends a request, which may wait for up to `wait`. Returns `None` if this time has passed.
    pub(super) async fn call(
        &self,
        operation: &'static str,
        kind: Kind,
        path: &str,
        request: &impl Serialize,
        wait: Duration,
    ) -> Result<Option<Bytes>, QueueError> {
        let unavailable =
            |source: Box<dyn Error + Send + Sync>| self.unavailable(operation, source);
        let body: Bytes = serde_json::to_vec(request)
            .map_err(|error| unavailable(error.into()))?
            .into();
        let mut pause = FIRST_PAUSE;
        for left in (0..REQUEST_ATTEMPTS).rev() {
            let tried = self.call_once(operation, path, body.clone(), wait);
            let tried = if wait.is_zero() {
                tried.await
            } else {
                // The server is told how long to wait. If it ignores this, the client closes the
                // connection. A message that the server was about to deliver becomes ready again
                // after its deadline.
                match timeout(wait + Duration::from_millis(250), tried).await {
                    Ok(tried) => tried,
                    Err(_) => return Ok(None),
                }
            };
            let cause = match tried {
                Ok((status, answer)) if status.is_success() => return Ok(Some(answer)),
                Ok((StatusCode::GATEWAY_TIMEOUT, _)) if kind == Kind::Pull && !wait.is_zero() => {
                    return Ok(None);
                }
                Ok((status, answer)) => {
                    match self.meaning(operation, kind, path, status, &answer) {
                        QueueError::Unavailable { source, .. }
                            if status.is_server_error()
                                || status == StatusCode::TOO_MANY_REQUESTS =>
                        {
                            source
                        }
                        error => return Err(error),
                    }
                }
                Err(QueueError::Unavailable { source, .. }) => source,
                Err(error) => return Err(error),
            };
            if left == 0 {
                return Err(unavailable(cause));
            }
            if left + 1 == REQUEST_ATTEMPTS {
                tracing::warn!(
                    queue = self.queue,
                    operation,
                    error = chain(&*cause),
                    "queue does not respond; retrying the request"
                );
            }
            sleep(pause).await;
            pause *= 2;
        }
        Err(unavailable("the request was not sent".into()))
    }

    async fn call_once(
        &self,
        operation: &'static str,
        path: &str,
        body: Bytes,
        wait: Duration,
    ) -> Result<(StatusCode, Bytes), QueueError> {
        let unavailable =
            |source: Box<dyn Error + Send + Sync>| self.unavailable(operation, source);
        let make = || async {
            let builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT);
            builder.redirect(reqwest::redirect::Policy::none()).build()
        };
        let client = self.client.get_or_try_init(make).await;
        let client = client.map_err(|error| unavailable(error.into()))?;
        let mut request = client
            .post(format!("{}/v1/{path}", self.endpoint))
            .timeout(wait + REQUEST_TIMEOUT);
        request = request
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        if !wait.is_zero() {
            request = request.header("X-Server-Timeout", wait.as_secs_f64().to_string());
        }
        if let Some(credentials) = &self.credentials {
            let create = || async { create_credentials(self.service_account.as_ref()) };
            let credentials = credentials.get_or_try_init(create).await;
            let credentials = credentials.map_err(|error| setting(&self.queue, error))?;
            match credentials.headers(Default::default()).await {
                Ok(CacheableResource::New { data, .. }) => request = request.headers(data),
                Ok(CacheableResource::NotModified) => {}
                Err(error) => return Err(unavailable(error.into())),
            }
        }
        // Without the URL, because the queue's name already contains it.
        let mut answer = request
            .send()
            .await
            .map_err(|error| unavailable(error.without_url().into()))?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| unavailable(error.without_url().into()))?
        {
            if bytes.len() + chunk.len() > ANSWER_BYTES {
                return Err(unavailable("the response is too long".into()));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((status, bytes.into()))
    }

    /// Converts an unsuccessful response.
    fn meaning(
        &self,
        operation: &'static str,
        kind: Kind,
        path: &str,
        status: StatusCode,
        answer: &[u8],
    ) -> QueueError {
        let text = String::from_utf8_lossy(answer);
        let queue = self.queue.clone();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                QueueError::PermissionDenied { queue, operation }
            }
            StatusCode::NOT_FOUND => {
                let (name, _) = path.rsplit_once(':').unwrap_or((path, ""));
                setting(
                    queue,
                    format!("{name} does not exist: create it, or correct the name"),
                )
            }
            // A bad request can have no other cause. A subscription with exactly-once delivery also
            // reports this status for an expired lease, and for a valid lease that it temporarily
            // cannot look up.
            StatusCode::BAD_REQUEST
                if kind == Kind::Lease && !text.contains("TRANSIENT_FAILURE") =>
            {
                QueueError::LeaseLost { queue }
            }
            _ => {
                let text: String = text
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(ERROR_CHARS)
                    .collect();
                self.unavailable(operation, format!("{status}: {text}").into())
            }
        }
    }

    fn unavailable(
        &self,
        operation: &'static str,
        source: Box<dyn Error + Send + Sync>,
    ) -> QueueError {
        QueueError::Unavailable {
            queue: self.queue.clone(),
            operation,
            source,
        }
    }
}

fn create_credentials(service_account: Option<&serde_json::Value>) -> Result<Credentials, String> {
    let created = match service_account {
        None => Builder::default().with_scopes([SCOPE]).build(),
        Some(key) => {
            let scopes = service_account::AccessSpecifier::from_scopes([SCOPE]);
            service_account::Builder::new(key.clone())
                .with_access_specifier(scopes)
                .build()
        }
    };
    created.map_err(|error| {
        format!(
            "there are no usable Google credentials ({error}): name a service-account-file, or see `gcloud auth \
                 application-default login`"
        )
    })
}
