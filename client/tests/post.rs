//! The outcome of a report when requests fail.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{FakeIngestor, Script, config, options, trust};
use tallybox_client::post::{
    Attested, Attester, BodyFormat, Cause, Options, PostOutcome, Prepared, ReportError, Reporter,
};
use tallybox_client::{Value, config::ClientConfigError};
use tallybox_model::client_config::AttestationPolicy;
use tallybox_model::report::{ProblemKind, ReportUpload, signed_bytes};

const ANSWER: Value = Value::Bucket(2);

fn with(ingestor: &FakeIngestor, change: impl FnOnce(&mut Options)) -> Reporter {
    let mut options = options();
    change(&mut options);
    Reporter::new(&ingestor.address(), trust(), options).unwrap()
}

async fn report(ingestor: &FakeIngestor) -> PostOutcome {
    ingestor
        .reporter()
        .report("bucket-v1", &ANSWER)
        .await
        .unwrap()
}

async fn many(reporter: &Reporter, count: usize) -> Vec<Prepared> {
    let mut reports = Vec::new();
    for index in 0..count {
        let value = Value::Integer(index as u64 % 64);
        reports.push(
            reporter
                .prepare("number-v1", &value)
                .await
                .unwrap()
                .unwrap(),
        );
    }
    reports
}

fn ids(posts: &[Vec<ReportUpload>]) -> Vec<&str> {
    posts
        .iter()
        .flatten()
        .map(|report| report.id.as_str())
        .collect()
}

#[tokio::test]
async fn a_report_is_accepted_at_once() {
    let ingestor = FakeIngestor::start().await;
    assert!(matches!(report(&ingestor).await, PostOutcome::Accepted));
    let world = ingestor.world();
    let sent = &world.posts[0][0];
    assert_eq!(
        (sent.metric.as_str(), sent.bins, sent.schema_version),
        ("bucket-v1", 5, 2)
    );
    assert_eq!(sent.key_ids(), ["first-5-1", "second-5-1"]);
    assert_eq!(sent.payloads().map(<[u8]>::len), [145, 113]);
}

#[tokio::test]
async fn a_busy_ingestor_is_asked_again_with_the_same_report() {
    let ingestor = FakeIngestor::start().await;
    ingestor.script([
        Script::Problem(ProblemKind::RateLimited, Some("0")),
        Script::Problem(ProblemKind::Overloaded, None),
        Script::Problem(
            ProblemKind::Unavailable,
            Some("Mon, 23 Nov 2026 10:14:00 GMT"),
        ),
        Script::Raw(502, "<html>bad gateway</html>"),
        Script::Raw(200, "<html>log in first</html>"),
        Script::Raw(403, "<html>not from here</html>"),
    ]);
    assert!(matches!(report(&ingestor).await, PostOutcome::Accepted));
    let world = ingestor.world();
    assert_eq!(world.posts.len(), 7);
    assert!(world.posts.iter().all(|post| *post == world.posts[0]));
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_gives_the_report_back() {
    let ingestor = FakeIngestor::start().await;
    ingestor.script([Script::Problem(ProblemKind::RateLimited, Some("3600"))]);
    let reporter = ingestor.reporter();
    let outcome = reporter.report("bucket-v1", &ANSWER).await.unwrap();
    let PostOutcome::TryLater {
        after,
        report,
        cause,
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert!(after >= Duration::from_secs(3600));
    assert!(
        matches!(cause, Cause::Problem(problem) if problem.known() == Some(ProblemKind::RateLimited))
    );
    assert_eq!(ingestor.world().posts.len(), 1);
    // Later, possibly in another process: the same report under the same id.
    let prepared = Prepared::from(report.upload().clone());
    assert!(matches!(
        reporter.send(prepared).await,
        PostOutcome::Accepted
    ));
    let world = ingestor.world();
    assert_eq!(world.posts[0], world.posts[1]);
}

#[tokio::test]
async fn a_lost_answer_ends_as_already_accepted() {
    let ingestor = FakeIngestor::start().await;
    ingestor.script([Script::LoseAnswer]);
    assert!(matches!(
        report(&ingestor).await,
        PostOutcome::AlreadyAccepted
    ));
    assert_eq!(ingestor.world().accepted.len(), 1);
}

#[tokio::test]
async fn an_ingestor_that_does_not_answer_times_out() {
    let ingestor = FakeIngestor::start().await;
    let reporter = with(&ingestor, |options| {
        options.timeouts.request = Duration::from_millis(100);
        options.deadline = Duration::ZERO;
    });
    let report = many(&ingestor.reporter(), 1).await.remove(0);
    ingestor.script([Script::Hang]);
    let outcome = reporter.send(report).await;
    assert!(
        matches!(
            &outcome,
            PostOutcome::TryLater {
                cause: Cause::Timeout,
                ..
            }
        ),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_changed_key_or_registry_is_recovered_from() {
    for kind in [
        ProblemKind::OutdatedKey,
        ProblemKind::ParameterMismatch,
        ProblemKind::UnknownMetric,
    ] {
        let ingestor = FakeIngestor::start().await;
        let reporter = ingestor.reporter();
        reporter.source().current().await.unwrap();
        ingestor.serve_config(&config(2), "\"2\"");
        ingestor.script([Script::Problem(kind, None)]);
        let outcome = reporter.report("bucket-v1", &ANSWER).await.unwrap();
        assert!(matches!(outcome, PostOutcome::Accepted), "{outcome:?}");
        let world = ingestor.world();
        assert_eq!(world.config_requests.len(), 2);
        let [before, after] = [&world.posts[0][0], &world.posts[1][0]];
        assert_ne!(before.id, after.id);
        assert_eq!(after.key_ids(), ["first-5-2", "second-5-2"]);
    }
}

#[tokio::test]
async fn a_report_is_made_anew_once_only() {
    let ingestor = FakeIngestor::start().await;
    ingestor.world().keys = vec!["a-key-that-is-never-served".to_owned()];
    let outcome = report(&ingestor).await;
    assert!(
        matches!(&outcome, PostOutcome::Dropped(problem) if problem.known() == Some(ProblemKind::OutdatedKey))
    );
    let world = ingestor.world();
    assert_eq!((world.posts.len(), world.config_requests.len()), (2, 2));
}

#[tokio::test]
async fn a_metric_that_is_gone_is_dropped() {
    let ingestor = FakeIngestor::start().await;
    let reporter = ingestor.reporter();
    let report = many(&reporter, 1).await.remove(0);
    let mut gone = config(2);
    gone.metrics.retain(|metric| metric.name != "number-v1");
    ingestor.serve_config(&gone, "\"2\"");
    ingestor.script([Script::Problem(ProblemKind::UnknownMetric, None)]);
    assert!(matches!(
        reporter.send(report).await,
        PostOutcome::Dropped(_)
    ));
    let error = reporter
        .prepare("number-v1", &Value::Integer(1))
        .await
        .unwrap_err();
    assert!(matches!(error, ReportError::NotCounted { .. }), "{error}");
}

#[tokio::test]
async fn without_a_new_configuration_the_old_report_is_kept() {
    let ingestor = FakeIngestor::start().await;
    let reporter = with(&ingestor, |options| options.deadline = Duration::ZERO);
    let report = many(&reporter, 1).await.remove(0);
    ingestor.world().config_status = Some(500);
    ingestor.script([Script::Problem(ProblemKind::OutdatedKey, None)]);
    let outcome = reporter.send(report).await;
    assert!(
        matches!(outcome, PostOutcome::TryLater { .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn what_never_will_be_accepted_is_dropped_with_its_problem() {
    for kind in ProblemKind::ALL {
        let next = kind.problem("").next;
        if next.starts_with("send the same")
            || next.starts_with("fetch")
            || next.starts_with("set the clock")
        {
            continue;
        }
        let ingestor = FakeIngestor::start().await;
        ingestor.script([Script::Problem(kind, None)]);
        let outcome = report(&ingestor).await;
        assert!(
            matches!(&outcome, PostOutcome::Dropped(problem) if problem.known() == Some(kind)),
            "{outcome:?}"
        );
        assert_eq!(ingestor.world().posts.len(), 1);
    }
}

#[tokio::test]
async fn a_wrong_clock_keeps_the_report() {
    let ingestor = FakeIngestor::start().await;
    ingestor.script([Script::Problem(ProblemKind::TooEarly, None)]);
    let outcome = report(&ingestor).await;
    assert!(
        matches!(outcome, PostOutcome::TryLater { .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn many_are_posted_as_the_limits_allow() {
    for (form, gzip, media) in [
        (BodyFormat::Avro, false, "avro/binary"),
        (BodyFormat::Json, false, "application/json"),
        (BodyFormat::Json, true, "application/json gzip"),
        (BodyFormat::Avro, true, "avro/binary gzip"),
    ] {
        let ingestor = FakeIngestor::start().await;
        let reporter = with(&ingestor, |options| {
            options.bulk = form;
            options.gzip = gzip;
        });
        let outcomes = reporter.send_all(many(&reporter, 250).await).await;
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, PostOutcome::Accepted))
        );
        let world = ingestor.world();
        let sizes: Vec<usize> = world.posts.iter().map(Vec::len).collect();
        assert_eq!(sizes, [100, 100, 50]);
        assert!(
            world.media.iter().all(|found| found == media),
            "{:?}",
            world.media
        );
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_halved() {
    let ingestor = FakeIngestor::start().await;
    ingestor.world().most_reports = Some(30);
    let reporter = ingestor.reporter();
    let reports = many(&reporter, 100).await;
    let sent: Vec<String> = reports
        .iter()
        .map(|report| report.upload().id.clone())
        .collect();
    let outcomes = reporter.send_all(reports).await;
    assert!(outcomes.iter().all(PostOutcome::is_accepted));
    let world = ingestor.world();
    let sizes: Vec<usize> = world.posts.iter().map(Vec::len).collect();
    assert_eq!(sizes, [100, 50, 25, 25, 50, 25, 25]);
    assert_eq!(world.accepted.len(), 100);
    assert!(sent.iter().all(|id| world.accepted.contains_key(id)));
}

#[tokio::test]
async fn of_many_only_those_are_sent_again_that_have_to() {
    let ingestor = FakeIngestor::start().await;
    let reporter = ingestor.reporter();
    let mut reports = many(&reporter, 4).await;
    ingestor.serve_config(&config(2), "\"2\"");
    reports.extend(many(&with(&ingestor, |_| {}), 3).await);
    let first: Vec<String> = reports
        .iter()
        .map(|report| report.upload().id.clone())
        .collect();
    let outcomes = reporter.send_all(reports).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, PostOutcome::Accepted))
    );
    let world = ingestor.world();
    assert_eq!(world.posts.iter().map(Vec::len).collect::<Vec<_>>(), [7, 4]);
    assert!(
        ids(&world.posts[1..])
            .iter()
            .all(|id| !first.iter().any(|old| old == id))
    );
}

#[tokio::test]
async fn a_report_of_many_that_is_put_off_is_sent_again() {
    let ingestor = FakeIngestor::start().await;
    ingestor.script([Script::EachProblem(ProblemKind::Unavailable)]);
    let reporter = ingestor.reporter();
    let outcomes = reporter.send_all(many(&reporter, 5).await).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, PostOutcome::Accepted))
    );
    let world = ingestor.world();
    assert_eq!(world.posts[0], world.posts[1]);
}

#[tokio::test]
async fn sampling_and_wrong_answers() {
    let ingestor = FakeIngestor::start().await;
    let mut nobody = config(1);
    nobody.metrics[0].sampling = 0.0;
    ingestor.serve_config(&nobody, "\"2\"");
    assert!(matches!(report(&ingestor).await, PostOutcome::NotSampled));
    let error = ingestor
        .reporter()
        .report("bucket-v1", &Value::Bucket(5))
        .await;
    assert!(matches!(error, Err(ReportError::Encode { .. })));
    assert!(ingestor.world().posts.is_empty());
}

#[tokio::test]
async fn no_configuration_no_report() {
    let ingestor = FakeIngestor::start().await;
    let mut loud = config(1);
    loud.metrics[2].epsilon = 9.0;
    ingestor.serve_config(&loud, "\"2\"");
    let error = ingestor
        .reporter()
        .report("bucket-v1", &ANSWER)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ReportError::Config(ClientConfigError::Epsilon { .. })
        ),
        "{error}"
    );
}

/// An attester that records its input.
struct Device(bool);

impl Attester for Device {
    fn attest(
        &self,
        _: &ReportUpload,
        bytes: &[u8],
    ) -> Result<Attested, Box<dyn std::error::Error + Send + Sync>> {
        if !self.0 {
            return Err("no key".into());
        }
        Ok(Attested {
            signature: bytes.to_vec(),
            certificate_chain: vec![vec![1], vec![2]],
        })
    }
}

#[tokio::test]
async fn attestation_follows_the_localitys_policy() {
    use AttestationPolicy::{None as Off, Optional, Required};
    for (policy, device, attested) in [
        (Off, Some(true), Some(false)),
        (Optional, None, Some(false)),
        (Optional, Some(true), Some(true)),
        (Optional, Some(false), Some(false)),
        (Required, Some(true), Some(true)),
        (Required, Some(false), None),
        (Required, None, None),
    ] {
        let ingestor = FakeIngestor::start().await;
        let mut config = config(1);
        config.attestation = policy;
        ingestor.serve_config(&config, "\"2\"");
        let reporter = with(&ingestor, |options| {
            options.attester = device.map(|works| Arc::new(Device(works)) as Arc<dyn Attester>);
        });
        let outcome = reporter.report("bucket-v1", &ANSWER).await;
        let world = ingestor.world();
        match attested {
            None => assert!(
                outcome.is_err() && world.posts.is_empty(),
                "{policy:?} {device:?}"
            ),
            Some(attested) => {
                let sent = &world.posts[0][0];
                assert_eq!(
                    sent.attestation().is_some(),
                    attested,
                    "{policy:?} {device:?}"
                );
                if attested {
                    assert_eq!(sent.signature, signed_bytes(sent));
                }
            }
        }
    }
}

#[tokio::test]
async fn nothing_of_an_answer_is_shown() {
    let ingestor = FakeIngestor::start().await;
    let reporter = ingestor.reporter();
    let report = reporter
        .prepare("bucket-v1", &ANSWER)
        .await
        .unwrap()
        .unwrap();
    let shown = format!("{report:?}");
    assert!(
        shown.contains("bucket-v1") && !shown.contains("Bucket"),
        "{shown}"
    );
}
