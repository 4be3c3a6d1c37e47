//! Tests of the generator: determinism, known answers, and the outcomes of hostile packets.

use prio::field::FieldPrio2;
use prio::vdaf::Share;
use tallybox_estimate::Mechanism;
use tallybox_model::role::Role;

use super::*;
use crate::test_verifier;

fn traffic(seed: u64, metric: &Metric, epsilon: Option<f64>) -> Traffic {
    Traffic::new(seed, metric, test_verifier::processors(), epsilon).unwrap()
}

fn metric(name: &str) -> &'static Metric {
    Metric::named(name).unwrap()
}

/// Returns each processor's share after intake, or `None` if it rejects the share. Our own decoder
/// must agree with `prio`.
fn intake(bins: usize, report: &Report) -> [Option<Share<FieldPrio2, 32>>; 2] {
    let [first, second] = test_verifier::keys();
    let first = test_verifier::open(&first, &report.shares[0]);
    let second = test_verifier::open(&second, &report.shares[1]);
    let ours = |role: Role, payload: &Option<Vec<u8>>| {
        let decode = |payload: &Vec<u8>| {
            Prio2::new(bins)
                .unwrap()
                .decode_share(role.index(), payload, &mut Vec::new())
        };
        payload
            .as_ref()
            .is_some_and(|payload| decode(payload).is_ok())
    };
    let expected = [ours(Role::First, &first), ours(Role::Second, &second)];
    let shares = [
        first.and_then(|payload| test_verifier::first_share(bins, &payload)),
        second.and_then(|payload| test_verifier::second_share(&payload)),
    ];
    assert_eq!(shares.each_ref().map(Option::is_some), expected);
    shares
}

#[test]
fn a_packet_depends_on_seed_metric_and_index_alone() {
    fn may_be_shared_by_threads(_: &(impl Send + Sync)) {}
    let first = traffic(1, metric("DateExposure-v1"), Some(8.0));
    may_be_shared_by_threads(&first);
    let forwards: Vec<Generated> = (0..8).map(|index| first.packet(index).unwrap()).collect();
    let repeated = traffic(1, metric("DateExposure-v1"), Some(8.0));
    let backwards: Vec<Generated> = (0..8)
        .rev()
        .map(|index| repeated.packet(index).unwrap())
        .collect();
    assert!(forwards.iter().eq(backwards.iter().rev()));
    let ids: std::collections::BTreeSet<_> = forwards
        .iter()
        .map(|generated| generated.report.id)
        .collect();
    assert_eq!(ids.len(), 8);
    for other in [
        traffic(2, metric("DateExposure-v1"), None),
        traffic(1, metric("CodeVerified-v1"), None),
    ] {
        assert!((0..8).all(|index| !ids.contains(&other.packet(index).unwrap().report.id)));
    }
}

/// Generated files are compared between releases, so a seed must always give the same packets.
#[test]
fn a_seed_means_the_same_for_ever() {
    let traffic = traffic(7, metric("CodeVerifiedWithReportType14d-v2"), Some(8.0));
    let mut tally = Tally::default();
    (0..1000).for_each(|index| tally.add_answer(&traffic.answer(index).unwrap()));
    assert_eq!(
        traffic.packet(0).unwrap().report.id.to_string(),
        "cc3437da-c1b3-4c86-aa99-90c74ae7e6c9"
    );
    assert_eq!(tally.true_counts, [2, 66, 9, 7, 1, 1]);
}

#[test]
fn answers_do_not_depend_on_epsilon() {
    let name = metric("PeriodicExposureNotification-v1");
    let (exact, noisy) = (traffic(3, name, None), traffic(3, name, Some(0.5)));
    let mut differing = 0;
    for index in 0..200 {
        let (first, second) = (exact.answer(index).unwrap(), noisy.answer(index).unwrap());
        assert_eq!(first.true_bits, second.true_bits);
        assert_eq!(first.noisy_bits, first.true_bits);
        differing += usize::from(second.noisy_bits != second.true_bits);
    }
    assert!(differing > 100, "{differing}");
}

#[test]
fn every_metric_makes_packets_that_verify() {
    for metric in METRICS.iter().chain(EXAMPLES) {
        let traffic = traffic(4, metric, Some(metric.epsilon));
        let packet = traffic.packet(11).unwrap();
        let answer = traffic.answer(11).unwrap();
        assert_eq!(
            (&answer.true_bits, &answer.noisy_bits),
            (&packet.true_bits, &packet.noisy_bits)
        );
        let [Some(first), Some(second)] = intake(metric.bins(), &packet.report) else {
            panic!("{}: rejected at intake", metric.name);
        };
        let sum =
            test_verifier::verify_and_add(metric.bins(), [&first, &second]).expect(metric.name);
        assert_eq!(
            sum,
            packet
                .noisy_bits
                .iter()
                .map(|bit| u32::from(*bit))
                .collect::<Vec<_>>()
        );
    }
}

#[test]
fn most_answers_are_the_usual_one() {
    for metric in METRICS
        .iter()
        .filter(|metric| metric.cadence != Cadence::Test)
    {
        let traffic = traffic(5, metric, None);
        let mut tally = Tally::new(metric.bins());
        (0..4000).for_each(|index| tally.add_answer(&traffic.answer(index).unwrap()));
        let counts = &tally.true_counts;
        assert_eq!((tally.packets, counts), (4000, &tally.noisy_counts));
        assert!(counts.iter().any(|count| *count > 0), "{}", metric.name);
        assert!(
            counts[0] > counts[metric.bins() - 1] || metric.bins() == 48 || counts[0] < 50,
            "{}",
            metric.name
        );
    }
}

#[test]
fn noise_comes_off_again() {
    let metric = metric("PeriodicExposureNotification-v1");
    let traffic = traffic(6, metric, Some(2.0));
    let mut tally = Tally::new(5);
    (0..20_000).for_each(|index| tally.add_answer(&traffic.answer(index).unwrap()));
    for (truth, count) in tally.true_counts.iter().zip(&tally.noisy_counts) {
        let mechanism = Mechanism::new(traffic.noise().unwrap().epsilon()).unwrap();
        let estimate = mechanism.debias(*count, tally.packets);
        assert!(
            (estimate.value - *truth as f64).abs() < 5.0 * estimate.standard_error,
            "{truth} {estimate:?}"
        );
    }
}

#[test]
fn hostile_packets_get_their_verdict() {
    let metric = metric("SecondaryAttack14d-v2");
    let traffic = traffic(8, metric, None);
    for hostility in Hostility::every(2) {
        let generated = traffic.hostile(3, hostility).unwrap();
        let accepted = intake(metric.bins(), &generated.report);
        let rejecting: Vec<Role> = Role::ALL
            .into_iter()
            .filter(|role| accepted[role.index()].is_none())
            .collect();
        let expected = match hostility.expected_outcome() {
            ExpectedOutcome::RejectedAtIntake(roles) => roles,
            _ => &[],
        };
        assert_eq!(rejecting, expected, "{hostility}");
        if let [Some(first), Some(second)] = &accepted {
            let holds = test_verifier::verify_and_add(metric.bins(), [first, second]).is_some();
            assert_eq!(
                holds,
                hostility.expected_outcome() != ExpectedOutcome::RejectedTogether,
                "{hostility}"
            );
        }
        let duplicate = generated.report.id == traffic.packet(2).unwrap().report.id;
        assert_eq!(
            duplicate,
            hostility.expected_outcome() == ExpectedOutcome::Duplicate,
            "{hostility}"
        );
    }
}

#[test]
fn hostile_packets_carry_the_normal_bins() {
    let traffic = traffic(9, &Metric::fake(1), None);
    for hostility in Hostility::every(0) {
        let (normal, spoiled) = (
            traffic.packet(5).unwrap(),
            traffic.hostile(5, hostility).unwrap(),
        );
        assert_eq!(normal.true_bits, spoiled.true_bits, "{hostility}");
        assert_ne!(normal.report, spoiled.report, "{hostility}");
    }
}

#[test]
fn refuses_what_makes_no_traffic() {
    let metric = Metric::fake(4);
    let none = Traffic::new(1, &metric, Vec::new(), None);
    assert!(matches!(
        none,
        Err(ClientError::ProcessorCount { found: 0, .. })
    ));
    let epsilon = Traffic::new(1, &metric, test_verifier::processors(), Some(0.0));
    assert!(matches!(epsilon, Err(ClientError::Epsilon(_))));
    let bins = Traffic::new(1, &Metric::fake(0), test_verifier::processors(), None);
    assert!(matches!(bins, Err(ClientError::Split(_))));
}
