//! POST requests to a whole ingestor, from the compressed body to the slab. Every response has a
//! form that clients know.
//!
//! The input is the body. Its first bytes determine its type: an Avro file, a compressed body, or
//! otherwise JSON.

use crate::world::clear;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use tallybox_ingestor::config::Config;
use tallybox_ingestor::http::App;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::report::ProblemKind;
use tallybox_service::clock::Clock;
use tallybox_service::config::{Loaded, load};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// 2026-11-23T10:15:00Z, the creation time of the report in `client/testdata`.
const NOW: i64 = 1_795_428_900_000;
const GOOD: &[u8] = include_bytes!("../../../client/testdata/report.json");
const JSON: &str = "application/json";
const AVRO: &str = "avro/binary";

thread_local! {
    static WORLD: World = World::new();
}

struct World {
    runtime: Runtime,
    app: Arc<App>,
    router: Router,
}

pub fn run(data: &[u8]) {
    WORLD.with(|world| world.runtime.block_on(world.post_each_encoding(data)));
}

impl World {
    fn new() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("world/ingestor.yaml");
        let config: Loaded<Config> = load(&file).expect("a configuration of ours");
        let mut ingestor = Ingestor::open(&config).expect("keys of the vectors");
        ingestor.clock = Clock::manual(NOW);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().expect("a runtime");
        let app = runtime.block_on(App::start(Arc::new(ingestor))).expect("an ingestor of ours");
        let router = app.router();
        let world = Self { runtime, app, router };
        let good = world.post("open", JSON, "identity", GOOD.to_vec());
        assert_eq!(world.runtime.block_on(good), StatusCode::OK, "the example is taken");
        world
    }

    async fn post_each_encoding(&self, data: &[u8]) {
        match data {
            [0x1f, 0x8b, ..] => self.post_each_media_type(data, "gzip").await,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => self.post_each_media_type(data, "zstd").await,
            _ => {
                let media = if data.starts_with(b"Obj") { AVRO } else { JSON };
                let plain = self.post("open", media, "identity", data.to_vec()).await;
                let packed = self.post("open", media, "gzip", gzip(data)).await;
                assert_eq!(plain, packed, "packed it is another body");
                self.post("attested", media, "identity", data.to_vec()).await;
            }
        }
        clear(&*self.app.ingestor.spool).await;
    }

    async fn post_each_media_type(&self, data: &[u8], packing: &str) {
        for media in [JSON, AVRO] {
            self.post("open", media, packing, data.to_vec()).await;
        }
    }

    /// Sends a request, checks the body of the response, and returns its status.
    async fn post(&self, locality: &str, media: &str, packing: &str, body: Vec<u8>) -> StatusCode {
        let request = Request::post(format!("/v1/{locality}/reports"))
            .header(header::CONTENT_TYPE, media)
            .header(header::CONTENT_ENCODING, packing)
            .body(Body::from(body))
            .expect("a request of ours");
        let Ok(response) = self.router.clone().oneshot(request).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 24).await.expect("an answer in memory");
        let answer: Value = serde_json::from_slice(&body).expect("every answer is JSON");
        if status == StatusCode::OK {
            assert_accepted(&answer);
        } else {
            assert!(status.is_client_error(), "{status}: {answer}");
            assert_rejected(&answer, status);
        }
        status
    }
}

/// Checks a single accepted result, or the results and their counts.
fn assert_accepted(answer: &Value) {
    let Some(results) = answer["results"].as_array() else {
        assert!(matches!(answer["status"].as_str(), Some("accepted" | "alreadyAccepted")), "{answer}");
        return;
    };
    let rejected = results.iter().filter(|result| result["status"] == "rejected");
    rejected.clone().for_each(|result| assert_known_problem(&result["problem"]));
    assert_eq!(answer["rejected"], rejected.count());
    let counted = answer["accepted"].as_u64().zip(answer["rejected"].as_u64());
    assert_eq!(counted.map(|(accepted, rejected)| accepted + rejected), Some(results.len() as u64));
}

/// Checks a problem, or the result of a single rejected report.
fn assert_rejected(answer: &Value, status: StatusCode) {
    let problem = answer.get("problem").unwrap_or(answer);
    assert_eq!(problem["status"], status.as_u16());
    assert_known_problem(problem);
}

fn assert_known_problem(problem: &Value) {
    let name = problem["type"].as_str().and_then(|name| name.strip_prefix("urn:tallybox:problem:"));
    assert!(name.and_then(ProblemKind::named).is_some(), "{problem}");
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}
