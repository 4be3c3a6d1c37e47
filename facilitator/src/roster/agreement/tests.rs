//! Tests of the single rules, and of random schedules of both processors.
#![allow(clippy::unwrap_used)]

use super::*;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tallybox_model::header::{BatchParameters, PRIME};
use tallybox_model::roster::{OpenReason, SeveralDates};

const PERIOD: u32 = 60;

fn time(minutes: i64) -> BatchTime {
    "2026/01/31/00/00"
        .parse::<BatchTime>()
        .unwrap()
        .plus_minutes(minutes)
        .unwrap()
}

fn window(number: i64) -> Window {
    aligned_window(time(number * i64::from(PERIOD)), PERIOD).unwrap()
}

/// Returns a batch of the window with this number.
fn batch(id: u8, number: i64) -> DatedBatch {
    DatedBatch {
        date: window(number).start(),
        id: BatchId::from_bytes([id; 16]),
    }
}

fn packet(id: u8) -> PacketId {
    PacketId::from_bytes([id; 16])
}

fn parameters(bins: i32) -> BatchParameters {
    BatchParameters {
        name: "a".to_owned(),
        bins,
        epsilon: 1.0,
        prime: PRIME,
        number_of_servers: 2,
        hamming_weight: None,
    }
}

fn claim(bins: i32, ids: &[u8]) -> Claim {
    let ids: Vec<PacketId> = ids.iter().map(|id| packet(*id)).collect();
    Claim {
        parameters: parameters(bins),
        accepted: ids.len() as u64,
        digest: Claim::digest_of(&ids),
    }
}

fn terms(minimum: u64, maximum_age: u32) -> RosterTerms {
    RosterTerms {
        origin: time(0),
        period_minutes: PERIOD,
        replay_horizon: 50,
        minimum,
        maximum_age,
    }
}

fn roster(
    writer: Role,
    number: i64,
    terms: RosterTerms,
    entries: &[(DatedBatch, Listing)],
) -> Roster {
    Roster {
        window: window(number),
        writer,
        chain: ChainReach {
            start: time(0),
            agreed_until: time(0),
        },
        terms,
        entries: entries.iter().cloned().collect(),
    }
}

fn summable(bins: i32, ids: &[u8]) -> Listing {
    Listing::Summable(claim(bins, ids))
}

/// Compares two rosters of window 5, whose batches contain the given packets.
fn agreed(
    first: &[(DatedBatch, Listing)],
    second: &[(DatedBatch, Listing)],
    history: &History,
    rules: [RosterTerms; 2],
    ids: impl Fn(DatedBatch) -> Vec<u8>,
) -> AgreedWindow {
    let first = roster(Role::First, 5, rules[0], first);
    let second = roster(Role::Second, 5, rules[1], second);
    let draft = compare([&first, &second], history, false).unwrap();
    let mut count = Count::new(IdSet::default());
    for (batch, _) in &draft.batches {
        count.batch(&ids(*batch).iter().map(|id| packet(*id)).collect::<Vec<_>>());
    }
    draft.conclude(&count)
}

fn ids_of(agreed: &AgreedWindow) -> Vec<u8> {
    agreed
        .batches
        .iter()
        .map(|settled| settled.batch.id.as_bytes()[0])
        .collect()
}

#[test]
fn rule_4_only_what_both_list_alike_is_summed_and_only_once() {
    let (a, b, c) = (batch(1, 5), batch(2, 5), batch(3, 4));
    let first = [
        (a, summable(8, &[1, 2])),
        (b, summable(8, &[3])),
        (c, summable(8, &[4])),
    ];
    let second = [
        (a, summable(8, &[1, 2])),
        (b, Listing::Open(OpenReason::NoValidation)),
        (c, summable(8, &[4])),
    ];
    let ids = |batch: DatedBatch| if batch == a { vec![1, 2] } else { vec![4] };
    let rules = [terms(1, 3); 2];
    let now = agreed(&first, &second, &History::default(), rules, ids);
    assert_eq!(ids_of(&now), [3, 1], "in order of date");
    assert_eq!(
        (now.counted, now.excluded.len(), now.expired.len()),
        (3, 0, 0)
    );
    let mut history = History::default();
    history.push(&now);
    let repeated = agreed(&first, &second, &history, rules, ids);
    assert!(
        repeated.batches.is_empty(),
        "a summed batch is never summed again"
    );
    // The batch is the same under another date.
    let copy = batch(1, 4);
    let later = [(copy, summable(8, &[1, 2]))];
    assert!(
        agreed(&later, &later, &history, rules, ids)
            .batches
            .is_empty()
    );
}

#[test]
fn rule_4_a_batch_under_two_dates_counts_under_the_earlier() {
    let both = [
        (batch(1, 4), summable(8, &[1])),
        (batch(1, 5), summable(8, &[1])),
    ];
    let now = agreed(&both, &both, &History::default(), [terms(1, 3); 2], |_| {
        vec![1]
    });
    assert_eq!(now.batches[0].batch, batch(1, 4));
    assert_eq!(
        (now.batches.len(), now.excluded.as_slice()),
        (1, [batch(1, 5)].as_slice())
    );
}

#[test]
fn rule_4_one_set_of_parameters_the_one_with_most_packets() {
    let (a, b, c) = (batch(1, 5), batch(2, 5), batch(3, 5));
    let both = [
        (a, summable(8, &[1, 2, 3])),
        (b, summable(9, &[4, 5])),
        (c, summable(9, &[6, 7])),
    ];
    let ids = |batch: DatedBatch| if batch == b { vec![4, 5] } else { vec![6, 7] };
    let now = agreed(&both, &both, &History::default(), [terms(1, 3); 2], ids);
    assert_eq!(ids_of(&now), [2, 3]);
    assert!(
        now.expired.is_empty() && now.excluded.is_empty(),
        "the others stay open"
    );
    // In a tie the smallest encoding wins, in any order.
    let both = [(a, summable(9, &[1])), (b, summable(8, &[2]))];
    let now = agreed(&both, &both, &History::default(), [terms(1, 3); 2], |_| {
        vec![2]
    });
    assert_eq!(ids_of(&now), [2]);
}

#[test]
fn rule_5_a_packet_counts_in_the_first_of_its_batches() {
    let (a, b) = (batch(2, 4), batch(1, 5));
    let both = [(a, summable(8, &[1, 2])), (b, summable(8, &[2, 3]))];
    let ids = |batch: DatedBatch| if batch == a { vec![1, 2] } else { vec![2, 3] };
    let now = agreed(&both, &both, &History::default(), [terms(3, 3); 2], ids);
    let duplicates: Vec<u64> = now
        .batches
        .iter()
        .map(|settled| settled.duplicates)
        .collect();
    assert_eq!((duplicates.as_slice(), now.counted), ([0, 1].as_slice(), 3));
    let mut before = IdSet::default();
    before.insert(*packet(3).as_bytes());
    let mut count = Count::new(before);
    count.batch(&[packet(1), packet(3)]);
    assert_eq!(
        count.duplicates,
        [[packet(3)]],
        "counted in an earlier window"
    );
}

#[test]
fn rule_6_the_minimum_counts_each_packet_once_and_the_larger_holds() {
    let (a, b) = (batch(1, 5), batch(2, 5));
    let both = [(a, summable(8, &[1, 2])), (b, summable(8, &[1, 2]))];
    let rules = [terms(1, 3), terms(3, 3)];
    let now = agreed(&both, &both, &History::default(), rules, |_| vec![1, 2]);
    assert_eq!(
        (now.batches.len(), now.below_minimum, now.counted),
        (0, Some(2), 0)
    );
    assert!(now.expired.is_empty(), "its batches stay open");
}

#[test]
fn rule_7_age_is_counted_in_windows_and_the_smaller_holds() {
    let old = batch(1, 3);
    let both = [(old, summable(8, &[1]))];
    assert_eq!(age(old.date, window(5), PERIOD), Some(2));
    assert_eq!(
        age(old.date.plus_minutes(59).unwrap(), window(5), PERIOD),
        Some(2)
    );
    assert_eq!(
        age(batch(1, 6).date, window(5), PERIOD),
        None,
        "a batch of the future"
    );
    let now = agreed(
        &both,
        &both,
        &History::default(),
        [terms(1, 9), terms(1, 1)],
        |_| vec![1],
    );
    assert!(
        now.batches.is_empty() && now.expired.len() == 1,
        "it came too late and is reported"
    );
    let now = agreed(
        &both,
        &both,
        &History::default(),
        [terms(1, 9), terms(1, 2)],
        |_| vec![1],
    );
    assert_eq!(ids_of(&now), [1], "its last window can still contain it");
    let open = [(old, Listing::Open(OpenReason::NoValidation))];
    let now = agreed(
        &both,
        &open,
        &History::default(),
        [terms(1, 9), terms(1, 2)],
        |_| vec![1],
    );
    assert_eq!(now.expired.len(), 1);
    let last_statuses = [
        Some(ListingStatus::Summable),
        Some(ListingStatus::Open(OpenReason::NoValidation)),
    ];
    assert_eq!(
        (now.expired[0].batch, now.expired[0].last_statuses),
        (old, last_statuses)
    );
    let mut history = History::default();
    history.push(&now);
    assert_eq!(history.closed_in(&old), Some(window(5)));
}

/// The processor with the larger maximum age reads further back than the other, and both need the
/// same answer.
#[test]
fn rule_7_of_all_windows_that_closed_a_batch_the_last_counts() {
    let rules = [terms(1, 3), terms(1, 4)];
    let (first_date, second_date) = (batch(1, 0), batch(1, 2));
    let both = [(first_date, summable(8, &[1]))];
    let roster_of = |writer: Role, number, entries: &[_]| {
        roster(writer, number, rules[writer.index()], entries)
    };
    let at = |number, entries: &[_], history: &History| {
        let pair = Role::ALL.map(|role| roster_of(role, number, entries));
        let draft = compare([&pair[0], &pair[1]], history, false).unwrap();
        draft.conclude(&Count::new(IdSet::default()))
    };
    let mut whole = History::default();
    let summed = at(0, &both, &whole);
    whole.push(&AgreedWindow {
        batches: vec![AgreedBatch {
            batch: first_date,
            claim: claim(8, &[1]),
            duplicates: 0,
        }],
        ..summed
    });
    let copy = [(second_date, Listing::Open(OpenReason::TooLate))];
    let agreed_window = at(7, &copy, &whole);
    assert_eq!(
        agreed_window.expired.len(),
        1,
        "the window that closed the batch is beyond the stored history"
    );
    let mut short = History::default();
    for history in [&mut whole, &mut short] {
        history.push(&agreed_window);
    }
    for history in [whole, short] {
        assert!(at(8, &copy, &history).expired.is_empty(), "reported once");
    }
}

/// A processor whose rosters begin later has no records of earlier windows, and would report an
/// expiry a second time.
#[test]
fn rule_7_nothing_expires_before_both_chains_have_begun() {
    let old = batch(1, 3);
    let first = roster(Role::First, 5, terms(1, 2), &[(old, summable(8, &[1]))]);
    let second = Roster {
        chain: ChainReach {
            start: window(6).start(),
            agreed_until: window(6).start(),
        },
        ..roster(Role::Second, 6, terms(1, 2), &[])
    };
    let pair = [&first, &second.empty_before_start(window(5))];
    let draft = compare(pair, &History::default(), false).unwrap();
    assert!(
        draft
            .conclude(&Count::new(IdSet::default()))
            .expired
            .is_empty()
    );
    let too_late = [(old, Listing::Open(OpenReason::TooLate))];
    let first = roster(Role::First, 6, terms(1, 2), &too_late);
    let draft = compare([&first, &second], &History::default(), false).unwrap();
    let expired = draft.conclude(&Count::new(IdSet::default())).expired;
    assert_eq!(
        (expired.len(), expired[0].batch),
        (1, old),
        "the first common window reports it"
    );
}

/// The time for which the other processor has not begun does not matter.
#[test]
fn rule_7_the_first_window_of_both_tells_of_all_that_waited_for_it() {
    let begin = window(30).start();
    let chain = ChainReach {
        start: begin,
        agreed_until: begin,
    };
    let waited = [(batch(1, 3), Listing::Open(OpenReason::TooLate))];
    for (number, reports) in [(29, 0), (30, 1), (31, 0)] {
        let first = roster(Role::First, number, terms(1, 2), &waited);
        let second = Roster {
            chain,
            ..roster(Role::Second, number, terms(1, 2), &[])
        };
        let draft = compare([&first, &second], &History::default(), false).unwrap();
        let expired = draft.conclude(&Count::new(IdSet::default())).expired;
        assert_eq!(expired.len(), reports, "window {number}");
    }
}

/// A processor that lists a batch under an old date, because of an object name or of nothing, must
/// not close the batch under its own date.
#[test]
fn rule_7_expiry_closes_a_date_and_settlement_an_identifier() {
    let (own, old) = (batch(1, 5), batch(1, 1));
    let first = [(own, Listing::Open(OpenReason::NoValidation))];
    let second = [
        (own, summable(8, &[1])),
        (old, Listing::Open(OpenReason::NoValidation)),
    ];
    let rules = [terms(1, 3); 2];
    let now = agreed(&first, &second, &History::default(), rules, |_| vec![1]);
    let expired: Vec<DatedBatch> = now.expired.iter().map(|expired| expired.batch).collect();
    assert_eq!((expired, now.batches.len()), (vec![old], 0));
    let dates = vec![old.date, own.date];
    assert_eq!(
        now.several_dates,
        [SeveralDates {
            batch: own.id,
            dates
        }]
    );
    let mut history = History::default();
    history.push(&now);
    let both = [(own, summable(8, &[1])), (old, summable(8, &[1]))];
    let now = agreed(&both, &both, &history, rules, |_| vec![1]);
    assert_eq!(
        now.batches[0].batch, own,
        "it is summed under the date that has not expired"
    );
    assert!(now.several_dates.is_empty(), "reported once");
    history.push(&now);
    assert!(
        agreed(&both, &both, &history, rules, |_| vec![1])
            .batches
            .is_empty()
    );
    // A batch dated before the first window with a roster is in no window, and so it does not
    // expire in one.
    let before = DatedBatch {
        date: time(-60),
        id: own.id,
    };
    let now = agreed(
        &[(before, summable(8, &[1]))],
        &[],
        &History::default(),
        rules,
        |_| vec![1],
    );
    assert!(now.expired.is_empty());
}

/// Later changes of one processor's terms have no effect, except on the minimum.
#[test]
fn rule_6_the_terms_of_the_first_window_of_both_hold() {
    let old = batch(1, 3);
    let both = [(old, Listing::Open(OpenReason::NoValidation))];
    let fixed = [terms(2, 4), terms(3, 5)];
    let first = agreed(&[], &[], &History::default(), fixed, |_| vec![]);
    assert_eq!(first.terms, Some(fixed));
    let mut history = History::default();
    history.push(&first);
    for other in [
        terms(3, 0),
        RosterTerms {
            origin: time(60),
            period_minutes: 30,
            replay_horizon: 1,
            ..terms(3, 1)
        },
    ] {
        let now = agreed(&both, &both, &history, [fixed[0], other], |_| vec![]);
        assert!(
            now.expired.is_empty(),
            "the maximum age of the first window is in force"
        );
        assert_eq!(now.terms, Some(fixed));
    }
    let now = agreed(&both, &both, &history, [fixed[0], terms(9, 5)], |_| vec![]);
    assert_eq!(
        now.minimum, 9,
        "a processor may always refuse to release a small sum"
    );
    assert_eq!(now.terms, Some([terms(2, 4), terms(9, 5)]));
    // No first roster can prevent that a batch is summed in the window after its own.
    let now = agreed(
        &both,
        &both,
        &History::default(),
        [terms(1, 0); 2],
        |_| vec![],
    );
    assert_eq!(now.expired.len(), 1);
    let young = [(batch(1, 5), Listing::Open(OpenReason::NoValidation))];
    let now = agreed(
        &young,
        &young,
        &History::default(),
        [terms(1, 0); 2],
        |_| vec![],
    );
    assert!(now.expired.is_empty());
}

/// Both rosters have as many entries as permitted, all alike or all of one identifier. The cost per
/// entry must not depend on the number of entries.
#[test]
fn the_largest_rosters_are_compared_in_linear_time() {
    let most = u32::try_from(tallybox_model::roster::MOST_ENTRIES).unwrap();
    let id = |number: u32| {
        BatchId::from_bytes(std::array::from_fn(|index| number.to_be_bytes()[index % 4]))
    };
    let dated = |number: u32| DatedBatch {
        date: window(5).start(),
        id: id(number),
    };
    let one_id = |number: u32| DatedBatch {
        date: time(i64::from(number % 300)),
        id: id(number / 300),
    };
    let same: Vec<_> = (0..most)
        .map(|number| (dated(number), summable(number as i32 + 1, &[1])))
        .collect();
    let open: Vec<_> = (0..most)
        .map(|number| (one_id(number), Listing::Open(OpenReason::NoIngestion)))
        .collect();
    let now = agreed(&same, &same, &History::default(), [terms(1, 3); 2], |_| {
        vec![1]
    });
    assert_eq!(now.batches.len(), 1, "each has parameters of its own");
    let now = agreed(
        &open,
        &[],
        &History::default(),
        [terms(1, 3); 2],
        |_| vec![],
    );
    assert!(now.expired.len() == MOST_EXPIRED_BATCHES && now.several_dates.len() > 200);
}

/// The largest agreed set of two rosters, with the longest names, is within the size limit of the
/// reader.
#[test]
fn the_largest_agreed_set_is_read_back() {
    let most = u32::try_from(tallybox_model::roster::MOST_ENTRIES).unwrap();
    let dated = |number: u32| DatedBatch {
        date: window(5).start(),
        id: BatchId::from_bytes(std::array::from_fn(|index| number.to_be_bytes()[index % 4])),
    };
    let mut claim = claim(8, &[1]);
    claim.parameters.name = "n".repeat(200);
    claim.parameters.hamming_weight = Some(i32::MIN);
    claim.parameters.epsilon = f64::MIN_POSITIVE;
    let both: Vec<_> = (0..most)
        .map(|number| (dated(number), Listing::Summable(claim.clone())))
        .collect();
    let now = agreed(&both, &both, &History::default(), [terms(0, 3); 2], |_| {
        vec![1]
    });
    assert_eq!(now.batches.len() as u64, u64::from(most));
    let text = serde_json::to_vec(&now).unwrap();
    assert!(
        (text.len() as u64) < crate::roster::store::agreed::AGREED_BYTES,
        "{}",
        text.len()
    );
    assert_eq!(serde_json::from_slice::<AgreedWindow>(&text).unwrap(), now);
}

#[test]
fn rule_7_unequal_claims_settle_a_batch_as_excluded() {
    let a = batch(1, 5);
    for other in [
        summable(8, &[1, 3]),
        summable(9, &[1, 2]),
        summable(8, &[1]),
    ] {
        let (first, second) = ([(a, summable(8, &[1, 2]))], [(a, other)]);
        let now = agreed(
            &first,
            &second,
            &History::default(),
            [terms(1, 3); 2],
            |_| vec![1],
        );
        assert_eq!(
            (now.batches.len(), now.excluded.as_slice()),
            (0, [a].as_slice())
        );
        let mut history = History::default();
        history.push(&now);
        let now = agreed(&first, &first, &history, [terms(1, 3); 2], |_| vec![1, 2]);
        assert!(now.batches.is_empty(), "it is never compared again");
    }
}

#[test]
fn a_roster_before_the_first_is_empty_and_of_the_earlier_window() {
    let listed = roster(
        Role::First,
        5,
        terms(1, 3),
        &[(batch(1, 5), summable(8, &[1]))],
    );
    let earlier = listed.empty_before_start(window(4));
    assert_eq!(earlier.window, window(4));
    assert!(earlier.entries.is_empty());
    assert_eq!(
        (earlier.writer, earlier.chain, earlier.terms),
        (listed.writer, listed.chain, listed.terms)
    );
}

/// Rule 4: the limits of reports. One processor alone cannot displace an identifier that both list.
#[test]
fn rule_4_reports_of_several_dates_are_limited_and_those_of_both_come_first() {
    let numbered = |number: u32, window: i64| DatedBatch {
        id: BatchId::from_bytes(std::array::from_fn(|i| number.to_be_bytes()[i % 4])),
        ..batch(0, window)
    };
    let entry = |batch: DatedBatch| (batch, Listing::Open(OpenReason::NoValidation));
    let most = u32::try_from(MOST_SEVERAL_DATES).unwrap();
    let of_both = [entry(numbered(most, 4)), entry(numbered(most, 5))];
    let mut first: Vec<_> = (0..most)
        .flat_map(|number| [4, 5].map(|window| entry(numbered(number, window))))
        .collect();
    first.extend(of_both.clone());
    let reported = agreed(
        &first,
        &of_both,
        &History::default(),
        [terms(1, 3); 2],
        |_| Vec::new(),
    );
    assert_eq!(reported.several_dates.len(), MOST_SEVERAL_DATES);
    assert!(
        reported
            .several_dates
            .iter()
            .any(|several| several.batch == of_both[0].0.id)
    );

    let dates: Vec<_> = (0..=MOST_DATES as i64)
        .map(|minute| DatedBatch {
            date: time(4 * i64::from(PERIOD) + minute),
            ..batch(1, 4)
        })
        .map(entry)
        .collect();
    let reported = agreed(&dates, &[], &History::default(), [terms(1, 3); 2], |_| {
        Vec::new()
    });
    assert_eq!(reported.several_dates[0].dates.len(), MOST_DATES);
    // The next window does not report the same dates again.
    let mut history = History::default();
    history.push(&reported);
    assert!(history.reported_in(&dates[0].0).is_some());
    let again = agreed(&dates[..2], &[], &history, [terms(1, 3); 2], |_| Vec::new());
    assert!(again.several_dates.is_empty());
}

#[test]
fn a_settled_batch_is_closed_and_an_open_one_is_not() {
    let entries = [
        (batch(1, 5), summable(8, &[1])),
        (batch(2, 5), Listing::Open(OpenReason::NoValidation)),
    ];
    let now = agreed(
        &entries,
        &entries,
        &History::default(),
        [terms(1, 3); 2],
        |_| vec![1],
    );
    let mut history = History::default();
    history.push(&now);
    assert!(history.is_closed(&batch(1, 5)));
    assert!(!history.is_closed(&batch(2, 5)));
}

#[test]
fn sides_with_other_rules_do_not_agree() {
    for other in [
        RosterTerms {
            origin: time(60),
            ..terms(1, 3)
        },
        RosterTerms {
            period_minutes: 30,
            ..terms(1, 3)
        },
        RosterTerms {
            replay_horizon: 51,
            ..terms(1, 3)
        },
    ] {
        let first = roster(Role::First, 5, terms(1, 3), &[]);
        let second = roster(Role::Second, 5, other, &[]);
        assert!(compare([&first, &second], &History::default(), false).is_err());
    }
}

/// A random schedule: when each processor can sum each batch, when it is offline, and how late its
/// rosters are read. Both processors run the code above on what they have read. All results that
/// both have computed have to be the same, and correct.
fn schedule(seed: u64) {
    const WINDOWS: i64 = 40;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let minimum = *[0, 6].choose(&mut random).unwrap();
    let maximum_age = 25;
    let rules = terms(minimum, maximum_age);
    // For each batch: its packets, and when each processor can sum it.
    let mut batches: Vec<(DatedBatch, Vec<u8>)> = Vec::new();
    let mut ready: Vec<[i64; 2]> = Vec::new();
    for id in 0..16 {
        let ids: BTreeSet<u8> = (0..4).map(|_| random.random_range(0..60)).collect();
        let number = random.random_range(0..8);
        batches.push((batch(id, number), ids.into_iter().collect()));
        ready.push([0, 1].map(|_| number + 1 + *[-5, 0, 3, 8, 15].choose(&mut random).unwrap()));
    }
    let ids = |batch: DatedBatch| &batches.iter().find(|(other, _)| *other == batch).unwrap().1;
    let lag = *[1, 4, 10].choose(&mut random).unwrap();
    let mut sides = [Side::default(), Side::default()];
    let mut counted_packets = BTreeSet::new();
    for now in 0..WINDOWS + 12 {
        for side in [0, 1] {
            if random.random_bool(0.3) {
                continue;
            }
            // Rosters of all windows that are over, in order, with the present knowledge.
            for number in sides[side].rosters.len() as i64..now.min(WINDOWS) {
                let mut entries = BTreeMap::new();
                for ((batch, packets), ready) in batches.iter().zip(&ready) {
                    let young = age(batch.date, window(number), PERIOD)
                        .is_some_and(|age| age <= maximum_age);
                    if young && ready[side] <= now && !sides[side].history.is_closed(batch) {
                        entries.insert(*batch, summable(8, packets));
                    }
                }
                let list: Vec<_> = entries.into_iter().collect();
                let written = roster(Role::ALL[side], number, rules, &list);
                let readable_at = now + random.random_range(0..lag);
                sides[side].rosters.push((written, readable_at));
            }
            while let Some(number) = sides[side].next(&sides[1 - side], now) {
                let pair = [0, 1].map(|index: usize| sides[index].rosters[number].0.clone());
                let draft = compare([&pair[0], &pair[1]], &sides[side].history, false).unwrap();
                let mut before = IdSet::default();
                for id in &sides[side].counted {
                    before.insert(*packet(*id).as_bytes());
                }
                let mut count = Count::new(before);
                for (batch, _) in &draft.batches {
                    count.batch(&ids(*batch).iter().map(|id| packet(*id)).collect::<Vec<_>>());
                }
                let agreed = draft.conclude(&count);
                if !agreed.batches.is_empty() {
                    sides[side]
                        .counted
                        .extend(count.counted.iter().map(|id| id.as_bytes()[0]));
                }
                sides[side].history.push(&agreed);
                sides[side].agreed.push(agreed);
            }
        }
    }
    let [first, second] = &sides;
    let both = first.agreed.len().min(second.agreed.len());
    assert!(
        both as i64 >= WINDOWS - lag,
        "seed {seed}: the processors are stuck at {both}"
    );
    assert_eq!(first.agreed[..both], second.agreed[..both], "seed {seed}");
    let mut summed = BTreeSet::new();
    for agreed in &first.agreed {
        assert!(
            agreed.batches.is_empty() || agreed.counted >= minimum,
            "seed {seed}"
        );
        for settled in &agreed.batches {
            assert!(
                summed.insert(settled.batch.id),
                "seed {seed}: {:?} twice",
                settled.batch
            );
        }
    }
    for id in &first.counted {
        assert!(
            counted_packets.insert(*id),
            "seed {seed}: packet {id} twice"
        );
    }
    // With a minimum of 1, a batch that consists of repetitions only stays open.
    if minimum == 0 {
        assert_eq!(summed.len(), batches.len(), "seed {seed}: a batch was lost");
    }
}

#[derive(Default)]
struct Side {
    /// Our rosters, and the time from which the peer can read each.
    rosters: Vec<(Roster, i64)>,
    history: History,
    agreed: Vec<AgreedWindow>,
    counted: Vec<u8>,
}

impl Side {
    /// The next window to agree on.
    fn next(&self, peer: &Self, now: i64) -> Option<usize> {
        let number = self.agreed.len();
        let is_readable = peer
            .rosters
            .get(number)
            .is_some_and(|(_, readable_at)| *readable_at <= now);
        (is_readable && number < self.rosters.len()).then_some(number)
    }
}

#[test]
fn both_sides_agree_whatever_they_see_when() {
    (0..3000).for_each(schedule);
}
