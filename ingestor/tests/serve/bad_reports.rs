//! Each kind of invalid report has its own problem type, and none affects the other reports of its
//! body.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;
use tallybox_model::client_config::AttestationPolicy;
use tallybox_model::report::{Problem, ReportUpload, ReportsAnswer};

use crate::world::*;

type Change = fn(&mut ReportUpload);

/// Changes to a valid report, with the problem that each of them causes.
const BAD_REPORTS: &[(&str, u16, Change)] = &[
    ("schemaVersion", 400, |report| report.schema_version = 3),
    ("schemaVersion", 400, |report| report.schema_version = 0),
    ("unknownMetric", 400, |report| {
        report.metric = "Unheard-v1".to_owned()
    }),
    ("unknownMetric", 400, |report| {
        report.metric = "../x".to_owned()
    }),
    ("unknownMetric", 400, |report| report.metric = String::new()),
    ("metricClosed", 410, |report| {
        report.metric = "Old-v1".to_owned()
    }),
    ("parameterMismatch", 400, |report| report.bins = 6),
    ("parameterMismatch", 400, |report| {
        report.epsilon = f64::from_bits(8.0_f64.to_bits() + 1);
    }),
    ("parameterMismatch", 400, |report| {
        report.prime = 4_293_918_723
    }),
    ("parameterMismatch", 400, |report| {
        report.number_of_servers = 3
    }),
    ("parameterMismatch", 400, |report| {
        report.hamming_weight = Some(1)
    }),
    // The report under another metric, of another shape.
    ("parameterMismatch", 400, |report| {
        report.metric = CODES.to_owned()
    }),
    ("keyOfOtherBins", 400, |report| {
        report.metric = CODES.to_owned();
        report.bins = 6;
    }),
    // Under the ids of that metric's keys, only the lengths differ.
    ("badShareLength", 400, |report| {
        report.metric = CODES.to_owned();
        report.bins = 6;
        report.key_id_first = SIX_BIN_KEYS[0].to_owned();
        report.key_id_second = SIX_BIN_KEYS[1].to_owned();
    }),
    ("keyOfOtherBins", 400, |report| {
        report.key_id_first = SIX_BIN_KEYS[0].to_owned();
        report.key_id_second = SIX_BIN_KEYS[1].to_owned();
    }),
    ("badReportId", 400, |report| {
        report.id = "report 1".to_owned()
    }),
    ("badReportId", 400, |report| {
        report.id = "00000000-0000-0000-0000-000000000000".to_owned();
    }),
    ("badReportId", 400, |report| {
        // UUID version 1.
        report.id.replace_range(14..15, "1");
    }),
    ("tooLate", 400, |report| {
        report.created = Some(NOW - 48 * HOUR - 1)
    }),
    ("tooEarly", 400, |report| {
        report.created = Some(NOW + 15 * MINUTE + 1)
    }),
    ("tooLate", 400, |report| report.created = Some(0)),
    ("outdatedKey", 400, |report| {
        report.key_id_first = "first-9".to_owned()
    }),
    ("outdatedKey", 400, |report| {
        report.key_id_second = String::new()
    }),
    // The two keys have to belong to the same pair.
    ("outdatedKey", 400, |report| {
        report.key_id_first = "first-0".to_owned()
    }),
    ("swappedShares", 400, |report| {
        std::mem::swap(&mut report.key_id_first, &mut report.key_id_second);
    }),
    // Truncated, extended, and swapped shares.
    ("badShareLength", 400, |report| {
        report.payload_first.pop();
    }),
    ("badShareLength", 400, |report| {
        report.payload_second.push(0)
    }),
    ("badShareLength", 400, |report| {
        report.payload_second.clear()
    }),
    ("swappedShares", 400, |report| {
        std::mem::swap(&mut report.payload_first, &mut report.payload_second);
    }),
    ("swappedShares", 400, |report| {
        std::mem::swap(&mut report.payload_first, &mut report.payload_second);
        std::mem::swap(&mut report.key_id_first, &mut report.key_id_second);
    }),
    // A point off the curve, a compressed point, and the point at infinity.
    ("badEphemeralKey", 400, |report| {
        report.payload_first[64] ^= 1
    }),
    ("badEphemeralKey", 400, |report| {
        report.payload_second[0] = 2
    }),
    ("badEphemeralKey", 400, |report| {
        report.payload_second[..65].fill(0)
    }),
];

#[tokio::test]
async fn each_way_of_being_bad_has_its_own_problem_and_harms_no_neighbour() {
    let world = World::new().await;
    let mut body = Vec::new();
    let mut expected = Vec::new();
    for (index, (problem, status, change)) in BAD_REPORTS.iter().enumerate() {
        let mut bad = report(index as u64);
        change(&mut bad);
        let answer = world.post_report(&bad).await;
        assert_eq!(
            (answer.problem(), answer.status.as_u16()),
            (*problem, *status),
            "way {index}"
        );
        body.extend([bad, report(1000 + index as u64)]);
        expected.extend([problem.to_string(), "accepted".to_owned()]);
    }
    assert!(world.slabs().await.is_empty());
    let answer = world.post_many(&body).await;
    assert_eq!(answer.results(), expected);
    // Rejected reports state their position in the post.
    let answer: ReportsAnswer = serde_json::from_slice(&answer.body).unwrap();
    for (index, result) in answer.results.iter().enumerate() {
        assert_eq!(result.index, (index % 2 == 0).then_some(index as u64));
    }
    // The same reports as Avro: the valid ones are durable already.
    let avro_expected: Vec<_> = expected
        .iter()
        .map(|what| what.replace("accepted", "alreadyAccepted"))
        .collect();
    assert_eq!(world.post(avro(&body), AVRO).await.results(), avro_expected);
    let mut good: Vec<_> = (0..BAD_REPORTS.len())
        .map(|index| report(1000 + index as u64).id)
        .collect();
    good.sort();
    assert_eq!(world.stored().await, good);
}

#[tokio::test]
async fn what_is_good_is_taken() {
    let world = World::new().await;
    let changes: &[Change] = &[
        |_| {},
        |report| report.schema_version = 1,
        |report| report.created = None,
        |report| report.created = Some(NOW - 48 * HOUR),
        |report| report.created = Some(NOW + 15 * MINUTE),
        |report| report.id = report.id.to_uppercase(),
        |report| {
            report.key_id_first = "first-0".to_owned();
            report.key_id_second = "second-0".to_owned();
        },
        // This locality ignores attestations.
        |report| report.signature = Some(vec![1]),
        |report| {
            // Created for another metric of the same shape: only an attestation could reveal it.
            report.metric = "SameShape-v1".to_owned();
        },
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut good = report(index as u64);
        change(&mut good);
        let result = world.post_report(&good).await.result();
        assert_eq!(
            (outcome(&result), result.uuid),
            ("accepted".to_owned(), good.id),
            "{index}"
        );
    }
    // A metric that is being drained still accepts reports from clients with an older
    // configuration.
    let drained = reports(CODES, 0..1);
    assert_eq!(world.post_many(&drained).await.results(), ["accepted"]);
    let stored = world.stored().await;
    assert_eq!(stored.len(), changes.len() + 1);
    assert!(
        stored.contains(&report(5).id),
        "ids are stored in one spelling"
    );
    let received =
        format!("ingestor_reports_received_total{{locality=\"us-xx\",metric=\"{NOTIFIED}\"}}");
    assert_eq!(world.count(&received), changes.len() as u64 - 1);
}

#[tokio::test]
async fn members_that_are_wrong_are_malformed_one_by_one() {
    let world = World::new().await;
    let good = value(&report(0));
    let change = |pointer: &str, to: serde_json::Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = to;
        changed
    };
    let mut missing = good.clone();
    missing["payload"]
        .as_object_mut()
        .unwrap()
        .remove("prioParams");
    let mut extra = good.clone();
    extra["payload"]["colour"] = json!(1);
    let bad = [
        json!(null),
        json!([]),
        json!({}),
        json!("text"),
        missing,
        extra,
        change("/payload/uuid", json!(7)),
        change("/payload/created", json!("yesterday")),
        change("/payload/prioParams/bins", json!(2.5)),
        change("/payload/prioParams/bins", json!(1e300)),
        change("/payload/encryptedDataShares", json!([])),
        change(
            "/payload/encryptedDataShares/0/payload",
            json!("not base64!"),
        ),
    ];
    let mut list = Vec::new();
    let mut expected = Vec::new();
    for (index, bad) in bad.iter().enumerate() {
        let answer = world.post(bad.to_string(), JSON).await;
        assert_eq!(answer.problem(), "malformed", "{bad}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        for fragment in ["struct", "i32", "i64", "f64", "sequence", "Json"] {
            assert!(!text.contains(fragment), "{text}");
        }
        list.extend([bad.clone(), value(&report(index as u64))]);
        expected.extend(["malformed", "accepted"]);
    }
    let answer = world.post(json!({"reports": list}).to_string(), JSON).await;
    assert_eq!(answer.results(), expected);
    let results: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    // A report that cannot be parsed as a whole is named by its id if the id can be parsed.
    assert_eq!(results["results"][14]["uuid"], report(0).id);
    assert_eq!(results["results"][0]["uuid"], "");
    assert_eq!(
        (
            &results["results"][14]["index"],
            &results["results"][15]["index"]
        ),
        (&json!(14), &json!(null))
    );
}

#[tokio::test]
async fn bodies_that_are_wrong_as_a_whole() {
    let world = World::new().await;
    let good = report_json(&report(0));
    for body in [
        "",
        " ",
        "{",
        "[]",
        "7",
        "\u{0}",
        "{\"reports\":[}",
        "{\"reports\":{}}",
        &good[..good.len() - 1],
    ] {
        assert_eq!(
            world.post(body.to_owned(), JSON).await.problem(),
            "malformed",
            "{body}"
        );
    }
    let both = format!("{{\"reports\":[],{}", &good[1..]);
    assert_eq!(world.post(both, JSON).await.problem(), "malformed");
    assert_eq!(
        world.post(vec![0xff, 0xfe], JSON).await.problem(),
        "malformed"
    );
    let trailing = format!("{good} {good}");
    assert_eq!(world.post(trailing, JSON).await.problem(), "malformed");
    for headers in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/jsonx")],
    ] {
        let answer = world.post(good.clone(), headers).await;
        assert_eq!(
            (answer.problem(), answer.status.as_u16()),
            ("unsupportedMedia", 415)
        );
    }
    for encoding in ["br", "gzip, gzip", ""] {
        let headers = [
            ("content-type", "application/json"),
            ("content-encoding", encoding),
        ];
        assert_eq!(
            world.post(good.clone(), &headers).await.problem(),
            "unsupportedMedia"
        );
    }
    let answer = world.call(post_to("us-yy", good.clone(), JSON)).await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("unknownLocality", 404)
    );
    let answer = world.call(post_to("%ff", good.clone(), JSON)).await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("unknownLocality", 404)
    );
    let answer = world.get("/nowhere").await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("notFound", 404)
    );
    let answer = world.get("/v1/us-xx/reports").await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("methodNotAllowed", 405)
    );
    assert_eq!(answer.header("allow"), "POST");
    let request = Request::builder().method(Method::DELETE).uri("/manifest");
    let answer = world.call(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.problem(), "methodNotAllowed");
    // The server still accepts valid reports.
    assert_eq!(
        outcome(&world.post_report(&report(0)).await.result()),
        "accepted"
    );
    let charset = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(
        outcome(&world.post(good, &charset).await.result()),
        "alreadyAccepted"
    );
}

#[tokio::test]
async fn an_avro_file_that_is_cut_is_refused_as_a_whole() {
    let world = World::new().await;
    let all: Vec<_> = (0..60).map(report).collect();
    let file = avro(&all);
    // The cut is in the middle of the second block; the first block has the reports that fit into
    // 16,000 bytes.
    let answer = world.post(file[..file.len() - 100].to_vec(), AVRO).await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("malformed", 400)
    );
    let detail = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(detail.contains("none of its reports is stored"), "{detail}");
    assert!(world.slabs().await.is_empty());
    assert_eq!(world.post("no avro", AVRO).await.problem(), "malformed");
    assert_eq!(world.post(Vec::new(), AVRO).await.results(), [""; 0]);
    assert_eq!(
        world.post(avro(&all), AVRO).await.results(),
        ["accepted"; 60]
    );
    assert_eq!(
        world.post("{\"reports\":[]}", JSON).await.results(),
        [""; 0]
    );
}

#[tokio::test]
async fn attestations_are_needed_where_they_are_required() {
    let world = World::attested(AttestationPolicy::Required).await;
    let good = attest(report(0), 1, NOW);
    let bad: &[(&str, ReportUpload)] = &[
        ("attestationRequired", report(1)),
        // Forged attestations.
        (
            "attestationFailed",
            ReportUpload {
                signature: Some(vec![1]),
                ..good.clone()
            },
        ),
        (
            "attestationFailed",
            ReportUpload {
                signature: None,
                ..good.clone()
            },
        ),
        (
            "attestationFailed",
            ReportUpload {
                certificate_chain: Vec::new(),
                ..good.clone()
            },
        ),
        // Attestations for another metric of the same shape, or for another day.
        (
            "attestationFailed",
            ReportUpload {
                metric: "SameShape-v1".to_owned(),
                ..good.clone()
            },
        ),
        ("attestationFailed", attest(report(0), 1, NOW + 24 * HOUR)),
        // Another share under the same signature.
        (
            "attestationFailed",
            ReportUpload {
                payload_first: report(2).payload_first,
                ..good.clone()
            },
        ),
    ];
    for (problem, report) in bad {
        let answer = world.post_report(report).await;
        assert_eq!((answer.problem(), answer.status.as_u16()), (*problem, 403));
    }
    assert_eq!(
        outcome(&world.post_report(&good).await.result()),
        "accepted"
    );
    // The same report is accepted again; another report of the same device, metric and day is not.
    assert_eq!(
        outcome(&world.post_report(&good).await.result()),
        "alreadyAccepted"
    );
    let second = attest(report(3), 1, NOW);
    assert_eq!(
        world.post_report(&second).await.problem(),
        "alreadyReported"
    );
    // A report of another device or for another metric is accepted; the second of two reports of
    // one device in the same body is not.
    let other_metric = ReportUpload {
        metric: "SameShape-v1".to_owned(),
        ..report(4)
    };
    let body = [
        attest(report(5), 2, NOW),
        attest(other_metric, 1, NOW),
        attest(report(6), 3, NOW),
        attest(report(7), 3, NOW),
    ];
    let expected = ["accepted", "accepted", "accepted", "alreadyReported"];
    assert_eq!(world.post_many(&body).await.results(), expected);
    // The device may report again on the next day.
    world.clock.set(NOW + 24 * HOUR);
    let mut tomorrow = report(3);
    tomorrow.created = None;
    let answer = world
        .post_report(&attest(tomorrow, 1, NOW + 24 * HOUR))
        .await;
    assert_eq!(outcome(&answer.result()), "accepted");
}

#[tokio::test]
async fn optional_attestations_hold_or_are_not_there() {
    let world = World::attested(AttestationPolicy::Optional).await;
    let forged = ReportUpload {
        signature: Some(vec![1]),
        ..report(1)
    };
    let body = [report(0), forged, attest(report(2), 1, NOW)];
    let expected = ["accepted", "attestationFailed", "accepted"];
    assert_eq!(world.post_many(&body).await.results(), expected);
    // Attestation is required, but there is no verifier: every report is rejected.
    let blind = World::with(|ingestor| {
        ingestor.localities.get_mut(LOCALITY).unwrap().attestation = AttestationPolicy::Required;
    });
    let answer = blind.await.post_report(&attest(report(0), 1, NOW)).await;
    assert_eq!(answer.problem(), "attestationFailed");
}

/// The answer to a report that names other keys states the received and the expected key ids.
#[tokio::test]
async fn keys_that_are_not_accepted_are_named_with_those_that_are() {
    let world = World::new().await;
    let detail = async |change: Change| {
        let mut bad = report(0);
        change(&mut bad);
        let answer = world.post_report(&bad).await;
        serde_json::from_slice::<Problem>(&answer.body)
            .unwrap()
            .detail
    };
    let outdated = detail(|report| report.key_id_first = "first-9\"".to_owned()).await;
    assert_eq!(
        outdated,
        format!(
            r#"key ids "first-9\"" and "second-1" are not a pair in use; for metric {NOTIFIED} the configuration names "first-1" and "second-1""#
        )
    );
    let long = detail(|report| report.key_id_first = "x".repeat(1000)).await;
    assert!(long.len() < 300, "{long}");
    let swapped =
        detail(|report| std::mem::swap(&mut report.key_id_first, &mut report.key_id_second)).await;
    assert!(
        swapped.starts_with(r#"key ids "second-1" and "first-1" are swapped"#),
        "{swapped}"
    );
    let shares =
        detail(|report| std::mem::swap(&mut report.payload_first, &mut report.payload_second))
            .await;
    assert!(shares.contains("113 and 145 bytes"), "{shares}");
}
