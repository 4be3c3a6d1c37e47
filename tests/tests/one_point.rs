//! A ciphertext is evaluated only once: shows what a second evaluation point or a second number of
//! bins would reveal, and that neither occurs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod offered;

use offered::{
    FIRST_POINT, OTHER_POINT, messages, processor, restarted, run_intake, two_batches,
    with_other_bins,
};
use tallybox_client::sample_bits;
use tallybox_crypto::PacketPrivateKey;
use tallybox_crypto::prio2::{Point, Prio2};
use tallybox_facilitator::config::{Config, Points};
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::reason::PacketReason;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_service::config::load;
use tallybox_service::exit::Exit;
use tallybox_tests::forge::Packet;
use tallybox_tests::vectors::{BucketPaths, Case, packet_documents, vectors, write_config};

const PRIME: u64 = 4_293_918_721;

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_offered_again_at_another_point_gets_no_second_message() {
    let case = Case::load("dim8");
    for role in Role::ALL {
        let processor = processor(&case, role, Points::Pinned);
        let [first, second] = two_batches(&case, role);
        assert_eq!(run_intake(&processor, &first).await.packets_accepted, 100);
        let summary = run_intake(&processor, &second).await;
        assert_eq!(
            (summary.packets_accepted, summary.packets_rejected),
            (0, 100)
        );
        assert_eq!(
            summary.rejected_by_reason.count(PacketReason::PointChanged),
            100
        );
        assert!(messages(&processor, &second).await.is_empty());
        // At the first point the packets are accepted again, since the same message reveals nothing
        // new.
        let mut third = second.clone().renamed(BatchName {
            id: "0badcafe-0001-4000-8000-000000000003".parse().unwrap(),
            ..second.name.clone()
        });
        third
            .packets
            .iter_mut()
            .for_each(|packet| packet.r_pit = FIRST_POINT);
        assert_eq!(run_intake(&processor, &third).await.packets_accepted, 100);
        let both = [
            messages(&processor, &first).await,
            messages(&processor, &third).await,
        ];
        assert!(
            both[0]
                .iter()
                .zip(&both[1])
                .all(|(a, b)| a.message == b.message)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_point_is_pinned_within_a_batch_too_and_by_the_order_of_the_file() {
    let case = Case::load("dim8");
    let processor = processor(&case, Role::First, Points::Pinned);
    let [mut batch, _] = two_batches(&case, Role::First);
    batch
        .packets
        .iter_mut()
        .skip(1)
        .step_by(2)
        .for_each(|packet| packet.r_pit = OTHER_POINT);
    let summary = run_intake(&processor, &batch).await;
    assert_eq!(summary.packets_accepted, 50);
    assert_eq!(
        summary.rejected_by_reason.count(PacketReason::PointChanged),
        50
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_point_a_packet_a_ciphertext_gets_one_message_within_its_batch() {
    let case = Case::load("dim8");
    let processor = processor(&case, Role::Second, Points::PerPacket);
    let [mut batch, second] = two_batches(&case, Role::Second);
    batch.packets.extend(second.packets);
    let summary = run_intake(&processor, &batch).await;
    assert_eq!(summary.packets_accepted, 100);
    assert_eq!(
        summary
            .rejected_by_reason
            .count(PacketReason::DuplicateCiphertext),
        100
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_point_rejects_its_packet_and_says_why() {
    let case = Case::load("dim8");
    let processor = processor(&case, Role::First, Points::Pinned);
    let [mut batch, _] = two_batches(&case, Role::First);
    batch.packets[0].r_pit = 1;
    batch.packets[1].r_pit = i64::try_from(PRIME).unwrap();
    let summary = run_intake(&processor, &batch).await;
    assert_eq!(summary.packets_accepted, 98);
    for reason in [
        PacketReason::PointRootOfUnity,
        PacketReason::PointOutOfRange,
    ] {
        assert_eq!(summary.rejected_by_reason.count(reason), 1, "{reason:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_offered_again_in_a_batch_of_other_bins_gets_no_second_message() {
    let case = Case::load("dim8");
    for role in Role::ALL {
        let processor = processor(&case, role, Points::Pinned);
        let [first, _] = two_batches(&case, role);
        assert_eq!(run_intake(&processor, &first).await.packets_accepted, 100);
        // Second's share is a seed, which is valid for any number of bins. Each run uses a new
        // process.
        for bins in [1, 4, 5, 7, 9, 15, 16] {
            let other = with_other_bins(&first, bins);
            let fresh = restarted(&case, &processor, Points::Pinned, 8);
            let summary = run_intake(&fresh, &other).await;
            assert_eq!(
                (summary.packets_accepted, summary.packets_rejected),
                (0, 100),
                "{bins}"
            );
            assert_eq!(
                summary.rejected_by_reason.count(PacketReason::BinsChanged),
                100
            );
            assert!(messages(&fresh, &other).await.is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_a_point_is_not_pinned_by_a_batch_of_other_bins() {
    let case = Case::load("dim8");
    let processor = processor(&case, Role::Second, Points::Pinned);
    let [first, second] = two_batches(&case, Role::Second);
    let summary = run_intake(&processor, &with_other_bins(&second, 9)).await;
    assert_eq!(
        summary.rejected_by_reason.count(PacketReason::BinsChanged),
        100
    );
    assert_eq!(run_intake(&processor, &first).await.packets_accepted, 100);
}

#[test]
fn an_instance_that_shares_a_packet_key_is_refused() {
    let (case, root) = (Case::load("dim8"), tempfile::tempdir().unwrap());
    for role in Role::ALL {
        let paths = BucketPaths::beside_predecessor(&case, root.path(), role);
        let config = write_config(root.path(), role, &paths, "");
        let mut config = load::<Config>(&config).unwrap();
        config.value.packet_decryption_keys = packet_documents(root.path(), role, 8);
        for points in [Points::Pinned, Points::PerPacket] {
            config.value.points = points;
            config.value.instance = "interop".parse().unwrap();
            Processor::open(&config).unwrap();
            config.value.instance = "interop-evil".parse().unwrap();
            let refused = Processor::open(&config).unwrap_err();
            let text = refused.to_string();
            assert!(
                text.contains("interop-evil") && text.contains("instance"),
                "{text}"
            );
            assert_eq!(refused.exit(), Exit::Usage);
        }
    }
}

/// Returns a^-1 modulo the prime.
fn inverse(a: u64) -> u64 {
    let (mut result, mut base, mut exponent) = (1, a, PRIME - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % PRIME;
        }
        base = base * base % PRIME;
        exponent >>= 1;
    }
    result
}

/// Returns the weights of f at a point: of the mask f(1), then of each bin.
fn weights(prio2: &Prio2, point: i64) -> (u64, Vec<u64>) {
    let evaluator = prio2.evaluator(Point::new(point, prio2).unwrap());
    let weight = |position: usize| {
        let mut unit = vec![0; prio2.proof_length()];
        unit[position] = 1;
        u64::from(evaluator.message(0, &unit).f)
    };
    (
        weight(prio2.bins()),
        (0..prio2.bins()).map(weight).collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn two_points_would_tell_the_answer() {
    let case = Case::load("dim8");
    let prio2 = Prio2::new(8).unwrap();
    // ENPA's behaviour: both processors send a message for each of the two points.
    let mut f = [[0; 2]; 100];
    for role in Role::ALL {
        let processor = processor(&case, role, Points::PerPacket);
        for (index, batch) in two_batches(&case, role).iter().enumerate() {
            run_intake(&processor, batch).await;
            for (packet, message) in f.iter_mut().zip(messages(&processor, batch).await) {
                packet[index] = (packet[index] + u64::from(message.message.f)) % PRIME;
            }
        }
    }
    let (mask, bins) = weights(&prio2, FIRST_POINT);
    let (other_mask, other_bins) = weights(&prio2, OTHER_POINT);
    let (mask, other_mask) = (inverse(mask), inverse(other_mask));
    let minus = |a: u64, b: u64| (a + PRIME - b) % PRIME;
    let equation: Vec<u64> = bins
        .iter()
        .zip(&other_bins)
        .map(|(a, b)| minus(a * mask % PRIME, b * other_mask % PRIME))
        .collect();
    let batch = case.batches()[0].id;
    for (k, [first, second]) in f.into_iter().enumerate() {
        let difference = minus(first * mask % PRIME, second * other_mask % PRIME);
        let fits = |answer: &u32| {
            let sum = (0..8)
                .filter(|bin| answer >> bin & 1 == 1)
                .map(|bin| equation[bin])
                .sum::<u64>();
            sum % PRIME == difference
        };
        let answers: Vec<u32> = (0..256).filter(fits).collect();
        let bits = sample_bits(batch, k as u64, 8).unwrap();
        let truth = bits
            .iter()
            .enumerate()
            .map(|(bin, bit)| u32::from(*bit) << bin)
            .sum::<u32>();
        assert_eq!(
            answers,
            [truth],
            "packet {k}: only the client's answer fits"
        );
    }
}

/// Returns the first processor's decrypted share of a packet.
fn first_share(packet: &Packet, prio2: &Prio2) -> Vec<u64> {
    let key = vectors().join("keys/pha-packet-1.x963-private.b64");
    let key = PacketPrivateKey::parse(&std::fs::read_to_string(key).unwrap()).unwrap();
    let (mut plaintext, mut elements) = (Default::default(), Vec::new());
    key.open(&packet.payload, &mut plaintext).unwrap();
    prio2.decode_share(0, &plaintext, &mut elements).unwrap();
    elements.into_iter().map(u64::from).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_numbers_of_bins_would_tell_the_answer() {
    let case = Case::load("dim8");
    let (prio2, wider) = (Prio2::new(8).unwrap(), Prio2::new(9).unwrap());
    let point = FIRST_POINT;
    // Bare keys belong to no number of bins: Second answers for the same seed, at the same point,
    // with 8 and with 9 bins.
    let second = processor(&case, Role::Second, Points::PerPacket);
    let [at_second, _] = two_batches(&case, Role::Second);
    let dishonest = with_other_bins(&at_second, 9);
    for batch in [&at_second, &dishonest] {
        assert_eq!(run_intake(&second, batch).await.packets_accepted, 100);
    }
    let (narrow, wide) = (
        messages(&second, &at_second).await,
        messages(&second, &dishonest).await,
    );
    // First is curious: it has its own shares, and Second's messages.
    let [at_first, _] = two_batches(&case, Role::First);
    let evaluator = prio2.evaluator(Point::new(point, &prio2).unwrap());
    let ((mask, bins), (wide_mask, wide_bins)) = (weights(&prio2, point), weights(&wider, point));
    let (sum, minus) = (
        |values: &[u64]| values.iter().sum::<u64>() % PRIME,
        |a: u64, b: u64| (a + PRIME - b) % PRIME,
    );
    let batch = case.batches()[0].id;
    for (k, packet) in at_first.packets.iter().enumerate() {
        let share = first_share(packet, &prio2);
        let elements: Vec<u32> = share.iter().map(|element| *element as u32).collect();
        let own = evaluator.message(0, &elements);
        let f = (u64::from(own.f) + u64::from(narrow[k].message.f)) % PRIME;
        let g = (u64::from(own.g) + u64::from(narrow[k].message.g)) % PRIME;
        let fits = |answer: &u32| {
            // A candidate answer determines the masks, hence the client's proof, hence Second's
            // share, hence its message for 9 bins.
            let x: Vec<u64> = (0..8).map(|bin| u64::from(answer >> bin & 1)).collect();
            let of_x: Vec<u64> = bins
                .iter()
                .zip(&x)
                .map(|(weight, x)| weight * x % PRIME)
                .collect();
            let f0 = minus(f, sum(&of_x)) * inverse(mask) % PRIME;
            let g0 = minus(g, minus(sum(&of_x), sum(&bins))) * inverse(mask) % PRIME;
            let proof = [&x[..], &[f0, g0, f0 * g0 % PRIME]].concat();
            let other: Vec<u64> = proof
                .iter()
                .zip(&share)
                .map(|(all, own)| minus(*all, *own))
                .collect();
            let terms: Vec<u64> = wide_bins
                .iter()
                .zip(&other)
                .map(|(weight, s)| weight * s % PRIME)
                .collect();
            let wide_f = (sum(&terms) + wide_mask * other[9]) % PRIME;
            let wide_g = (sum(&terms) + wide_mask * other[10]) % PRIME;
            let message = wide[k].message;
            (wide_f, wide_g) == (u64::from(message.f), u64::from(message.g))
        };
        let answers: Vec<u32> = (0..256).filter(fits).collect();
        let bits = sample_bits(batch, k as u64, 8).unwrap();
        let truth = bits
            .iter()
            .enumerate()
            .map(|(bin, bit)| u32::from(*bit) << bin)
            .sum::<u32>();
        assert_eq!(
            answers,
            [truth],
            "packet {k}: only the client's answer fits"
        );
    }
}
