//! The status of valid, invalid and replayed reports at each stage.

use std::io::{Read as _, Write as _};

use serde_json::Value;
use tallybox_client::Report;
use tallybox_client::post::{PostOutcome, Prepared};
use tallybox_client::traffic::{GeneratedAnswer, Hostility, Traffic};
use tallybox_facilitator::reason::PacketReason;
use tallybox_facilitator::roster::AgreementOutcome;
use tallybox_model::id::PacketId;
use tallybox_service::progress::Progress;

use super::announce::Announcement;
use super::*;

const METRIC: &str = "CodeVerified-v1";
/// 2026-01-01 00:00 UTC.
pub(super) const START_MILLIS: i64 = 1_767_225_600_000;
const MINUTE_MILLIS: i64 = 60_000;
/// A time when the ingestor's first window has ended and settled.
const WINDOW_SETTLED_MILLIS: i64 = START_MILLIS + 46 * MINUTE_MILLIS;
/// A time when the first window and its grace period are over.
const GRACE_OVER_MILLIS: i64 = START_MILLIS + 111 * MINUTE_MILLIS;

struct TestSandbox {
    _directory: tempfile::TempDir,
    serving: Serving,
    clock: Clock,
    traffic: Traffic,
}

pub(super) fn options(clock: &Clock) -> ServeOptions {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    ServeOptions {
        metrics: vec![*Metric::named(METRIC).unwrap()],
        epsilon: None,
        listen: free,
        debug_listen: Some(free),
        seed: Some(1),
        time: Time::Set(clock.clone()),
        packets: 0,
        traffic: 0.0,
        chaos: false,
        unfriendly: Vec::new(),
        attestation: None,
        lasting: None,
    }
}

impl TestSandbox {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::manual(START_MILLIS);
        let options = options(&clock);
        let serving = Serving::start(directory.path(), &options, Output::new(true));
        let serving = serving.await.unwrap();
        let keys = serving.world.keys.for_clients(options.metrics[0].bins());
        let traffic = Traffic::new(1, &options.metrics[0], keys.unwrap(), None).unwrap();
        Self {
            _directory: directory,
            serving,
            clock,
            traffic,
        }
    }

    async fn post(&self, reports: Vec<Report>) -> Vec<String> {
        let metric = &self.serving.traffic.flows[0].metric;
        let reporter = self.serving.reporter().unwrap();
        let ids = reports.iter().map(|report| report.id.to_string()).collect();
        let now = Some(self.clock.millis());
        let uploads = reports
            .into_iter()
            .map(|report| Prepared::from(report.into_upload(metric, 2, now)));
        for outcome in reporter.send_all(uploads.collect()).await {
            assert!(matches!(outcome, PostOutcome::Accepted), "{outcome:?}");
        }
        ids
    }

    fn undecryptable(&self, index: u64) -> Report {
        let hostility = Hostility::Undecryptable(Role::Second);
        self.traffic.hostile(index, hostility).unwrap().report
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let address = self.serving.debug_address.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        let asking = tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = asking.await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    async fn trace(&self, id: &str) -> Value {
        let (status, body) = self.get(&format!("/debug/reports/{id}")).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn roles(&self) -> &InProcessRoles {
        self.serving.in_process().unwrap()
    }

    /// Sets the clock, then lets every program do the work that is due.
    async fn at(&self, millis: i64) {
        self.clock.set(millis);
        self.roles().batch().await.unwrap();
        self.roles().run_until_idle().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_developer_learns_what_became_of_each_report() {
    let sandbox = TestSandbox::new().await;
    let good = sandbox.traffic.packet(0).unwrap().report;
    let mut replay = good.clone();
    replay.id = sandbox.traffic.packet(2).unwrap().report.id;
    let bad = sandbox.undecryptable(1);
    let ids = sandbox.post(vec![good, bad, replay]).await;
    let [good, bad, replay] = [&ids[0], &ids[1], &ids[2]];

    sandbox.at(START_MILLIS).await;
    let trace = sandbox.trace(good).await;
    assert_eq!(trace["stage"], "spooled", "its window has not ended");
    assert_eq!(
        (&trace["metric"], &trace["first"]["verdict"]),
        (&METRIC.into(), &"not yet".into())
    );
    assert!(trace["slab"].as_str().unwrap().ends_with(".slab"));

    sandbox.clock.set(WINDOW_SETTLED_MILLIS);
    sandbox.roles().batch().await.unwrap();
    let trace = sandbox.trace(good).await;
    assert_eq!(
        (&trace["stage"], &trace["second"]["verdict"]),
        (&"batched".into(), &"not yet".into())
    );
    assert_eq!(trace["batch"]["date"], "2026/01/01/00/00");
    let dropped = sandbox.trace(replay).await;
    assert_eq!(
        (&dropped["stage"], &dropped["sum"]["counted"]),
        (&"dropped".into(), &false.into())
    );
    assert!(
        dropped["sum"]["why"]
            .as_str()
            .unwrap()
            .contains("shares are identical to those of report")
    );

    sandbox.roles().run_until_idle().await.unwrap();
    let trace = sandbox.trace(bad).await;
    assert_eq!(
        (&trace["stage"], &trace["sum"]["counted"]),
        (&"checked".into(), &Value::Null)
    );

    sandbox.at(GRACE_OVER_MILLIS).await;
    let trace = sandbox.trace(good).await;
    assert_eq!(
        (&trace["stage"], &trace["sum"]["counted"], &trace["kept"]),
        (&"summed".into(), &true.into(), &1.into())
    );
    for side in ["first", "second"] {
        let view = &trace["rosters"][side][0];
        assert_eq!(
            (&view["outcome"], &view["age"]),
            (&"summed".into(), &0.into()),
            "{view}"
        );
        let both = view["sides"].as_array().unwrap();
        assert!(
            both.iter()
                .all(|side| side["word"] == "summable" && side["accepted"] == 1),
            "{view}"
        );
    }
    let trace = sandbox.trace(&bad.to_uppercase()).await;
    assert_eq!(
        (&trace["stage"], &trace["sum"]["counted"]),
        (&"summed".into(), &false.into())
    );
    assert_eq!(
        (&trace["first"]["verdict"], &trace["first"]["reason"]),
        (&"message".into(), &Value::Null)
    );
    assert_eq!(
        (&trace["second"]["verdict"], &trace["second"]["reason"]),
        (&"rejected".into(), &"undecryptable".into())
    );

    let (_, list) = sandbox.get("/debug/reports").await;
    let list: Value = serde_json::from_str(&list).unwrap();
    let stages: Vec<&str> = ids.iter().map(|id| stage(&list, id)).collect();
    assert_eq!(stages, ["summed", "summed", "dropped"]);
    let (status, window) = sandbox
        .get(&format!("/debug/windows/{METRIC}/202601010000"))
        .await;
    let window: Value = serde_json::from_str(&window).unwrap();
    assert_eq!(
        (status, &window["second"]["agreed"]["counted"]),
        (200, &1.into()),
        "{window}"
    );
    sandbox.serving.stop().await.unwrap();
}

fn stage<'l>(list: &'l Value, id: &str) -> &'l str {
    let reports = list["reports"].as_array().unwrap();
    reports.iter().find(|report| report["id"] == id).unwrap()["stage"]
        .as_str()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_without_a_good_report_has_an_end_too() {
    let sandbox = TestSandbox::new().await;
    let ids = sandbox.post(vec![sandbox.undecryptable(1)]).await;
    sandbox.at(WINDOW_SETTLED_MILLIS).await;
    sandbox.at(GRACE_OVER_MILLIS).await;
    let trace = sandbox.serving.lookup.trace(&ids[0]).await.unwrap();
    assert_eq!(
        (trace.stage, trace.sum.counted),
        (ReportStage::Checked, None)
    );
    assert_eq!(trace.rosters.second[0].outcome, AgreementOutcome::Open);
    assert!(trace.next.contains("too few"), "{}", trace.next);
    assert_eq!(
        (trace.first.verdict, trace.second.reason),
        (IntakeStatus::Message, Some(PacketReason::Undecryptable))
    );
    for hour in 1..=25 {
        sandbox
            .at(GRACE_OVER_MILLIS + hour * 60 * MINUTE_MILLIS)
            .await;
    }
    let trace = sandbox.serving.lookup.trace(&ids[0]).await.unwrap();
    assert_eq!(
        (trace.stage, trace.sum.counted),
        (ReportStage::GivenUp, Some(false))
    );
    assert!(trace.sum.why.unwrap().contains("second processor"));
    sandbox.serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_are_compared_with_the_truth() {
    let mut sandbox = TestSandbox::new().await;
    let traffic = Arc::clone(&sandbox.serving.traffic);
    let reporter = sandbox.serving.reporter().unwrap();
    traffic.burst(&reporter, 12, &Progress::hidden()).await;
    let other = sandbox.traffic.packet(1 << 40).unwrap().report;
    sandbox
        .post(vec![other, sandbox.undecryptable(1 << 41)])
        .await;
    for report in sandbox
        .serving
        .lookup
        .spool()
        .await
        .unwrap()
        .values()
        .flatten()
    {
        traffic.posted_reports.lock().spooled(report.packet);
    }
    assert_eq!(sandbox.serving.lookup.waiting().await.unwrap(), 14);
    assert_eq!(traffic.posted_reports.lock().counts().foreign, 2);
    sandbox.at(WINDOW_SETTLED_MILLIS).await;
    assert_eq!(sandbox.serving.lookup.waiting().await.unwrap(), 0);
    assert_eq!(
        sandbox
            .serving
            .audit
            .check_windows(sandbox.serving.now())
            .await
            .unwrap()
            .len(),
        0
    );
    // Two of them were posted by another client.
    assert_eq!(sandbox.serving.audit.unsettled(), 14);
    sandbox.at(GRACE_OVER_MILLIS).await;
    let added = sandbox
        .serving
        .audit
        .check_windows(sandbox.serving.now())
        .await
        .unwrap();
    assert!(added.len() == 1 && added[0].has_foreign());
    assert_eq!(sandbox.serving.audit.unsettled(), 0);
    let report = FinalReport::from_audit(&mut sandbox.serving.audit, 0, Kills::default())
        .await
        .unwrap();
    assert!(report.good, "{report:?}");
    assert_eq!((report.counted, report.windows), (12, 1));
    let reports = &report.reports;
    assert_eq!(
        (
            reports.foreign,
            reports.foreign_batched,
            reports.foreign_counted
        ),
        (2, 2, 1)
    );
    assert_eq!((reports.stored(), reports.in_sums()), (14, 13));

    // A report that was acknowledged and is nowhere stored counts as lost.
    let packet = PacketId::from_bytes([7; 16]);
    let posted = truth::Posted {
        metric: METRIC.parse().unwrap(),
        answer: GeneratedAnswer {
            true_bits: vec![true; 6],
            noisy_bits: vec![true; 6],
        },
        honest: true,
        id: "nobody's".to_owned(),
        packet,
    };
    {
        let mut posted_reports = traffic.posted_reports.lock();
        let number = posted_reports.post(posted);
        posted_reports.acknowledge(number);
    }
    let report = FinalReport::from_audit(&mut sandbox.serving.audit, 0, Kills::default())
        .await
        .unwrap();
    assert_eq!((report.good, report.lost), (false, 1), "{report:?}");
    sandbox.serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_of_its_own_and_the_pages_around_them() {
    let sandbox = TestSandbox::new().await;
    let traffic = Arc::clone(&sandbox.serving.traffic);
    let reporter = sandbox.serving.reporter().unwrap();
    traffic.burst(&reporter, 3, &Progress::hidden()).await;
    let (_, list) = sandbox.get("/debug/reports").await;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["reports"].as_array().unwrap().len(), 3);
    let id = list["reports"][0]["id"].as_str().unwrap();
    let (status, asked) = sandbox.get(&format!("/debug/reports?id={id}")).await;
    assert!(status == 200 && asked.contains("\"spooled\""), "{asked}");
    for (path, expected) in [
        ("/debug/reports/nobody", "invalid report id"),
        (
            "/debug/reports/3f0c8a52-9d1e-4b7a-8c66-0e4f5a6b7c8d",
            "the ingestor refused it",
        ),
        ("/elsewhere", "no such page"),
    ] {
        let (status, body) = sandbox.get(path).await;
        assert!(status == 404 && body.contains(expected), "{path}: {body}");
    }
    let (status, page) = sandbox.get("/").await;
    assert!(
        status == 200 && page.contains("<form action=/debug/reports>") && !page.contains("script")
    );
    sandbox.serving.stop().await.unwrap();
}

#[tokio::test]
async fn the_debug_pages_are_for_this_machine_only() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(&Clock::manual(START_MILLIS));
    options.debug_listen = Some(SocketAddr::from(([0, 0, 0, 0], 0)));
    let error = Serving::start(directory.path(), &options, Output::new(true))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Setting(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_fits_a_terminal() {
    let sandbox = TestSandbox::new().await;
    let text = Human(&Announcement::from_serving(
        &sandbox.serving,
        &options(&sandbox.clock),
    ))
    .to_string();
    // Lines with keys and paths may be longer.
    let fits_a_line = |line: &&str| {
        !["MF", "directory", "--key"]
            .iter()
            .any(|mark| line.trim_start().starts_with(mark))
    };
    for line in text.lines().filter(fits_a_line) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for needed in [
        "/v1/sandbox/config",
        "openapi.json",
        "/debug/reports/ID",
        "--features cli",
        ".pem",
    ] {
        assert!(text.contains(needed), "{needed}");
    }
    sandbox.serving.stop().await.unwrap();
}

/// Displays a summary in its text form.
struct Human<'s>(&'s Announcement);

impl std::fmt::Display for Human<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        tallybox_service::output::Summary::human(self.0, f)
    }
}

/// Posts a body over a plain TCP connection. Returns the status; `None` if the connection broke.
async fn post_raw(sandbox: &TestSandbox, body: String) -> Option<u16> {
    let (address, length) = (sandbox.serving.address, body.len());
    let posting = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let head = format!(
            "POST /v1/sandbox/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
            .split(' ')
            .nth(1)
            .map(|status| status.parse().unwrap())
    });
    posting.await.unwrap()
}

async fn ask_for(sandbox: &TestSandbox, kind: &str) -> u16 {
    let address = sandbox.serving.debug_address.unwrap();
    let request = format!("POST /debug/unfriendly/{kind} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    let asking = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    });
    asking.await.unwrap()
}

/// Returns the example request of the ingestor's OpenAPI document, with another id.
async fn example(sandbox: &TestSandbox, id: &str) -> String {
    let address = sandbox.serving.address;
    let asking = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let request = "GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    });
    let description: Value = serde_json::from_str(&asking.await.unwrap()).unwrap();
    let post = &description["paths"]["/v1/{locality}/reports"]["post"];
    let mut report =
        post["requestBody"]["content"]["application/json"]["examples"]["one"]["value"].clone();
    report["payload"]["uuid"] = id.into();
    report.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_remembered_and_unfriendliness_can_be_asked_for() {
    const ID: &str = "3f0c8a52-9d1e-4b7a-8c66-0e4f5a6b7c8d";
    let sandbox = TestSandbox::new().await;
    let good = example(&sandbox, ID).await;
    let mut bad: Value = serde_json::from_str(&good).unwrap();
    bad["payload"]["prioParams"]["epsilon"] = 1.5.into();
    assert_eq!(post_raw(&sandbox, bad.to_string()).await, Some(400));
    let trace = sandbox.trace(ID).await;
    assert_eq!(
        (&trace["stage"], &trace["problem"]["status"]),
        (&"refused".into(), &400.into())
    );
    assert!(
        trace["problem"]["detail"]
            .as_str()
            .unwrap()
            .contains("epsilon"),
        "{trace}"
    );
    for (kind, status) in [
        ("rate-limited", Some(429)),
        ("unavailable", Some(503)),
        ("rotated-key", Some(400)),
        ("closed-metric", Some(410)),
        ("lost-answer", None),
    ] {
        assert_eq!(ask_for(&sandbox, kind).await, 200);
        assert_eq!(post_raw(&sandbox, good.clone()).await, status, "{kind}");
    }
    // The post whose answer was lost has been stored.
    assert_eq!(sandbox.trace(ID).await["stage"], "spooled");
    assert_eq!(post_raw(&sandbox, good).await, Some(200));
    assert_eq!(ask_for(&sandbox, "rude").await, 404);
    assert_eq!(ask_for(&sandbox, "expired-config").await, 200);
    let metric = Metric::named(METRIC).unwrap();
    let refused = sandbox.serving.reporter().unwrap().source().refresh().await;
    assert!(refused.is_err(), "{} {refused:?}", metric.name);
    sandbox.serving.stop().await.unwrap();
}
