//! The settings of a bucket, in addition to its location. Secrets are referenced by environment
//! variable or file, never included.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::BucketError;

/// The settings of one bucket. All are optional. Without credentials, those of the environment are
/// used like by the cloud's own tools (environment variables, workload identity, metadata server).
///
/// Applicable settings: for S3 `region`, `endpoint`, `allow-http`, `ca-certificate`,
/// `virtual-hosted-style`, `anonymous` and the three keys; for GCS `endpoint`, `allow-http`,
/// `ca-certificate`, `anonymous`, `service-account-file`; for Azure `endpoint`, `allow-http`,
/// `ca-certificate`, `anonymous` and the account key. No setting applies to local and memory
/// buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct BucketSettings {
    /// Base URL of the server, if it is not the cloud's own. For S3 and Azure, the URL does not
    /// include bucket and container.
    pub endpoint: Option<String>,
    /// Allows `http://` endpoints, for servers on the same machine. Default: false.
    pub allow_http: bool,
    /// PEM file of certificates that are trusted in addition to the system's.
    pub ca_certificate: Option<PathBuf>,
    /// Region for signing requests, if it differs from the region in the location.
    pub region: Option<String>,
    /// Puts the bucket's name into the host name instead of the path. Default: false.
    pub virtual_hosted_style: bool,
    /// Sends requests without credentials. Default: false.
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
    /// Environment variable that contains the storage account's key, base64.
    pub account_key_env: Option<String>,
    /// File that contains the storage account's key, base64.
    pub account_key_file: Option<PathBuf>,
}

impl BucketSettings {
    /// Resolves relative file names against `directory`, the directory of the configuration.
    #[must_use]
    pub fn relative_to(mut self, directory: &Path) -> Self {
        let files = [
            &mut self.ca_certificate,
            &mut self.access_key_id_file,
            &mut self.secret_access_key_file,
            &mut self.session_token_file,
            &mut self.service_account_file,
            &mut self.account_key_file,
        ];
        for file in files.into_iter().flatten() {
            *file = directory.join(&*file);
        }
        self
    }

    /// Returns the names of the settings that are set.
    pub(crate) fn set(&self) -> Vec<&'static str> {
        let all = [
            ("endpoint", self.endpoint.is_some()),
            ("allow-http", self.allow_http),
            ("ca-certificate", self.ca_certificate.is_some()),
            ("region", self.region.is_some()),
            ("virtual-hosted-style", self.virtual_hosted_style),
            ("anonymous", self.anonymous),
            ("access-key-id-env", self.access_key_id_env.is_some()),
            ("access-key-id-file", self.access_key_id_file.is_some()),
            (
                "secret-access-key-env",
                self.secret_access_key_env.is_some(),
            ),
            (
                "secret-access-key-file",
                self.secret_access_key_file.is_some(),
            ),
            ("session-token-env", self.session_token_env.is_some()),
            ("session-token-file", self.session_token_file.is_some()),
            ("service-account-file", self.service_account_file.is_some()),
            ("account-key-env", self.account_key_env.is_some()),
            ("account-key-file", self.account_key_file.is_some()),
        ];
        all.into_iter()
            .filter(|(_, set)| *set)
            .map(|(name, _)| name)
            .collect()
    }

    /// Refuses settings that do not apply to the bucket at `location`.
    pub(crate) fn only(&self, location: &str, applicable: &[&str]) -> Result<(), BucketError> {
        match self
            .set()
            .into_iter()
            .find(|name| !applicable.contains(name))
        {
            None => Ok(()),
            Some(name) => Err(invalid(
                location,
                format!("setting {name} does not apply to this kind of bucket"),
            )),
        }
    }
}

/// Returns the error for settings that do not fit a bucket.
pub(crate) fn invalid(location: &str, reason: impl Into<String>) -> BucketError {
    BucketError::InvalidSettings {
        bucket: location.to_owned(),
        reason: reason.into(),
    }
}

#[cfg(test)]
#[cfg(all(feature = "aws", feature = "gcp", feature = "azure"))]
mod cloud_tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{BucketUrl, open};

    fn try_open(url: &str, settings: &str) -> Result<String, String> {
        let settings: BucketSettings = serde_json::from_str(settings).unwrap();
        let url = BucketUrl::parse(url, Path::new("/")).unwrap();
        open(&url, &settings)
            .map(|bucket| bucket.location())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_cloud_bucket_opens_without_being_asked_for_and_says_where_it_is() {
        let keys = r#"{"access-key-id-env": "PATH", "secret-access-key-env": "PATH", "endpoint": "http://127.0.0.1:9", "allow-http": true}"#;
        for (url, settings) in [
            ("s3://us-west-2/bucket/some/prefix", keys),
            ("gs://bucket/prefix", r#"{"anonymous": true}"#),
            ("az://account/container", r#"{"anonymous": true}"#),
        ] {
            assert_eq!(try_open(url, settings).as_deref(), Ok(url));
        }
    }

    #[test]
    fn what_does_not_fit_is_said_by_name() {
        let cases = [
            ("s3://r/b", r#"{"account-key-env": "X"}"#, "account-key-env"),
            (
                "s3://r/b",
                r#"{"access-key-id-env": "TALLYBOX_NOT_SET"}"#,
                "TALLYBOX_NOT_SET",
            ),
            (
                "s3://r/b",
                r#"{"access-key-id-env": "PATH", "access-key-id-file": "/x"}"#,
                "exclude each other",
            ),
            (
                "gs://b",
                r#"{"service-account-file": "/nowhere/sa.json"}"#,
                "/nowhere/sa.json",
            ),
            (
                "az://a/c",
                r#"{"ca-certificate": "/nowhere/ca.pem"}"#,
                "/nowhere/ca.pem",
            ),
        ];
        for (url, settings, expected) in cases {
            let error = try_open(url, settings).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_applies_is_taken() {
        let settings = BucketSettings {
            allow_http: true,
            ..BucketSettings::default()
        };
        assert!(settings.only("gs://b", &["endpoint", "allow-http"]).is_ok());
        let error = settings.only("/srv/b", &[]).unwrap_err();
        assert!(error.to_string().contains("allow-http"), "{error}");
        assert!(BucketSettings::default().only("/srv/b", &[]).is_ok());
    }

    #[test]
    fn files_are_relative_to_the_configuration() {
        let settings = BucketSettings {
            service_account_file: Some("sa.json".into()),
            ca_certificate: Some("/etc/ca.pem".into()),
            ..BucketSettings::default()
        };
        let settings = settings.relative_to(Path::new("/config"));
        assert_eq!(
            settings.service_account_file.unwrap(),
            Path::new("/config/sa.json")
        );
        assert_eq!(settings.ca_certificate.unwrap(), Path::new("/etc/ca.pem"));
    }
}
