//! The settings of a queue, in addition to its place. Secrets are referenced by environment
//! variable or file, never included.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::QueueError;
use crate::error::setting;

/// The settings of one queue. All are optional. Without credentials, those of the environment are
/// used like by the cloud's own tools (environment variables, workload identity, metadata server).
///
/// AWS supports `endpoint`, `allow-http` and the three keys; Pub/Sub supports `endpoint`,
/// `allow-http`, `anonymous` and `service-account-file`. No setting applies to queues in memory and
/// in directories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct QueueSettings {
    /// Base URL of the server, if it is not the cloud's own.
    pub endpoint: Option<String>,
    /// Allows an `http://` endpoint, for servers on the same machine. Default: false.
    pub allow_http: bool,
    /// Sends requests without credentials, for emulators. Default: false.
    pub anonymous: bool,
    /// Environment variable that contains the access key's identifier.
    pub access_key_id_env: Option<String>,
    /// File that contains the access key's identifier.
    pub access_key_id_file: Option<PathBuf>,
    /// Environment variable that contains the secret access key.
    pub secret_access_key_env: Option<String>,
    /// File that contains the secret access key.
    pub secret_access_key_file: Option<PathBuf>,
    /// Environment variable that contains the session token of temporary credentials.
    pub session_token_env: Option<String>,
    /// File that contains the session token of temporary credentials.
    pub session_token_file: Option<PathBuf>,
    /// Service account key in Google's JSON form.
    pub service_account_file: Option<PathBuf>,
}

impl QueueSettings {
    /// Resolves relative file names against `directory`, the directory of the configuration.
    #[must_use]
    pub fn relative_to(mut self, directory: &Path) -> Self {
        let files = [
            &mut self.access_key_id_file,
            &mut self.secret_access_key_file,
            &mut self.session_token_file,
            &mut self.service_account_file,
        ];
        for file in files.into_iter().flatten() {
            *file = directory.join(&*file);
        }
        self
    }

    /// Refuses settings that do not apply to a queue of this kind, and an endpoint that would
    /// transmit secrets unencrypted.
    pub(crate) fn check(
        &self,
        queue: &str,
        kind: &str,
        applicable: &[&str],
    ) -> Result<(), QueueError> {
        let mut names = self.names().into_iter();
        if let Some(name) = names.find(|name| !applicable.contains(&name.as_str())) {
            let problem = format!("the setting {name} does not apply to {kind}: remove it");
            return Err(setting(queue, problem));
        }
        let Some(endpoint) = &self.endpoint else {
            return Ok(());
        };
        let problem = if endpoint.contains(['@', '?', '#']) {
            // Not repeated in the error, because it may contain a password.
            "the endpoint contains a user name, query or fragment: write only https://HOST[:PORT]"
                .to_owned()
        } else if endpoint.starts_with("http://") && !self.allow_http {
            format!(
                "the endpoint {endpoint} is not encrypted: use https, or set allow-http for a server on this machine"
            )
        } else if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            format!("the endpoint {endpoint} is not a URL: write https://HOST[:PORT]")
        } else {
            return Ok(());
        };
        Err(setting(queue, problem))
    }

    /// Returns the names of the settings that differ from their defaults.
    fn names(&self) -> Vec<String> {
        let fields = |settings: &Self| match serde_json::to_value(settings) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let defaults = fields(&Self::default());
        let mut set = fields(self);
        set.retain(|name, value| defaults.get(name) != Some(value));
        set.into_iter().map(|(name, _)| name).collect()
    }
}

/// Maximum size of a file of credentials, in bytes.
#[cfg(any(feature = "aws", feature = "gcp"))]
const FILE_BYTES: u64 = 1 << 20;

/// Reads a small text file that the settings name.
#[cfg(any(feature = "aws", feature = "gcp"))]
pub(crate) fn read(queue: &str, file: &Path) -> Result<String, QueueError> {
    let bad = |problem: String| setting(queue, format!("{}: {problem}", file.display()));
    let size = std::fs::metadata(file)
        .map_err(|error| bad(error.to_string()))?
        .len();
    if size > FILE_BYTES {
        return Err(bad(format!("larger than {FILE_BYTES} bytes")));
    }
    std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))
}

/// Reads a secret from the environment variable or the file that the settings name; returns `None`
/// if they name neither.
#[cfg(feature = "aws")]
pub(crate) fn secret(
    queue: &str,
    name: &str,
    variable: Option<&str>,
    file: Option<&Path>,
) -> Result<Option<String>, QueueError> {
    match (variable, file) {
        (Some(_), Some(_)) => Err(setting(
            queue,
            format!("{name}-env and {name}-file exclude each other: keep one"),
        )),
        (Some(variable), None) => match std::env::var(variable) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(setting(
                queue,
                format!(
                    "the environment variable {variable} ({name}-env) is not set: set it, or use {name}-file"
                ),
            )),
        },
        (None, Some(file)) => read(queue, file).map(|text| Some(text.trim().to_owned())),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_applies_is_taken() {
        let settings: QueueSettings =
            serde_json::from_str(r#"{"service-account-file": "sa.json"}"#).unwrap();
        let error = settings
            .check("/srv/tasks", "a directory", &[])
            .unwrap_err();
        assert!(
            error.to_string().contains("service-account-file"),
            "{error}"
        );
        assert!(
            settings
                .check("q", "Pub/Sub", &["service-account-file"])
                .is_ok()
        );
        let file = settings
            .relative_to(Path::new("/config"))
            .service_account_file;
        assert_eq!(file.unwrap(), Path::new("/config/sa.json"));
        assert!(serde_json::from_str::<QueueSettings>(r#"{"secret-access-key": "x"}"#).is_err());
    }

    #[test]
    fn an_endpoint_is_encrypted_unless_it_may_not_be() {
        for (text, expected) in [
            (r#"{"endpoint": "https://localhost:1"}"#, None),
            (
                r#"{"endpoint": "http://localhost:1", "allow-http": true}"#,
                None,
            ),
            (r#"{"endpoint": "http://localhost:1"}"#, Some("allow-http")),
            (r#"{"endpoint": "localhost:1"}"#, Some("https://HOST")),
            (
                r#"{"endpoint": "https://me:secret@localhost"}"#,
                Some("user name"),
            ),
        ] {
            let settings: QueueSettings = serde_json::from_str(text).unwrap();
            let result = settings
                .check("q", "SQS", &["endpoint", "allow-http"])
                .map_err(|e| e.to_string());
            assert_eq!(result.is_ok(), expected.is_none());
            assert!(
                result.err().is_none_or(
                    |error| error.contains(expected.unwrap()) && !error.contains("secret")
                )
            );
        }
    }
}
