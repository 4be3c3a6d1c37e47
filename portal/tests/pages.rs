//! The web pages from outside: every link resolves, nothing suppressed is shown, names are escaped,
//! and the downloads agree with each other.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tallybox_model::registry::Registry;
use tallybox_model::time::{BatchTime, Window};
use tallybox_portal::demo;
use tallybox_portal::store::{FindingRow, WindowRow, WindowState};
use tallybox_portal::web::{Memory, Options, Site, router};
use tallybox_service::clock::Clock;
use tower::ServiceExt as _;

const DAY: i64 = 86_400_000;
const NOW: i64 = 20_787 * DAY + 12 * 3_600_000;
/// Far above the minimum of a real deployment, so that suppressed numbers have many digits and
/// cannot appear by chance.
const MINIMUM: u64 = 1_000_000;
const HOSTILE: &str = "<script>alert('x')</script>";

struct Page {
    status: StatusCode,
    headers: BTreeMap<String, String>,
    text: String,
}

async fn fetch(pages: &Router, address: &str) -> Page {
    send(pages, Request::get(address).body(Body::empty()).unwrap()).await
}

async fn send(pages: &Router, request: Request<Body>) -> Page {
    let response: Response<Body> = pages.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    let headers = response.headers().iter().map(header).collect();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Page {
        status,
        headers,
        text: String::from_utf8(body.to_vec()).unwrap(),
    }
}

/// Returns the addresses in links, style sheets and forms.
fn links(html: &str) -> BTreeSet<String> {
    let mut links = BTreeSet::new();
    for attribute in ["href=\"", "action=\""] {
        for part in html.split(attribute).skip(1) {
            let link = part.split('"').next().unwrap();
            // The template engine escapes the ampersands of queries.
            let link = link.replace("&#38;", "&");
            links.insert(link.split('#').next().unwrap().to_owned());
        }
    }
    links.remove("");
    links
}

/// Fetches everything that can be reached from the overview.
async fn crawl(pages: &Router) -> BTreeMap<String, Page> {
    let mut open = vec!["/".to_owned()];
    let mut seen: BTreeMap<String, Page> = BTreeMap::new();
    while let Some(address) = open.pop() {
        if seen.contains_key(&address) {
            continue;
        }
        assert!(
            address.starts_with('/'),
            "a link to another server: {address}"
        );
        let page = fetch(pages, &address).await;
        assert_eq!(page.status, StatusCode::OK, "{address}");
        if page.headers["content-type"].starts_with("text/html") {
            open.extend(links(&page.text));
        }
        seen.insert(address, page);
    }
    seen
}

fn registry() -> Registry {
    let metric = |kind: &str, labels: &[&str], bins: usize| {
        json!({
            "state": "accept", "epsilon": 4.0, "cadence-hours": 24, "meaning": HOSTILE,
            "encoding": {"kind": kind, "bins": bins, "labels": labels},
        })
    };
    let registry = json!({"version": 1, "metrics": {
        "answers-v1": metric("histogram", &["none", HOSTILE, "=1+1"], 3),
        "numbers-v1": metric("bounded-integer", &[], 2),
    }});
    serde_json::from_value(registry).unwrap()
}

fn row(metric: &str, instance: &str, days_ago: i64, reports: u64) -> WindowRow {
    let day = NOW.div_euclid(DAY) - days_ago;
    let time = |day: i64| BatchTime::from_millis(day * DAY).unwrap();
    let bins = if metric == "answers-v1" { 3 } else { 2 };
    WindowRow {
        instance: instance.parse().unwrap(),
        aggregation: metric.parse().unwrap(),
        window: Window::new(time(day), time(day + 1)).unwrap(),
        version: 0,
        state: WindowState::Summed,
        reports,
        rejected: 7,
        batches: 3,
        epsilon: 4.0,
        sums: (0..bins).map(|bin| reports / (bin + 2)).collect(),
        evidence: format!("{instance}/{metric}/{day}/0"),
        added: (day + 1) * DAY,
    }
}

/// Five days of two metrics and two instances. One window is suppressed by its state, one only by
/// its number of reports, and one by its correction; each has numbers that must not be shown.
fn world() -> (Vec<WindowRow>, Vec<FindingRow>) {
    let mut rows = Vec::new();
    for days_ago in 3..8 {
        for instance in ["north-a", "south-b"] {
            rows.push(row("numbers-v1", instance, days_ago, 2_000_003));
        }
        rows.push(row("answers-v1", "north-a", days_ago, 3_000_001));
    }
    let by_state = WindowRow {
        state: WindowState::BelowMinimum,
        ..row("answers-v1", "south-b", 3, 987_653)
    };
    let by_reports = row("answers-v1", "south-b", 4, 876_543);
    let older = WindowRow {
        state: WindowState::Superseded,
        ..row("answers-v1", "south-b", 5, 1_234_567)
    };
    let corrected = WindowRow {
        version: 1,
        ..row("answers-v1", "south-b", 5, 765_433)
    };
    let one_side = WindowRow {
        state: WindowState::OneSide,
        ..row("answers-v1", "south-b", 6, 0)
    };
    let finding = |row: &WindowRow, message: &str| FindingRow {
        instance: row.instance.clone(),
        aggregation: row.aggregation.clone(),
        window: row.window,
        kind: "counts-differ".to_owned(),
        message: message.to_owned(),
        next_step: HOSTILE.to_owned(),
        first_seen: row.added,
        resolved: None,
    };
    let findings = vec![
        finding(&by_state, "the parts count 987653 and 987653 packets"),
        finding(&one_side, HOSTILE),
    ];
    rows.extend([by_state, by_reports, older, corrected, one_side]);
    (rows, findings)
}

fn pages() -> Router {
    let (rows, findings) = world();
    let source = Memory::new(registry(), rows, findings, Box::new(|_| None));
    site(source, MINIMUM)
}

fn site(source: Memory, minimum: u64) -> Router {
    let options = Options {
        name: HOSTILE.to_owned(),
        demo: true,
        minimum,
    };
    router(Site::new(Arc::new(source), Clock::manual(NOW), options))
}

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
        assert!(!policy.contains("unsafe"), "{address}: {policy}");
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

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-14 * one.abs()
}

#[tokio::test]
async fn csv_and_json_agree() {
    let pages = pages();
    for metric in ["answers-v1", "numbers-v1"] {
        let base = format!("/api/v1/metrics/{metric}/windows");
        let json: Vec<BTreeMap<String, Value>> =
            serde_json::from_str(&fetch(&pages, &base).await.text).unwrap();
        let csv = fetch(&pages, &format!("{base}?format=csv")).await.text;
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let rows: Vec<BTreeMap<String, String>> =
            reader.deserialize().map(|row| row.unwrap()).collect();
        assert_eq!(rows.len(), json.len());
        for (row, object) in rows.iter().zip(&json) {
            assert_eq!(row.len(), object.len());
            for (field, value) in object {
                let same = match value {
                    Value::Null => row[field].is_empty(),
                    Value::String(text) => row[field] == *text,
                    // serde_json reads the last digit of a float only approximately.
                    number => near(row[field].parse().unwrap(), number.as_f64().unwrap()),
                };
                assert!(same, "{field}: {value} and {:?}", row[field]);
            }
        }
    }
}

#[tokio::test]
async fn downloads_are_described_and_harmless() {
    let pages = pages();
    let dictionary: Value =
        serde_json::from_str(&fetch(&pages, "/api/v1/dictionary").await.text).unwrap();
    let fields = dictionary["tidy"].as_array().unwrap().iter();
    let described: BTreeSet<&str> = fields
        .map(|field| field["field"].as_str().unwrap())
        .collect();
    let base = "/api/v1/metrics/answers-v1/windows";
    let tidy = fetch(&pages, &format!("{base}?format=csv")).await;
    let columns: BTreeSet<&str> = tidy.text.lines().next().unwrap().split(',').collect();
    assert_eq!(columns, described);
    assert!(tidy.headers["content-disposition"].starts_with("attachment"));
    assert!(tidy.text.contains(",'=1+1,"), "a formula is a text");
    // A gap is a row, and a selection restricts rows.
    let states = tidy.text.matches("below-minimum").count();
    assert_eq!((states, tidy.text.matches("one-side").count()), (3, 1));
    let north = fetch(&pages, &format!("{base}?format=csv&locality=north"))
        .await
        .text;
    assert_eq!(north.lines().count(), 1 + 5 * 3);
    let wide = fetch(&pages, &format!("{base}?format=wide")).await.text;
    let mut reader = csv::Reader::from_reader(wide.as_bytes());
    assert_eq!(reader.headers().unwrap().len(), 8 + 3 + 3);
    let first = reader.records().next().unwrap().unwrap();
    assert_eq!((&first[5], &first[11]), ("3000001", "1500000"));
    let debiased: f64 = first[8].parse().unwrap();
    let flip = 1.0 / (1.0 + 4.0_f64.exp());
    let expected = (1_500_000.0 - 3_000_001.0 * flip) / (1.0 - 2.0 * flip);
    assert!((debiased - expected).abs() < 1e-3);
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
