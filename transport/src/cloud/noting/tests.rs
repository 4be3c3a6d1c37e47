//! Tests of the outcome of each response to a create-if-absent request, in each cloud.
#![cfg(all(feature = "aws", feature = "gcp", feature = "azure"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::{ObjectStore, StaticCredentialProvider};

use super::*;
use crate::store::StoreBucket;
use crate::{Bucket, BucketError, Created, Disposition};

/// A server with one object. PUT requests get the scripted responses first, which store nothing.
#[derive(Debug, Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    script: VecDeque<(u16, Option<&'static str>)>,
    /// Whether reading the object is permitted.
    readable: bool,
    stored: bool,
    puts: usize,
}

impl State {
    fn answer(&mut self, method: &str) -> (u16, Option<&'static str>) {
        if method != "PUT" {
            return (
                if !self.readable {
                    403
                } else if self.stored {
                    200
                } else {
                    404
                },
                None,
            );
        }
        self.puts += 1;
        if let Some(scripted) = self.script.pop_front() {
            return scripted;
        }
        let status = if self.stored { 412 } else { 200 };
        self.stored = true;
        (status, None)
    }
}

impl HttpConnector for Server {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Server {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (status, code) = self.0.lock().unwrap().answer(request.method().as_str());
        let mut response = HttpResponse::new(Bytes::new().into());
        *response.status_mut() = status.try_into().unwrap();
        let headers = response.headers_mut();
        for (name, value) in [
            ("etag", "\"e\""),
            ("content-length", "1"),
            ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        if let Some(code) = code {
            headers.insert(AZURE_CODE, code.parse().unwrap());
        }
        Ok(response)
    }
}

/// Returns the stores of the three clouds, connected to a server.
fn stores(server: &Server) -> [(&'static str, Arc<dyn ObjectStore>); 3] {
    let connector = || Noting::new(server.clone(), "x://bucket");
    let s3 = AmazonS3Builder::new()
        .with_access_key_id("id")
        .with_secret_access_key("key")
        .with_bucket_name("bucket")
        .with_region("region")
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_http_connector(connector());
    let gcs = GoogleCloudStorageBuilder::new()
        .with_bucket_name("bucket")
        .with_credentials(Arc::new(StaticCredentialProvider::new(GcpCredential {
            bearer: "token".to_owned(),
        })))
        .with_http_connector(connector());
    let azure = MicrosoftAzureBuilder::new()
        .with_account("account")
        .with_container_name("container")
        .with_access_key("a2V5")
        .with_http_connector(connector());
    [
        ("s3", Arc::new(s3.build().unwrap())),
        ("gcs", Arc::new(gcs.build().unwrap())),
        ("azure", Arc::new(azure.build().unwrap())),
    ]
}

/// Creates an object, and returns the outcome and the number of requests.
async fn create(
    store: Arc<dyn ObjectStore>,
    server: &Server,
) -> (Result<Created, BucketError>, usize) {
    let bucket = StoreBucket::new(store, "x://bucket".into(), false);
    let mut upload = bucket.create("key", Some(1)).await.unwrap();
    upload.write(Bytes::from_static(b"x")).await.unwrap();
    let created = upload.commit().await;
    (created, server.0.lock().unwrap().puts)
}

type Script = &'static [(u16, Option<&'static str>)];

#[tokio::test(start_paused = true)]
async fn only_an_answer_that_says_that_the_object_exists_is_believed() {
    let in_azure = ["azure"].as_slice();
    let everywhere = ["s3", "gcs", "azure"].as_slice();
    let cases: [(&[&str], Script, bool, Created, usize); 8] = [
        (everywhere, &[], false, Created::New, 1),
        (everywhere, &[(412, None)], false, Created::Exists, 1),
        // A conflict of concurrent requests, once and repeatedly. Nothing was stored.
        (everywhere, &[(409, None)], false, Created::New, 2),
        (
            everywhere,
            &[(409, Some("ConditionalRequestConflict")); 4],
            true,
            Created::New,
            5,
        ),
        (everywhere, &[(304, None)], false, Created::New, 2),
        (
            in_azure,
            &[(409, Some("BlobAlreadyExists"))],
            false,
            Created::Exists,
            1,
        ),
        (
            in_azure,
            &[(409, Some("ContainerBeingDeleted"))],
            false,
            Created::New,
            2,
        ),
        // After the conflict, the next request finds the object of another writer.
        (
            everywhere,
            &[(409, None), (412, None)],
            false,
            Created::Exists,
            2,
        ),
    ];
    for (clouds, script, readable, expected, requests) in cases {
        for cloud in 0..3 {
            let server = Server::default();
            let (name, store) = stores(&server)[cloud].clone();
            if !clouds.contains(&name) {
                continue;
            }
            server.0.lock().unwrap().script = script.iter().copied().collect();
            server.0.lock().unwrap().readable = readable;
            let (created, puts) = create(store, &server).await;
            assert_eq!(
                (created.unwrap(), puts),
                (expected, requests),
                "{name}: {script:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_lasts_is_an_error_that_passes_and_names_the_answer() {
    for cloud in 0..3 {
        let server = Server::default();
        let (name, store) = stores(&server)[cloud].clone();
        server.0.lock().unwrap().script = [(409, Some("OperationAborted")); 99].into();
        let (created, puts) = create(store, &server).await;
        let error = created.unwrap_err();
        assert!(
            matches!(error, BucketError::NotSettled { .. }),
            "{name}: {error}"
        );
        assert_eq!(
            (error.disposition(), puts),
            (Disposition::Retry, 6),
            "{name}"
        );
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("409"), "{name}: {cause}");
    }
}

/// Some servers respond with 409 to every request for an existing object.
#[tokio::test(start_paused = true)]
async fn an_object_that_can_be_seen_exists_whatever_the_answer_was() {
    for cloud in 0..3 {
        let server = Server::default();
        let (name, store) = stores(&server)[cloud].clone();
        *server.0.lock().unwrap() = State {
            script: [(409, None)].into(),
            readable: true,
            stored: true,
            puts: 0,
        };
        let (created, puts) = create(store, &server).await;
        assert_eq!((created.unwrap(), puts), (Created::Exists, 1), "{name}");
    }
}
