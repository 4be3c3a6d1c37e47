//! Documents for clients and processors: the signed configuration and the manifest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use jiff::Timestamp;
use tallybox_crypto::{VerifyingKey, jws};
use tallybox_model::cause::chain;
use tallybox_model::client_config::{CLIENT_CONFIG_TYPE, ClientConfig, ClientKey, ClientLimits};
use tallybox_model::digest::Digest;
use tallybox_model::manifest::{
    BatchSigningPublicKey, Expiration, IngestorIdentity, IngestorManifest,
};
use tallybox_model::registry::Registry;
use tallybox_model::report::{ProblemKind, SCHEMA_VERSIONS};

use super::refusal::Refusal;
use super::{App, openapi};
use crate::error::Error;
use crate::ingestor::{Ingestor, Locality};

/// The media type of signed documents (RFC 7515).
pub(super) const JOSE_JSON: &str = "application/jose+json";
/// Expiration in the manifest if none is configured. ENPA's processors require one and accept this.
const NO_EXPIRATION: &str = "2099-12-31T23:59:59Z";

/// Cache of a locality's signed configuration for clients.
#[derive(Default)]
pub(super) struct SignedConfig(Mutex<Option<Arc<Signed>>>);

/// A signed configuration.
struct Signed {
    registry: Arc<Registry>,
    /// Milliseconds since the epoch.
    issued: i64,
    document: Bytes,
    etag: HeaderValue,
}

impl SignedConfig {
    /// Returns the configuration in force.
    ///
    /// The document is signed again when the registry changes, and after half of its validity.
    /// Replicas with the same files produce the same bytes, so their entity tags agree.
    fn current(&self, ingestor: &Ingestor, locality: &Locality) -> Result<Arc<Signed>, Refusal> {
        let registry = ingestor.registry.current();
        let half = (i64::try_from(ingestor.serve.config_valid_secs).unwrap_or(i64::MAX / 2000)
            * 500)
            .max(1);
        let now = ingestor.clients_millis();
        // All replicas round to the same time, so that they sign the same bytes.
        let issued = now - now.rem_euclid(half);
        // The value behind the lock is replaced as a whole, so a poisoned lock is safe to use.
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signed) = slot.as_ref()
            && signed.issued == issued
            && Arc::ptr_eq(&signed.registry, &registry)
        {
            return Ok(Arc::clone(signed));
        }
        let signed = Arc::new(sign(ingestor, locality, registry, issued)?);
        *slot = Some(Arc::clone(&signed));
        Ok(signed)
    }
}

fn sign(
    ingestor: &Ingestor,
    locality: &Locality,
    registry: Arc<Registry>,
    issued: i64,
) -> Result<Signed, Refusal> {
    let failed = |error: &dyn std::error::Error| {
        tracing::error!(
            locality = locality.name,
            error = chain(error),
            "configuration for clients cannot be signed"
        );
        Refusal::new(
            ProblemKind::Unavailable,
            "the configuration could not be signed",
        )
    };
    let config = client_config(ingestor, locality, &registry, issued).ok_or_else(|| {
        tracing::error!("the clock shows a time outside the range of timestamps");
        Refusal::new(
            ProblemKind::Unavailable,
            "the server's clock is wrong; try again later",
        )
    })?;
    let payload = serde_json::to_vec(&config).map_err(|error| failed(&error))?;
    let (key_id, key) = &ingestor.config_key;
    let document =
        jws::sign(&payload, CLIENT_CONFIG_TYPE, key_id, key).map_err(|error| failed(&error))?;
    let etag = format!("\"{}\"", &Digest::sha256(&document).to_hex()[..32]);
    Ok(Signed {
        registry,
        issued,
        etag: HeaderValue::try_from(etag).map_err(|error| failed(&error))?,
        document: document.into(),
    })
}

fn client_config(
    ingestor: &Ingestor,
    locality: &Locality,
    registry: &Registry,
    issued: i64,
) -> Option<ClientConfig> {
    let serve = &ingestor.serve;
    let valid = i64::try_from(serve.config_valid_secs)
        .ok()?
        .checked_mul(1000)?;
    let time = |millis| {
        Timestamp::from_millisecond(millis)
            .ok()
            .map(|time| time.to_string())
    };
    let keys = |bins| {
        let pair = locality.key_pair(bins)?;
        Some(pair.keys.each_ref().map(|key| ClientKey {
            encryption_key_id: key.id.clone(),
            public_key: key.public.to_x962_base64(),
            bins,
        }))
    };
    Some(ClientConfig {
        format: ClientConfig::FORMAT,
        locality: locality.name.clone(),
        ingestor: ingestor.name.clone(),
        issued: time(issued)?,
        expires: time(issued.checked_add(valid)?)?,
        registry_version: registry.version,
        schema_version: *SCHEMA_VERSIONS.end(),
        metrics: ClientConfig::metrics_of(registry, keys),
        limits: ClientLimits {
            max_body_bytes: serve.body_bytes,
            max_reports: serve.body_reports,
            max_age_seconds: u64::from(ingestor.acceptance.max_age_hours) * 3600,
            max_ahead_seconds: u64::from(ingestor.acceptance.max_ahead_minutes) * 60,
        },
        attestation: locality.attestation,
    })
}

/// The signed configuration for a locality's clients: metrics, keys and limits
#[utoipa::path(
    get,
    path = "/v1/{locality}/config",
    tag = "clients",
    params(
        ("locality" = String, Path, description = "The locality"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of a cached copy"),
    ),
    responses(
        (status = 200, description = "The configuration", body = openapi::SignedDocument,
            content_type = "application/jose+json",
            headers(
                ("ETag" = String, description = "Identifies these bytes"),
                ("Cache-Control" = String, description = "How long the document may be cached"),
            )),
        (status = 304, description = "The cached copy is current",
            headers(
                ("ETag" = String, description = "Identifies these bytes"),
                ("Cache-Control" = String, description = "How long the document may be cached"),
            )),
        (status = 404, description = "Unknown locality",
            body = openapi::Problem, content_type = "application/problem+json"),
        (status = 503, description = "The configuration could not be signed",
            body = openapi::Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u32, description = "Seconds"))),
    )
)]
pub(super) async fn config(
    State(app): State<Arc<App>>,
    locality: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let unknown = || {
        Refusal::new(
            ProblemKind::UnknownLocality,
            "unknown locality; check the URL of the request",
        )
    };
    let Path(name) = locality.map_err(|_| unknown())?;
    let service = app.locality(&name)?;
    let locality = app.ingestor.localities.get(&name).ok_or_else(unknown)?;
    let signed = service.config.current(&app.ingestor, locality)?;
    let serve = &app.ingestor.serve;
    // A cached copy must not outlive the validity of the document.
    let valid = i64::try_from(serve.config_valid_secs).unwrap_or(i64::MAX / 1000);
    let left = valid - (app.ingestor.clients_millis() - signed.issued) / 1000;
    let age = serve
        .config_max_age_secs
        .min(u64::try_from(left).unwrap_or(0));
    let caching = [
        (header::ETAG, signed.etag.clone()),
        (
            header::CACHE_CONTROL,
            HeaderValue::try_from(format!("max-age={age}"))
                .unwrap_or(HeaderValue::from_static("no-cache")),
        ),
    ];
    if is_current(&headers, &signed.etag) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let content = [(header::CONTENT_TYPE, JOSE_JSON)];
    Ok((caching, content, signed.document.clone()).into_response())
}

/// Returns whether `If-None-Match` contains this entity tag (RFC 9110 section 13.1.2).
fn is_current(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    tags.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes()
    })
}

/// Returns the manifest as JSON. The manifest lists every key that this ingestor may sign with, so
/// that processors have the next key before its first use.
pub(super) fn manifest(ingestor: &Ingestor) -> Result<Vec<u8>, Error> {
    let settings = &ingestor.manifest;
    let expiration = settings
        .signing_key_expiration
        .as_deref()
        .unwrap_or(NO_EXPIRATION);
    let expiration = Expiration::parse(expiration)
        .map_err(|error| Error::Setting(format!("manifest.signing-key-expiration: {error}")))?;
    let signer = (ingestor.signer.key_id(), ingestor.signer.verifying_key());
    let published = |key: &VerifyingKey| BatchSigningPublicKey {
        public_key: key.to_spki_pem(),
        expiration: expiration.clone(),
    };
    let others = ingestor.other_public_keys.iter();
    let mut keys: BTreeMap<_, _> = others
        .map(|(id, key)| (id.clone(), published(key)))
        .collect();
    keys.insert(signer.0.to_owned(), published(&signer.1));
    let manifest = IngestorManifest {
        format: 1,
        server_identity: IngestorIdentity {
            aws_iam_entity: settings.aws_iam_entity.clone(),
            gcp_service_account_id: settings.gcp_service_account_id.clone(),
            gcp_service_account_email: settings
                .gcp_service_account_email
                .clone()
                .unwrap_or_default(),
        },
        batch_signing_public_keys: keys,
    };
    Ok(manifest.to_json())
}

/// Public keys that verify batches
#[utoipa::path(get, path = "/manifest", tag = "processors", responses(
    (status = 200, description = "The manifest", body = openapi::Manifest, content_type = "application/json"),
))]
pub(super) async fn manifest_page(State(app): State<Arc<App>>) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        app.manifest.clone(),
    )
        .into_response()
}
