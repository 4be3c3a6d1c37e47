//! TLS certificates, which are reloaded when they change.

use std::path::Path;
use std::time::SystemTime;

use axum_server::tls_rustls::RustlsConfig;

use crate::config::TlsConfig;
use crate::error::Error;
use tallybox_service::key_file::FileError;

/// The certificate in use, and the files that it was read from.
#[derive(Debug, Clone)]
pub(super) struct Certificates {
    files: TlsConfig,
    pub(super) current: RustlsConfig,
}

/// Modification time and length of the two files, where available.
pub(super) type Stamp = [Option<(SystemTime, u64)>; 2];

impl Certificates {
    /// Reads the files.
    pub(super) async fn load(files: &TlsConfig) -> Result<Self, Error> {
        // An error means that a provider is installed already, which is used then.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let current = RustlsConfig::from_pem_file(&files.certificates, &files.private_key).await;
        Ok(Self {
            files: files.clone(),
            current: current.map_err(|source| failed(&files.certificates, source))?,
        })
    }

    /// Reads the files again. New connections use the result.
    pub(super) async fn reload(&self) -> Result<(), Error> {
        let TlsConfig {
            certificates,
            private_key,
        } = &self.files;
        let loaded = self
            .current
            .reload_from_pem_file(certificates, private_key)
            .await;
        loaded.map_err(|source| failed(certificates, source))
    }

    /// Returns a value that changes when a file changes.
    pub(super) fn stamp(&self) -> Stamp {
        [&self.files.certificates, &self.files.private_key].map(|file| {
            let metadata = std::fs::metadata(file).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }
}

fn failed(file: &Path, source: std::io::Error) -> Error {
    FileError::unreadable(file, source).into()
}
