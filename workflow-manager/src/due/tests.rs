//! Due work as a table: hourly windows, their batches, the time, and the expected result.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use tallybox_model::extensions::{Bound, RosterSwitch, RosterUse};
use tallybox_model::id::BatchId;
use tallybox_model::role::Role;
use tallybox_model::task::{WindowBatches, WindowKind};

use super::*;
use crate::inventory::{BatchState, UnknownObjects, WindowState};

const POLICY: Policy = Policy {
    role: Role::Second,
    period_minutes: 60,
    grace_minutes: 10,
    wait_minutes: 0,
    look_back_minutes: 24 * 60,
    horizon_minutes: 48 * 60,
    reenqueue_after_minutes: 30,
};

fn at(text: &str) -> BatchTime {
    format!("2026/03/01/{text}").parse().unwrap()
}

fn window(start: &str) -> Window {
    POLICY.window_of(at(start)).unwrap()
}

fn roster_from(start: &str) -> RosterUse {
    RosterUse {
        from: RosterSwitch::from_announcements(at(start), at(start), 60, at("00/00"))
            .map(Bound::Known),
        until: None,
    }
}

/// `r` complete, `i` incomplete, `p` intake done, `v` validated, `m` a marker at 09:10.
fn batch(marks: &str) -> BatchState {
    let has = |mark: char| marks.contains(mark);
    BatchState {
        header: has('r') || has('i'),
        packets: has('r') || has('i'),
        signature: has('r'),
        validated: has('v'),
        prepared: has('p'),
        started: has('m').then_some(started(1, "09/10")),
    }
}

fn started(attempt: u32, time: &str) -> Started {
    Started {
        attempt,
        at: StartedAt::Time(at(time)),
    }
}

#[derive(Default)]
struct Case {
    rosters: RosterUse,
    batches: Vec<(&'static str, &'static str)>,
    windows: Vec<(&'static str, WindowState)>,
}

impl Case {
    fn assess(&self, now: &str) -> Assessment {
        self.assess_with(now, &POLICY)
    }

    fn assess_with(&self, now: &str, policy: &Policy) -> Assessment {
        let mut aggregation = Aggregation::default();
        for (number, (date, marks)) in self.batches.iter().enumerate() {
            let id = BatchId::from_bytes([u8::try_from(number).unwrap() + 1; 16]);
            aggregation.batches.insert((at(date), id), batch(marks));
        }
        for (start, state) in &self.windows {
            aggregation.windows.insert(window(start), state.clone());
        }
        let inventory = Inventory {
            scope: policy.scope(at(now)),
            rosters: self.rosters,
            aggregations: BTreeMap::from([("a".parse().unwrap(), aggregation)]),
            unknown_objects: UnknownObjects::default(),
            failed: Vec::new(),
        };
        assess(&inventory, at(now), policy)
    }

    /// Returns `kind start` of each task, in order; sums include the number of their batches.
    fn due(&self, now: &str) -> Vec<String> {
        let short = |time: BatchTime| time.to_string()[11..].to_owned();
        let tasks = self.assess(now).due.into_iter();
        tasks
            .map(|due| {
                let start = short(due.task.start());
                match (due.task.kind(), &due.batches) {
                    ("aggregate", None) => format!("sum-agreed {start}"),
                    ("aggregate", Some(fixed)) => format!("sum {start} {}", fixed.batches.len()),
                    (kind, _) => format!("{kind} {start}"),
                }
            })
            .collect()
    }

    fn stage(&self, now: &str) -> &'static str {
        self.assess(now).windows[0].stage.as_str()
    }
}

fn case_with(batches: &[(&'static str, &'static str)]) -> Case {
    Case {
        batches: batches.to_vec(),
        ..Case::default()
    }
}

const NONE: [&str; 0] = [];

#[test]
fn intake() {
    for (marks, now, expected) in [
        ("r", "08/30", vec!["intake 08/00"]),
        ("i", "08/30", vec![]),
        ("v", "08/30", vec![]),
        ("rp", "08/30", vec![]),
        ("rm", "09/39", vec![]),
        ("rm", "09/40", vec!["intake 08/00"]),
        ("rmp", "09/40", vec![]),
    ] {
        let due: Vec<String> = case_with(&[("08/00", marks)]).due(now);
        let due: Vec<&String> = due
            .iter()
            .filter(|task| task.starts_with("intake"))
            .collect();
        assert_eq!(due, expected, "{marks} at {now}");
    }
}

#[test]
fn the_predecessors_windows() {
    for (batches, now, expected) in [
        (vec![("08/00", "rpv")], "09/09", vec![]),
        (vec![("08/00", "rpv")], "09/10", vec!["sum 08/00 1"]),
        (vec![("08/00", "rp")], "09/10", vec![]),
        (vec![("08/00", "v")], "09/10", vec![]),
        (
            vec![("08/00", "rpv"), ("08/59", "rpv"), ("09/00", "rpv")],
            "09/10",
            vec!["sum 08/00 2"],
        ),
        (
            vec![("08/00", "rpv"), ("08/30", "rp"), ("08/40", "v")],
            "09/10",
            vec!["sum 08/00 1"],
        ),
        (
            vec![("06/00", "rpv"), ("08/00", "rpv")],
            "09/10",
            vec!["sum 06/00 1", "sum 08/00 1"],
        ),
    ] {
        assert_eq!(
            case_with(&batches).due(now),
            expected,
            "{batches:?} at {now}"
        );
    }
}

#[test]
fn a_window_waits_for_whom_it_waits() {
    for (batches, now, stage) in [
        (vec![("08/00", "rp")], "08/59", "collecting"),
        (vec![("08/00", "rp")], "09/00", "grace"),
        (vec![("08/00", "rp")], "09/10", "peer-validations"),
        (vec![("08/00", "i")], "09/10", "empty"),
        (vec![("08/00", "rpv")], "09/10", "due"),
    ] {
        assert_eq!(
            case_with(&batches).stage(now),
            stage,
            "{batches:?} at {now}"
        );
    }
}

/// A batch that one side cannot process, such as one sealed to a retired key, does not block its
/// window. The window waits for it, and is then summed without it on both sides, because neither
/// side names it.
#[test]
fn a_batch_of_one_side_is_waited_for_and_then_left_out() {
    let waits = Policy {
        wait_minutes: 45,
        ..POLICY
    };
    let due = |case: &Case, now: &str| {
        let assessment = case.assess_with(now, &waits);
        let sums = assessment.due.into_iter().filter_map(|due| due.batches);
        let tasks = sums.map(|fixed| (fixed.batches.len(), fixed.skipped.len()));
        (
            assessment.windows[0].stage.as_str(),
            tasks.collect::<Vec<_>>(),
        )
    };
    // We cannot open our batch; the peer has validated it, and lacks our validation.
    let (ours, peers) = (
        case_with(&[("08/00", "rpv"), ("08/30", "rv")]),
        case_with(&[("08/00", "rpv"), ("08/30", "rp")]),
    );
    for case in [&ours, &peers] {
        assert_eq!(due(case, "09/10"), ("one-sided", vec![]));
        assert_eq!(due(case, "09/54"), ("one-sided", vec![]));
    }
    assert_eq!(due(&ours, "09/55"), ("due", vec![(1, 0)]));
    assert_eq!(due(&peers, "09/55"), ("due", vec![(1, 1)]));
    // A batch that is complete on both sides waits for nothing, nor does a window with fixed
    // batches.
    assert_eq!(
        due(&case_with(&[("08/00", "rpv"), ("08/30", "i")]), "09/10"),
        ("due", vec![(1, 0)])
    );
    assert_eq!(due(&case_with(&[("08/30", "rv")]), "09/55").0, "empty");
}

#[test]
fn fixed_batches_stay_and_what_comes_later_is_late() {
    let named = |number: u8| BatchName {
        aggregation: "a".parse().unwrap(),
        date: at("08/00"),
        id: BatchId::from_bytes([number; 16]),
    };
    let mut case = case_with(&[("08/00", "rpv"), ("08/00", "rpv"), ("08/00", "rpv")]);
    let mut state = WindowState {
        fixed: Some(WindowBatches {
            fixed: at("09/10"),
            batches: vec![named(1)],
            skipped: vec![named(2)],
        }),
        started: BTreeMap::from([(WindowKind::Aggregate, started(1, "09/10"))]),
        ..WindowState::default()
    };
    case.windows = vec![("08/00", state.clone())];
    assert_eq!(case.due("09/39"), NONE);
    assert_eq!(case.due("09/40"), ["sum 08/00 1"]);
    let assessment = case.assess("09/40");
    assert_eq!(assessment.due[0].attempt, 2);
    assert_eq!(
        assessment
            .skipped
            .iter()
            .map(|name| name.id)
            .collect::<Vec<_>>(),
        [named(2).id]
    );
    assert_eq!(
        assessment
            .late
            .iter()
            .map(|name| name.id)
            .collect::<Vec<_>>(),
        [named(3).id]
    );
    state.done = true;
    case.windows = vec![("08/00", state)];
    let assessment = case.assess("12/00");
    assert_eq!(
        (
            assessment.due.len(),
            assessment.skipped.len(),
            assessment.late.len()
        ),
        (0, 0, 1)
    );
}

#[test]
fn what_the_predecessor_started_is_not_started_again() {
    let mut case = case_with(&[("08/00", "rpv")]);
    let predecessors = Started {
        attempt: 1,
        at: StartedAt::Predecessor,
    };
    let state = WindowState {
        started: BTreeMap::from([(WindowKind::Aggregate, predecessors)]),
        ..WindowState::default()
    };
    case.windows = vec![("08/00", state)];
    assert_eq!(case.due("20/00"), NONE);
    assert_eq!(case.stage("20/00"), "started");
}

#[test]
fn windows_with_rosters() {
    let state = |marks: &str| WindowState {
        our_roster: marks.contains('o'),
        peer_roster: marks.contains('p'),
        agreed: marks.contains('a'),
        done: marks.contains('d'),
        ..WindowState::default()
    };
    for (marks, expected, stage) in [
        ("", vec!["roster 08/00"], "due"),
        ("p", vec!["roster 08/00"], "due"),
        ("o", vec![], "peer-roster"),
        ("op", vec!["agree 08/00"], "due"),
        ("opa", vec!["sum-agreed 08/00"], "due"),
        ("opad", vec![], "done"),
    ] {
        let mut case = case_with(&[("08/00", "rp")]);
        case.rosters = roster_from("08/00");
        case.windows = vec![("08/00", state(marks))];
        assert_eq!(case.due("09/09"), NONE, "{marks}");
        assert_eq!(case.due("09/10"), expected, "{marks}");
        assert_eq!(case.stage("09/10"), stage, "{marks}");
        let assessment = case.assess("09/10");
        assert!(
            assessment.late.is_empty() && assessment.skipped.is_empty(),
            "rosters say it themselves"
        );
    }
}

#[test]
fn with_rosters_no_window_between_is_skipped_and_the_last_does_them_all() {
    let mut case = case_with(&[("06/00", "rp"), ("09/30", "rp")]);
    let stages = |case: &Case, now: &str| -> Vec<&'static str> {
        let windows = case.assess(now).windows.into_iter();
        windows.map(|window| window.stage.as_str()).collect()
    };
    case.rosters = roster_from("00/00");
    assert_eq!(case.due("10/10"), ["roster 09/00"]);
    assert_eq!(
        stages(&case, "10/10"),
        ["with-later", "with-later", "with-later", "due"]
    );
    assert_eq!(case.due("10/09"), ["roster 08/00"]);
    assert_eq!(
        stages(&case, "10/09"),
        ["with-later", "with-later", "due", "grace"]
    );
    case.rosters = roster_from("08/00");
    // Before the switch, a window without a batch is not listed.
    assert_eq!(
        stages(&case, "10/10"),
        ["peer-validations", "with-later", "due"]
    );
}

#[test]
fn what_is_agreed_is_summed_by_itself_and_what_waits_for_the_peer_waits() {
    let both = WindowState {
        our_roster: true,
        peer_roster: true,
        ..WindowState::default()
    };
    let agreed = WindowState {
        agreed: true,
        ..both.clone()
    };
    let waits = WindowState {
        peer_roster: false,
        ..both.clone()
    };
    let mut case = case_with(&[]);
    case.rosters = roster_from("00/00");
    case.windows = vec![
        ("05/00", agreed),
        ("06/00", both.clone()),
        ("07/00", both),
        ("08/00", waits),
    ];
    assert_eq!(case.due("09/10"), ["sum-agreed 05/00", "agree 07/00"]);
    let windows = case.assess("09/10").windows;
    assert_eq!(windows[3].stage.as_str(), "peer-roster");
    assert_eq!(
        windows[1].waits_for().unwrap(),
        "the task of the window that starts 2026/03/01/07/00"
    );
}

#[test]
fn an_undecided_window_waits_and_intake_does_not() {
    let mut case = case_with(&[("07/00", "rpv"), ("08/00", "r")]);
    case.rosters.from = Some(Bound::Open(at("08/00")));
    assert_eq!(case.due("09/10"), ["intake 08/00", "sum 07/00 1"]);
    assert_eq!(case.assess("09/10").windows[1].stage.as_str(), "undecided");
}

#[test]
fn each_kind_of_task_has_its_own_turn() {
    let mut case = case_with(&[("08/00", "rp")]);
    case.rosters = roster_from("08/00");
    let state = WindowState {
        our_roster: true,
        peer_roster: true,
        started: BTreeMap::from([(WindowKind::Roster, started(4, "09/10"))]),
        ..WindowState::default()
    };
    case.windows = vec![("08/00", state)];
    assert_eq!(case.due("09/11"), ["agree 08/00"]);
    assert_eq!(case.assess("09/11").due[0].attempt, 1);
}

#[test]
fn windows_that_are_too_old_are_left() {
    let day_before = "2026/02/26/08/00".parse().unwrap();
    let mut case = case_with(&[]);
    case.rosters = roster_from("00/00");
    let mut aggregation = Aggregation::default();
    aggregation
        .batches
        .insert((day_before, BatchId::from_bytes([1; 16])), batch("rpv"));
    let inventory = Inventory {
        scope: POLICY.scope(at("09/10")),
        rosters: RosterUse::default(),
        aggregations: BTreeMap::from([("a".parse().unwrap(), aggregation)]),
        unknown_objects: UnknownObjects::default(),
        failed: Vec::new(),
    };
    assert!(assess(&inventory, at("09/10"), &POLICY).due.is_empty());
}

#[test]
fn the_same_start_has_the_same_bytes() {
    let case = case_with(&[("08/00", "r")]);
    let instance = "us-ca-example".parse().unwrap();
    let due = case.assess("08/30").due.remove(0);
    assert_eq!(
        due.message(&instance, Role::First),
        due.message(&instance, Role::First)
    );
    assert_ne!(
        due.message(&instance, Role::First),
        due.message(&instance, Role::Second)
    );
    let restarted = Due {
        attempt: 2,
        ..due.clone()
    };
    assert_ne!(
        due.message(&instance, Role::First),
        restarted.message(&instance, Role::First)
    );
    assert_eq!(due.reason(), "the batch is complete");
    let restarted = Due {
        last: Some(at("08/30")),
        ..restarted
    };
    assert_eq!(
        restarted.reason(),
        "the batch is complete; attempt 2, because the attempt at 2026/03/01/08/30 had no outcome"
    );
}
