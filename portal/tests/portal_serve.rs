//! The pages of a real portal: the predecessor's sum parts are collected, and shown with their proof.
#![allow(clippy::unwrap_used)]

#[path = "pages/client.rs"]
#[allow(dead_code)]
mod client;
mod support;

use std::sync::Arc;

use axum::http::StatusCode;
use tallybox_model::role::Role;
use tallybox_portal::collect::CollectOptions;
use tallybox_portal::web::{Site, SiteOptions, Stored, router};
use tallybox_service::clock::Clock;

use crate::client::{crawl, fetch};
use crate::support::world::{CASES, WINDOW, World, part};

const REGISTRY: &str = "
version: 1
metrics:
  org.example.dim8: { state: accept, encoding: { kind: bit-vector, bins: 8 }, epsilon: 0.11, cadence-hours: 24 }
  org.example.dim2: { state: accept, encoding: { kind: bit-vector, bins: 2 }, epsilon: 0.11, cadence-hours: 24 }
";

/// Collects all vectors under this minimum, and opens the pages.
async fn pages(minimum: u64) -> (World, axum::Router) {
    let mut world = World::new(minimum).await;
    for case in CASES {
        world.put_case(case);
    }
    let options = CollectOptions {
        all: true,
        recheck: false,
    };
    world.collect(options).await;
    let file = world.folder.path().join("registry.yaml");
    std::fs::write(&file, REGISTRY).unwrap();
    world.config.value.registry = Some(file);
    let source = Stored::open(&world.config, world.store.clone()).unwrap();
    let about = SiteOptions {
        name: "Test".to_owned(),
        demo: false,
        minimum,
    };
    // On the day of the windows, so that the pages show it.
    let now = part("dim8", Role::First).window.end().millis() + 60_000;
    let site = Site::new(Arc::new(source), Clock::manual(now), about);
    (world, router(site))
}

#[tokio::test]
async fn a_number_of_the_predecessor_is_shown_with_its_proof() {
    let (_world, pages) = pages(1).await;
    let all = crawl(&pages).await;
    let address = format!("/metrics/org.example.dim8/interop/{WINDOW}");
    assert!(all.contains_key(&address), "{:?}", all.keys());
    let page = fetch(&pages, &address).await;
    for proof in [
        "pha-key-1",
        "facilitator-key-1",
        "3ce4b5b9f8c62e3b",
        "00000008-0001-4000-8000-000000001f41",
        ">175<",
    ] {
        assert!(page.text.contains(proof), "{proof}");
    }
}

#[tokio::test]
async fn a_small_sum_is_not_shown() {
    // The window of dim2 has 20 reports, that of dim8 300.
    let (_world, pages) = pages(100).await;
    let small = format!("/metrics/org.example.dim2/interop/{WINDOW}");
    let page = fetch(&pages, &small).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("fewer"), "{}", page.text);
    assert!(!page.text.contains("Sums and estimates"));
}

#[tokio::test]
async fn evidence_that_was_changed_proves_nothing() {
    let (world, pages) = pages(1).await;
    let folder = "evidence/vectors/interop/org.example.dim8";
    let file = world
        .folder
        .path()
        .join(folder)
        .join(format!("{WINDOW}.evidence"));
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let page = fetch(
        &pages,
        &format!("/metrics/org.example.dim8/interop/{WINDOW}"),
    )
    .await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!page.text.contains("pha-key-1"));
}
