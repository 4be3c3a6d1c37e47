//! Documents for clients and processors, and their changes.

use axum::body::Body;
use axum::http::Request;
use tallybox_crypto::{SigningKey, jws};
use tallybox_model::client_config::{CLIENT_CONFIG_TYPE, ClientConfig};
use tallybox_model::manifest::{DEFAULT_SIZE_LIMIT, IngestorManifest};

use crate::world::*;

const PATH: &str = "/v1/us-xx/config";

fn opened(answer: &HttpAnswer) -> ClientConfig {
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "application/jose+json")
    );
    let key = config_key().verifying_key();
    let trusted = |id: &str| (id == "config-1").then_some(&key);
    let payload = jws::verify(&answer.body, CLIENT_CONFIG_TYPE, trusted).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

async fn conditional(world: &World, tags: &str) -> HttpAnswer {
    let request = Request::get(PATH).header("if-none-match", tags);
    world.call(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn the_configuration_is_signed_and_says_what_a_client_needs() {
    let world = World::new().await;
    let answer = world.get(PATH).await;
    assert_eq!(answer.header("cache-control"), "max-age=600");
    let config = opened(&answer);
    assert_eq!(
        (config.locality.as_str(), config.ingestor.as_str()),
        (LOCALITY, "ingestor")
    );
    assert_eq!((config.registry_version, config.schema_version), (3, 2));
    // Metrics that are drained or closed are not listed.
    let metrics: Vec<_> = config
        .metrics
        .iter()
        .map(|metric| metric.name.as_str())
        .collect();
    assert_eq!(metrics, [NOTIFIED, "SameShape-v1"]);
    // Only the first of the pairs with the metric's bins is listed.
    for metric in &config.metrics {
        let keys = metric
            .processors
            .each_ref()
            .map(|key| (key.encryption_key_id.as_str(), key.bins));
        assert_eq!(keys, KEYS.map(|id| (id, metric.encoding.bins)));
    }
    assert_eq!(config.limits.max_age_seconds, 48 * 3600);
    assert_eq!(
        (config.limits.max_body_bytes, config.limits.max_reports),
        (8 << 20, 10_000)
    );
    let [issued, expires] =
        [&config.issued, &config.expires].map(|time| time.parse::<jiff::Timestamp>().unwrap());
    assert!(issued.as_millisecond() <= NOW && expires.as_millisecond() >= NOW + 84 * HOUR);
    assert_eq!(
        world
            .call(
                Request::get("/v1/us-yy/config")
                    .body(Body::empty())
                    .unwrap()
            )
            .await
            .problem(),
        "unknownLocality"
    );
}

#[tokio::test]
async fn a_configuration_that_is_known_is_not_sent_again() {
    let world = World::new().await;
    let first = world.get(PATH).await;
    let etag = first.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'));
    for tags in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        "*".to_owned(),
    ] {
        let answer = conditional(&world, &tags).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.len()),
            (304, 0),
            "{tags}"
        );
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(answer.header("cache-control"), "max-age=600");
    }
    assert_eq!(conditional(&world, "\"x\"").await.body, first.body);
    // Another replica with the same files produces the same bytes.
    assert_eq!(World::new().await.get(PATH).await.body, first.body);
    // After half of its validity the document is signed again.
    world.clock.set(NOW + 84 * HOUR);
    let later = conditional(&world, &etag).await;
    assert_eq!(later.status, 200);
    assert!(opened(&later).expires > opened(&first).expires);
}

#[tokio::test]
async fn a_changed_registry_is_taken_up_and_a_bad_one_is_not() {
    let world = World::new().await;
    let before = world.get(PATH).await;
    assert_eq!(
        outcome(&world.post_report(&report(0)).await.result()),
        "accepted"
    );
    let registry = world.directory.path().join("registry.yaml");
    std::fs::write(&registry, REGISTRY.replace("epsilon: 8.0", "epsilon: [")).unwrap();
    assert!(world.app.reload_registry().is_err());
    assert_eq!(world.get(PATH).await.body, before.body);
    assert_eq!(
        outcome(&world.post_report(&report(1)).await.result()),
        "accepted"
    );

    let changed =
        REGISTRY
            .replace("version: 3", "version: 4")
            .replacen("epsilon: 8.0", "epsilon: 4.0", 1);
    std::fs::write(&registry, changed).unwrap();
    assert!(world.app.reload_registry().unwrap());
    assert!(!world.app.reload_registry().unwrap());
    assert_eq!(world.count("ingestor_registry_version"), 4);
    let after = conditional(&world, before.header("etag")).await;
    let config = opened(&after);
    assert_eq!(config.registry_version, 4);
    // Clients with the old configuration get a problem; other metrics are not affected.
    assert_eq!(
        outcome(&world.post_report(&reports(CODES, 0..1)[0]).await.result()),
        "accepted"
    );
    let answer = world.post_report(&report(2)).await;
    assert_eq!(answer.problem(), "parameterMismatch");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("fetch the configuration again"), "{text}");
}

#[tokio::test]
async fn after_a_change_of_keys_old_clients_are_told() {
    let world = World::with(|ingestor| {
        let locality = ingestor.localities.get_mut(LOCALITY).unwrap();
        locality.key_pairs.remove(0);
    })
    .await;
    let config = opened(&world.get(PATH).await);
    assert_eq!(config.metrics[0].processors[0].encryption_key_id, "first-0");
    assert_eq!(world.post_report(&report(0)).await.problem(), "outdatedKey");
    let mut fresh = report(1);
    [&mut fresh.key_id_first, &mut fresh.key_id_second]
        .into_iter()
        .zip(&config.metrics[0].processors)
        .for_each(|(id, key)| id.clone_from(&key.encryption_key_id));
    assert_eq!(
        outcome(&world.post_report(&fresh).await.result()),
        "accepted"
    );
}

#[tokio::test]
async fn the_manifest_names_every_signing_key() {
    use rand::SeedableRng as _;
    let other = SigningKey::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(9));
    let key = other.verifying_key();
    let world = World::with(|ingestor| {
        ingestor
            .other_public_keys
            .insert("batch-2".to_owned(), key.clone());
    })
    .await;
    let answer = world.get("/manifest").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "application/json")
    );
    let manifest = IngestorManifest::parse("manifest", &answer.body, DEFAULT_SIZE_LIMIT).unwrap();
    assert_eq!(
        manifest.server_identity.gcp_service_account_email,
        "writer@example.org"
    );
    let keys = &manifest.batch_signing_public_keys;
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["batch-1", "batch-2"]);
    assert_eq!(
        keys["batch-2"].public_key,
        other.verifying_key().to_spki_pem()
    );
    assert_eq!(keys["batch-1"].expiration.as_str(), "2027-01-01T00:00:00Z");
}

#[tokio::test]
async fn the_description_is_that_of_the_pages() {
    let world = World::new().await;
    let answer = world.get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let description: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    let paths: Vec<_> = description["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/manifest",
            "/openapi.json",
            "/problems",
            "/v1/{locality}/config",
            "/v1/{locality}/reports"
        ]
    );
    let locality = &description["paths"]["/v1/{locality}/config"]["get"]["parameters"][0];
    assert_eq!(locality["schema"]["enum"], serde_json::json!([LOCALITY]));
    // The description contains every status that a problem can have.
    let post = &description["paths"]["/v1/{locality}/reports"]["post"];
    let described = post["responses"].as_object().unwrap();
    for kind in tallybox_model::report::ProblemKind::ALL {
        let status = kind.status().to_string();
        assert!(
            status == "405" || described.contains_key(&status),
            "{kind:?}"
        );
    }
    // The schemas have the members that are serialised, and require the mandatory ones.
    let schemas = &description["components"]["schemas"];
    let members = |schema: &str| {
        let schema = &schemas[schema];
        assert_eq!(schema["additionalProperties"], false, "{schema}");
        schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let sent = value(&attest(report(0), 1, NOW));
    let keys = |value: &serde_json::Value| {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let sorted = |schema: &str| {
        let mut members = members(schema);
        members.sort();
        members
    };
    assert_eq!(sorted("Report"), keys(&sent));
    assert_eq!(sorted("Payload"), keys(&sent["payload"]));
    assert_eq!(
        sorted("Share"),
        keys(&sent["payload"]["encryptedDataShares"][0])
    );
    let mut parameters = keys(&sent["payload"]["prioParams"]);
    parameters.push("hammingWeight".to_owned());
    parameters.sort();
    assert_eq!(sorted("Parameters"), parameters);
    let required = |schema: &str| schemas[schema]["required"].as_array().cloned().unwrap();
    assert_eq!(required("Report"), ["metricName", "payload"]);
    assert_eq!(
        required("Payload"),
        ["uuid", "schemaVersion", "prioParams", "encryptedDataShares"]
    );
    assert_eq!(
        required("Parameters"),
        ["prime", "bins", "epsilon", "numberServers"]
    );
    assert_eq!(required("ReportResult"), ["uuid", "status"]);
    let problem = world.post("{", JSON).await;
    assert_eq!(
        sorted("Problem"),
        keys(&serde_json::from_slice(&problem.body).unwrap())
    );
    let answer = world.post_many(&[report(0)]).await;
    assert_eq!(
        sorted("ReportsAnswer"),
        keys(&serde_json::from_slice(&answer.body).unwrap())
    );
    // The example requests are accepted unchanged, and elements of lists have a type.
    assert_eq!(description["servers"][0]["url"], "/");
    let examples = &post["requestBody"]["content"]["application/json"]["examples"];
    let single = world.post(examples["one"]["value"].to_string(), JSON).await;
    assert_eq!(outcome(&single.result()), "accepted");
    let many = world
        .post(examples["many"]["value"].to_string(), JSON)
        .await;
    assert_eq!(many.results(), ["alreadyAccepted"]);
    let element = &schemas["Reports"]["properties"]["reports"]["items"];
    let text = format!("{element} {}", schemas["Element"]);
    assert!(text.contains("#/components/schemas/Report\""), "{text}");
    let page = world
        .get(description["externalDocs"]["url"].as_str().unwrap())
        .await;
    assert!(page.header("content-type").starts_with("text/html"));
    let manifest: serde_json::Value =
        serde_json::from_slice(&world.get("/manifest").await.body).unwrap();
    assert_eq!(sorted("Manifest"), keys(&manifest));
}

async fn from_origin(world: &World, method: &str, path: &str, origin: &str) -> HttpAnswer {
    let mut request = axum::http::Request::builder()
        .method(method)
        .uri(path)
        .header("origin", origin);
    if method == "OPTIONS" {
        request = request
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
    }
    world
        .call(request.body(axum::body::Body::empty()).unwrap())
        .await
}

#[tokio::test]
async fn pages_of_configured_origins_may_use_the_server() {
    const REPORTS: &str = "/v1/us-xx/reports";
    const OURS: &str = "https://example.org";
    let world = World::with(|ingestor| ingestor.serve.cors_origins = vec![OURS.to_owned()]).await;
    let answer = from_origin(&world, "OPTIONS", REPORTS, OURS).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), OURS);
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("POST")
    );
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("content-type")
    );
    let answer = from_origin(&world, "GET", "/v1/us-xx/config", OURS).await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.header("access-control-allow-origin")
        ),
        (200, OURS)
    );
    assert_eq!(answer.header("vary"), "origin");
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("retry-after")
    );
    // Pages of the origin can read problems as well.
    let answer = from_origin(&world, "POST", REPORTS, OURS).await;
    assert_eq!(
        (
            answer.problem(),
            answer.header("access-control-allow-origin")
        ),
        ("unsupportedMedia", OURS)
    );
    let answer = from_origin(&world, "OPTIONS", REPORTS, "https://elsewhere.example").await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    // By default no origins are configured, and the server ignores preflight requests.
    let closed = World::new().await;
    let answer = from_origin(&closed, "OPTIONS", REPORTS, OURS).await;
    assert_eq!((answer.status.as_u16(), answer.header("vary")), (405, ""));
    let open = World::with(|ingestor| ingestor.serve.cors_origins = vec!["*".to_owned()]).await;
    let answer = from_origin(&open, "GET", "/manifest", OURS).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}
