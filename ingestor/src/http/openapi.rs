//! The description of all pages, for client developers and for machines: OpenAPI 3.1.
//!
//! The types here are those of `tallybox_model` as a schema sees them; a test compares the two.
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

const ABOUT: &str = "Takes encrypted reports from clients. What a page answers when something is wrong is a problem \
    document (RFC 9457) with a stable `type`, and a member `next` that says what to do. Bodies may be packed by gzip or \
    zstd (`Content-Encoding`), to a hundredth of their size at most.";

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

/// One report, with ENPA's field names.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Report {
    /// The metric with its version.
    #[schema(example = "CodeVerified-v1")]
    metric_name: String,
    payload: Payload,
    /// The attested key's signature over the payload, base64 of ASN.1 DER.
    #[schema(
        required = false,
        pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
    )]
    signature: Option<String>,
    /// The attested key's certificates, base64 of DER, leaf first.
    #[schema(required = false)]
    certificate_chain: Option<Vec<Base64Text>>,
}

/// Padded base64 (RFC 4648 section 4).
#[derive(Serialize, ToSchema)]
#[schema(pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")]
struct Base64Text(String);

/// What a signature covers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Payload {
    /// The report's id, random (version 4). Sent again with the same report, never with another.
    #[schema(
        pattern = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-4[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}$",
        example = "3f0c8a52-9d1e-4b7a-8c66-0e4f5a6b7c8d"
    )]
    uuid: String,
    /// When the report was made; not kept.
    #[schema(required = false, format = DateTime)]
    created: Option<String>,
    /// Version of the schema.
    #[schema(minimum = 1, maximum = 2)]
    schema_version: i32,
    prio_params: Parameters,
    /// The sealed shares, the first processor's first.
    #[schema(min_items = 2, max_items = 2)]
    encrypted_data_shares: Vec<Share>,
}

/// Parameters of the metric; equal to the registry's.
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
    /// How many processors share the report.
    #[schema(minimum = 2, maximum = 2)]
    number_servers: i32,
    /// How many bins are set, if the metric says so.
    #[schema(required = false, minimum = 1, maximum = 262_143)]
    hamming_weight: Option<i32>,
}

/// One processor's share.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Share {
    payload: Base64Text,
    /// Which key it is sealed to.
    encryption_key_id: String,
}

/// Many reports. Each element should be a Report; one that is not is answered `malformed` in its place, and the others
/// are taken.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reports {
    reports: Vec<Element>,
}

/// An element of a list of reports.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Element {
    /// What it should be.
    Report(Box<Report>),
    /// Anything else, which is answered `malformed`.
    Other(Anything),
}

/// Any JSON.
#[derive(Serialize)]
struct Anything(serde_json::Value);

impl utoipa::PartialSchema for Anything {
    fn schema() -> RefOr<Schema> {
        utoipa::openapi::schema::empty().into()
    }
}

impl ToSchema for Anything {}

/// One report, or many.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Body {
    One(Box<Report>),
    Many(Reports),
}

/// A file of records.
#[derive(Serialize, ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(super) struct AvroFile(Vec<u8>);

/// What became of one report.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReportResult {
    /// The report's id as it was sent, cut to 64 characters; empty if it could not be read.
    #[schema(max_length = 64)]
    uuid: String,
    /// Which report of the body it is, from 0: there if it was rejected and the body held many.
    #[schema(required = false, nullable = false, minimum = 0)]
    index: Option<u64>,
    status: ReportStatus,
    /// Why it was rejected.
    #[schema(required = false, nullable = false)]
    problem: Option<Problem>,
}

/// What became of a report: it is durable, was before, or is not kept.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum ReportStatus {
    Accepted,
    AlreadyAccepted,
    Rejected,
}

/// One result for each report, in their order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReportsAnswer {
    /// How many are durable now, those accepted before included.
    #[schema(minimum = 0)]
    accepted: u64,
    /// How many are not kept.
    #[schema(minimum = 0)]
    rejected: u64,
    results: Vec<ReportResult>,
}

/// The answer to a post: the result of a single JSON report, or those of many.
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
    /// A stable name. The page /problems has a paragraph for each, under the anchor of its last part.
    #[serde(rename = "type")]
    #[schema(
        pattern = "^urn:tallybox:problem:[A-Za-z]+$",
        example = "urn:tallybox:problem:outdatedKey"
    )]
    kind: String,
    /// What is wrong, in a few words that never change.
    title: String,
    /// The HTTP status of a post of this report alone.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong with this report or request.
    detail: String,
    /// What the client does next.
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
    /// The keys by their ids.
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

/// A key that batches are signed with.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PublicKey {
    /// PEM `PUBLIC KEY`.
    public_key: String,
    expiration: String,
}

/// This description
#[utoipa::path(get, path = "/openapi.json", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json"),
))]
pub(super) async fn page(State(app): State<Arc<App>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.description.clone()).into_response()
}

/// The bytes of the description: that of the pages, with the localities that there are, and a request that is accepted.
pub(super) fn description(ingestor: &Ingestor) -> Vec<u8> {
    let mut description = serde_json::to_value(Pages::openapi()).unwrap_or_default();
    description["servers"] = json!([{ "url": "/", "description": "The server of this description" }]);
    description["externalDocs"] =
        json!({ "url": "/problems", "description": "What each problem means, and what to do" });
    let localities: Vec<&String> = ingestor.localities.keys().collect();
    for page in ["/v1/{locality}/reports/post", "/v1/{locality}/config/get"] {
        let (path, method) = page.rsplit_once('/').unwrap_or_default();
        if let Some(locality) = description["paths"][path][method].pointer_mut("/parameters/0") {
            locality["schema"] = json!({"type": "string", "enum": localities});
        }
    }
    // A report is also any JSON: one of both would be neither.
    if let Some(element) = description["components"]["schemas"]["Element"].as_object_mut()
        && let Some(ways) = element.remove("oneOf")
    {
        element.insert("anyOf".to_owned(), ways);
    }
    if let Some(report) = example::report(ingestor) {
        let post = &mut description["paths"]["/v1/{locality}/reports"]["post"];
        post["requestBody"]["content"]["application/json"]["examples"] = json!({
            "one": { "summary": "One report", "value": report },
            "many": { "summary": "Many reports", "value": { "reports": [report] } },
        });
    }
    serde_json::to_vec(&description).unwrap_or_default()
}
