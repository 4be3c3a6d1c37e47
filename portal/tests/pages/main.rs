//! The web pages from outside: every link resolves, nothing suppressed is shown, names are escaped,
//! and the downloads agree with each other.
#![allow(clippy::unwrap_used)]

mod client;
mod downloads;
mod world;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::Value;
use tallybox_model::time::BatchTime;
use tallybox_portal::demo;

use crate::client::{crawl, fetch, send};
use crate::world::{DAY, NOW, pages, site};

#[tokio::test]
async fn every_link_resolves_and_every_answer_is_guarded() {
    let all = crawl(&pages()).await;
    for kind in [
        "/findings",
        "/about",
        "/metrics/answers-v1/south-b/",
        "/api/v1/",
        "/static/",
    ] {
        assert!(
            all.keys().any(|address| address.starts_with(kind)),
            "{kind}"
        );
    }
    assert!(all.len() > 100, "{}", all.len());
    for (address, page) in &all {
        let policy = &page.headers["content-security-policy"];
        assert!(
            policy.starts_with("default-src 'none'"),
            "{address}: {policy}"
        );
        for loophole in ["-inline", "-eval"] {
            assert!(!policy.contains(loophole), "{address}: {policy}");
        }
        assert_eq!(
            page.headers["x-content-type-options"], "nosniff",
            "{address}"
        );
        assert_eq!(page.headers["referrer-policy"], "no-referrer", "{address}");
        if page.headers["content-type"].starts_with("text/html") {
            for inline in [
                "<script",
                " style=",
                " onclick=",
                "javascript:",
                "http://",
                "https://",
            ] {
                assert!(!page.text.contains(inline), "{address}: {inline}");
            }
            assert_eq!(page.text.matches("<h1").count(), 1, "{address}");
            assert!(
                page.text.contains("&#60;script&#62;"),
                "{address}: names are escaped"
            );
        }
    }
}

/// Returns a number as text, with and without commas.
fn spellings(number: u64) -> [String; 2] {
    let text = number.to_string();
    let groups = text.as_bytes().rchunks(3).rev();
    let groups: Vec<&str> = groups
        .map(|group| std::str::from_utf8(group).unwrap())
        .collect();
    [groups.join(","), text]
}

#[tokio::test]
async fn nothing_suppressed_is_shown_nor_derivable() {
    // Reports and sums of the suppressed windows, and totals that contain them.
    let mut hidden: Vec<u64> = Vec::new();
    for reports in [987_653, 876_543, 765_433, 1_234_567] {
        hidden.extend([
            reports,
            reports / 2,
            reports / 3,
            reports / 4,
            3_000_001 + reports,
        ]);
        hidden.push(3_000_001 / 3 + reports / 3);
    }
    hidden.push(5 * 3_000_001 + 987_653 + 876_543 + 765_433);
    for (address, page) in crawl(&pages()).await {
        for text in hidden.iter().flat_map(|number| spellings(*number)) {
            assert!(!page.text.contains(&text), "{address}: {text}");
        }
    }
    // What may be shown is shown, so the test reads the right pages.
    let page = fetch(&pages(), "/metrics/answers-v1").await.text;
    assert!(page.contains("3,000,001") && page.contains("south-b (suppressed)"));
    let page = fetch(&pages(), "/findings").await.text;
    assert!(page.contains("figures are withheld"));
}

#[tokio::test]
async fn wrong_addresses_are_explained() {
    let pages = pages();
    for (address, status) in [
        ("/nothing", StatusCode::NOT_FOUND),
        ("/metrics/unknown-v1", StatusCode::NOT_FOUND),
        (
            "/metrics/answers-v1/north-a/202601010000-202601020000",
            StatusCode::NOT_FOUND,
        ),
        (
            "/metrics/answers-v1/north-a/yesterday",
            StatusCode::NOT_FOUND,
        ),
        (
            "/metrics/answers-v1?from=yesterday",
            StatusCode::BAD_REQUEST,
        ),
        ("/metrics/answers-v1?bin=3", StatusCode::BAD_REQUEST),
        ("/static/..%2FCargo.toml", StatusCode::NOT_FOUND),
        ("/api/v1/metrics/unknown-v1/windows", StatusCode::NOT_FOUND),
        (
            "/api/v1/metrics/answers-v1/windows?format=xls",
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let page = fetch(&pages, address).await;
        assert_eq!(page.status, status, "{address}");
        let is_api = address.starts_with("/api");
        let kind = if is_api {
            "application/problem+json"
        } else {
            "text/html"
        };
        assert!(page.headers["content-type"].starts_with(kind), "{address}");
        assert!(
            page.headers.contains_key("content-security-policy"),
            "{address}"
        );
    }
    let page = fetch(&pages, "/metrics/%3Cscript%3E").await;
    assert!(page.status == StatusCode::NOT_FOUND && !page.text.contains("<script"));
}

#[tokio::test]
async fn static_files_are_kept_by_browsers() {
    let pages = pages();
    let style = fetch(&pages, "/static/portal.css").await;
    assert!(style.headers["cache-control"].starts_with("public"));
    assert!(!style.text.contains("url(") && !style.text.contains("@import"));
    let again = Request::get("/static/portal.css").header("if-none-match", &style.headers["etag"]);
    let again = send(&pages, again.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (again.status, again.text.len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
    assert_eq!(fetch(&pages, "/healthz").await.text, "ok\n");
}

#[tokio::test]
async fn the_demo_shows_everything_that_can_go_wrong() {
    let pages = site(demo::generate(NOW).unwrap(), demo::MINIMUM);
    let overview = fetch(&pages, "/").await;
    for state in ["one side only", "refused", "missing on both sides", "late"] {
        assert!(overview.text.contains(state), "{state}");
    }
    let metrics: Vec<Value> =
        serde_json::from_str(&fetch(&pages, "/api/v1/metrics").await.text).unwrap();
    assert_eq!(metrics.len(), 14);
    for metric in &metrics {
        let page = fetch(
            &pages,
            &format!("/metrics/{}", metric["metric"].as_str().unwrap()),
        )
        .await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text.contains("role=\"img\"") && page.text.contains("By ingestor"));
    }
    let page = fetch(&pages, "/metrics/SecondaryAttack14d-v2").await.text;
    assert!(page.contains("class=\"mark suppressed\""));
    // The corrected window: both versions, and the origin that verification returned.
    let day = |days_ago: i64| BatchTime::from_millis(NOW - NOW.rem_euclid(DAY) - days_ago * DAY);
    let (start, end) = (day(16).unwrap().compact(), day(15).unwrap().compact());
    let address = format!("/metrics/PeriodicExposureNotification-v1/north-ios/{start}-{end}");
    let page = fetch(&pages, &address).await.text;
    for part in [
        "superseded",
        "demo-first-key-1",
        "demo-second-key-1",
        ".sum_1.sig",
        "1 / (1 + e",
    ] {
        assert!(page.contains(part), "{part}");
    }
}
