//! The OpenAPI 3.1 description of all paths, for client developers and tools.
//!
//! The types here mirror those of `tallybox_model` for their schemas. A test compares the two.
#![allow(dead_code, reason = "of these types only the schema is used")]

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{OpenApi, ToSchema};

use super::{App, documents, example, problems, reports};
use crate::ingestor::Ingestor;

const ABOUT: &str = "Receives encrypted reports from clients. Errors are answered with a problem document (RFC 9457) \
    that has a stable `type`, and a member `next` that states what the client does next. Bodies may be compressed with \
    gzip or zstd (`Content-Encoding`), at most to a hundredth of their size.";

#[derive(OpenApi)]
#[openapi(
    info(title = "Tallybox ingestor", description = ABOUT),
    paths(reports::post, documents::config, documents::manifest_page, problems::page, page),
    components(schemas(
        Report,
        Reports,
        Body,
        ReportResult,
        ReportsAnswer,
        Problem,
        SignedDocument,
        Manifest
    ))
)]
struct Pages;

/// A report, with ENPA's field names.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Report {
    /// The name of the metric, including its version.
    #[schema(example = "CodeVerified-v1")]
    metric_name: String,
    payload: Payload,
    /// The attested key's signature over the payload, base64 of ASN.1 DER.
    #[schema(
        required = false,
        pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
    )]
    signature: Option<String>,
    /// The certificate chain of the attested key, base64 of DER, leaf first.
    #[schema(required = false)]
    certificate_chain: Option<Vec<Base64Text>>,
}

/// Padded base64 (RFC 4648 section 4).
#[derive(Serialize, ToSchema)]
#[schema(pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")]
struct Base64Text(String);

/// The part of a report that the signature covers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Payload {
    /// The report's id, random (version 4). Retries of a report use the same id; no other report
    /// does.
    #[schema(
        pattern = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-4[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}$",
        example = "3f0c8a52-9d1e-4b7a-8c66-0e4f5a6b7c8d"
    )]
    uuid: String,
    /// The time when the report was created. The server does not store it.
    #[schema(required = false, format = DateTime)]
    created: Option<String>,
    /// Version of the report schema.
    #[schema(minimum = 1, maximum = 2)]
    schema_version: i32,
    prio_params: Parameters,
    /// The sealed shares: first the first processor's, then the second's.
    #[schema(min_items = 2, max_items = 2)]
    encrypted_data_shares: Vec<Share>,
}

/// Parameters of the metric, equal to those in the registry.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Parameters {
    /// Modulus of the field.
    #[schema(example = 4_293_918_721_i64)]
    prime: i64,
    /// Number of bins.
    #[schema(minimum = 1, maximum = 262_143)]
    bins: i32,
    /// Parameter of the randomised response.
    #[schema(example = 8.0)]
    epsilon: f64,
    /// Number of processors among which the report is split.
    #[schema(minimum = 2, maximum = 2)]
    number_servers: i32,
    /// Number of bins that are set, if the metric fixes it.
    #[schema(required = false, minimum = 1, maximum = 262_143)]
    hamming_weight: Option<i32>,
}

/// The sealed share for one processor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Share {
    payload: Base64Text,
    /// The id of the key to which the share is sealed.
    encryption_key_id: String,
}

/// A list of reports. Each element should be a Report. Any other element has the result
/// `malformed`; the other elements are processed.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reports {
    reports: Vec<Element>,
}

/// An element of a list of reports.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Element {
    /// A report.
    Report(Box<Report>),
    /// Any other JSON value, whose result is `malformed`.
    Other(Anything),
}

/// Any JSON value.
#[derive(Serialize)]
struct Anything(serde_json::Value);

impl utoipa::PartialSchema for Anything {
    fn schema() -> RefOr<Schema> {
        utoipa::openapi::schema::empty().into()
    }
}

impl ToSchema for Anything {}

/// A report, or a list of reports.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Body {
    One(Box<Report>),
    Many(Reports),
}

/// An Avro container file of TallyboxReport records.
#[derive(Serialize, ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(super) struct AvroFile(Vec<u8>);

/// The result for one report.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReportResult {
    /// The report's id as sent, cut to 64 characters; empty if it could not be parsed.
    #[schema(max_length = 64)]
    uuid: String,
    /// Position of the report in the body, from 0. Present if the report was rejected and the body
    /// is a list.
    #[schema(required = false, nullable = false, minimum = 0)]
    index: Option<u64>,
    status: ReportStatus,
    /// The reason why the report was rejected.
    #[schema(required = false, nullable = false)]
    problem: Option<Problem>,
}

/// The outcome for a report: it is durable now, it already was, or it is not stored.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum ReportStatus {
    Accepted,
    AlreadyAccepted,
    Rejected,
}

/// The results, one for each report, in the order of the body.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReportsAnswer {
    /// Number of reports that are durable now, including those accepted before.
    #[schema(minimum = 0)]
    accepted: u64,
    /// Number of reports that are not stored.
    #[schema(minimum = 0)]
    rejected: u64,
    results: Vec<ReportResult>,
}

/// The answer to a post: the result for a single JSON report, or the results for a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Answer {
    One(ReportResult),
    Many(ReportsAnswer),
}

/// A problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Problem {
    /// A stable name. The page /problems has a section for each; its anchor is the last part of the
    /// name.
    #[serde(rename = "type")]
    #[schema(
        pattern = "^urn:tallybox:problem:[A-Za-z]+$",
        example = "urn:tallybox:problem:outdatedKey"
    )]
    kind: String,
    /// A short description of the problem type, which never changes.
    title: String,
    /// The HTTP status that a post of this report alone would have.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The cause in this report or request.
    detail: String,
    /// The next step for the client.
    next: String,
}

/// A flattened JWS (RFC 7515 section 7.2.2), ES256, of type `tallybox-client-config`.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignedDocument {
    #[schema(pattern = "^[A-Za-z0-9_-]+$")]
    payload: String,
    #[schema(pattern = "^[A-Za-z0-9_-]+$")]
    protected: String,
    #[schema(pattern = "^[A-Za-z0-9_-]{86}$")]
    signature: String,
}

/// ENPA's manifest of an ingestor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Manifest {
    #[schema(minimum = 1, maximum = 1)]
    format: u64,
    server_identity: Identity,
    /// The keys by key id.
    batch_signing_public_keys: std::collections::BTreeMap<String, PublicKey>,
}

/// The accounts that write to the processors' buckets.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Identity {
    #[schema(required = false)]
    aws_iam_entity: Option<String>,
    #[schema(required = false)]
    gcp_service_account_id: Option<String>,
    gcp_service_account_email: String,
}

/// A public key that verifies batches.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PublicKey {
    /// PEM `PUBLIC KEY`.
    public_key: String,
    expiration: String,
}

/// OpenAPI description of this server
#[utoipa::path(get, path = "/openapi.json", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json"),
))]
pub(super) async fn page(State(app): State<Arc<App>>) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        app.description.clone(),
    )
        .into_response()
}

/// Returns the description as JSON, with the localities of this ingestor and an example request
/// that it accepts.
pub(super) fn description(ingestor: &Ingestor) -> Vec<u8> {
    let mut description = serde_json::to_value(Pages::openapi()).unwrap_or_default();
    description["servers"] =
        json!([{ "url": "/", "description": "The server of this description" }]);
    description["externalDocs"] = json!({ "url": "/problems", "description": "Explanation of each problem type, with the next step" });
    let localities: Vec<&String> = ingestor.localities.keys().collect();
    for page in ["/v1/{locality}/reports/post", "/v1/{locality}/config/get"] {
        let (path, method) = page.rsplit_once('/').unwrap_or_default();
        if let Some(locality) = description["paths"][path][method].pointer_mut("/parameters/0") {
            locality["schema"] = json!({"type": "string", "enum": localities});
        }
    }
    // A report matches both alternatives, since it is also a JSON value; `oneOf` would reject it.
    if let Some(element) = description["components"]["schemas"]["Element"].as_object_mut()
        && let Some(schemas) = element.remove("oneOf")
    {
        element.insert("anyOf".to_owned(), schemas);
    }
    if let Some(report) = example::report(ingestor) {
        let post = &mut description["paths"]["/v1/{locality}/reports"]["post"];
        post["requestBody"]["content"]["application/json"]["examples"] = json!({
            "one": { "summary": "One report", "value": report },
            "many": { "summary": "A list of reports", "value": { "reports": [report] } },
        });
    }
    serde_json::to_vec(&description).unwrap_or_default()
}
