//! Tests of the announcement and of the rule for the use of rosters.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::role::Role;

const HOUR: u32 = 60;

fn time(text: &str) -> BatchTime {
    format!("2026/03/01/{text}").parse().unwrap()
}

fn roster(since: &str, until: Option<&str>) -> RosterExtension {
    RosterExtension {
        since: time(since),
        until: until.map(time),
    }
}

fn announced(since: &str, until: Option<&str>) -> Sighting {
    Sighting::Announced(Extensions {
        roster: Some(roster(since, until)),
    })
}

fn modes(ours: Option<RosterExtension>, peer: &Sighting, fixed: &Fixed) -> String {
    let rosters = RosterUse::of(ours, peer, fixed, HOUR, time("00/30"));
    (0..10)
        .map(|hour| match rosters.mode(time(&format!("{hour:02}/00"))) {
            Mode::Enpa => 'e',
            Mode::Roster => 'r',
            Mode::Undecided => '?',
        })
        .collect()
}

#[test]
fn golden_bytes_both_ways() {
    let both = br#"{"format":1,"roster":{"since":"2026/03/01/04/00","until":"2026/03/02/00/00"}}"#;
    let read = Extensions::parse(both).unwrap();
    assert_eq!(read.roster.unwrap().since, time("04/00"));
    assert_eq!(read.to_json(), both);
    let open = br#"{"format":1,"roster":{"since":"2026/03/01/04/00","until":null}}"#;
    assert_eq!(Extensions::parse(open).unwrap().to_json(), open);
    let none = br#"{"format":1,"roster":null}"#;
    assert_eq!(Extensions::parse(none).unwrap(), Extensions::default());
    assert_eq!(
        Extensions::parse(br#"{"format":1}"#).unwrap().to_json(),
        none
    );
}

#[test]
fn later_programs_may_say_more() {
    let more =
        br#"{"poplar1":{"since":1},"format":1,"roster":{"since":"2026/03/01/04/00","colour":[1,{}]},"contact":null}"#;
    assert_eq!(
        Extensions::parse(more).unwrap().roster,
        Some(roster("04/00", None))
    );
}

const POINT: &str =
    "BAIX5hfwtkQ5KCePlpmeaaI6TywVK99tbN9m5bgCgtTtGUp968uXcS0t2jyoWqh2Wlb0X8dYWZZS8ol8ZTBuV5Q=";
const OTHER: &str =
    "BFGnWAgziY6hsYPL1zUKQJkHjG7xweGOlwzXaDA18l59ARBSJxKwtafP8IFoVIaYSpTmgx7axG5zYPqdg0p6gaE=";

fn with_keys(keys: &str) -> String {
    let text = format!(r#"{{"format":1,"roster":null,"packet-keys":[{keys}]}}"#);
    text.replace("POINT", POINT).replace("OTHER", OTHER)
}

#[test]
fn packet_keys_are_announced_with_their_bins() {
    let text = with_keys(
        r#"{"id":"first-packet-5-1","bins":5,"public-key":"POINT"},{"id":"first-packet-9-1","bins":9,"public-key":"OTHER"}"#,
    );
    let read = Announcement::parse(text.as_bytes(), Role::First).unwrap();
    assert_eq!(
        (read.packet_keys[1].id.as_str(), read.packet_keys[1].bins),
        ("first-packet-9-1", 9)
    );
    assert_eq!(String::from_utf8(read.to_json()).unwrap(), text);
    // A document without keys is unchanged from before keys existed. Unknown members are ignored.
    let none = br#"{"format":1,"roster":null}"#;
    assert_eq!(
        Announcement::parse(none, Role::First).unwrap().to_json(),
        none
    );
    let more = with_keys(r#"{"id":"a","bins":5,"public-key":"POINT","colour":1}"#);
    assert_eq!(
        Announcement::parse(more.as_bytes(), Role::First)
            .unwrap()
            .packet_keys
            .len(),
        1
    );
}

#[test]
fn packet_keys_that_contradict_each_other_are_refused_and_change_nothing_about_rosters() {
    for bad in [
        r#"{"id":"a","bins":5,"public-key":"POINT"},{"id":"a","bins":9,"public-key":"POINT"}"#,
        r#"{"id":"a","bins":5,"public-key":"POINT"},{"id":"b","bins":5,"public-key":"POINT"}"#,
        r#"{"id":"a","bins":5,"public-key":"POINT"},{"id":"a","bins":5,"public-key":"OTHER"}"#,
        r#"{"id":"a","bins":0,"public-key":"POINT"}"#,
        r#"{"id":"a","bins":5,"public-key":"BAAA"}"#,
        r#"{"id":"a","bins":5,"public-key":"-POINT"}"#,
        r#"{"id":"a","public-key":"POINT"}"#,
    ] {
        let text = with_keys(bad);
        assert!(
            Announcement::parse(text.as_bytes(), Role::First).is_err(),
            "{bad}"
        );
        assert!(Extensions::parse(text.as_bytes()).is_ok(), "{bad}");
    }
}

#[test]
fn what_is_no_announcement_is_refused() {
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"format":2}"#,
        r#"{"format":"1"}"#,
        r#"{"format":1,"format":1}"#,
        r#"{"format":1,"roster":{}}"#,
        r#"{"format":1,"roster":{"since":"2026-03-01"}}"#,
        r#"{"format":1,"roster":{"since":"2026/03/01/04/00","until":"2026/03/01/04/00"}}"#,
    ] {
        assert!(Extensions::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let large = vec![b' '; EXTENSIONS_SIZE_LIMIT + 1];
    assert!(matches!(
        Extensions::parse(&large),
        Err(ExtensionsError::TooLarge { .. })
    ));
}

#[test]
fn it_begins_with_the_first_window_at_or_after_both_times() {
    let none = Fixed::default();
    assert_eq!(
        modes(
            Some(roster("03/00", None)),
            &announced("01/00", None),
            &none
        ),
        "eeerrrrrrr"
    );
    assert_eq!(
        modes(
            Some(roster("03/01", None)),
            &announced("01/00", None),
            &none
        ),
        "eeeerrrrrr"
    );
    assert_eq!(
        modes(
            Some(roster("01/00", None)),
            &announced("05/59", None),
            &none
        ),
        "eeeeeerrrr"
    );
}

#[test]
fn both_sides_come_to_the_same_whenever_they_look() {
    let (ours, theirs) = (
        roster("03/10", Some("07/00")),
        roster("02/00", Some("07/30")),
    );
    for now in ["00/00", "03/30", "09/00"] {
        let of = |ours, theirs: RosterExtension| {
            let theirs = Sighting::Announced(Extensions {
                roster: Some(theirs),
            });
            let rosters = RosterUse::of(Some(ours), &theirs, &Fixed::default(), HOUR, time(now));
            (0..10)
                .map(|hour| rosters.mode(time(&format!("{hour:02}/00"))))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(ours, theirs), of(theirs, ours));
        assert_eq!(of(ours, theirs)[4..8], [Mode::Roster; 4]);
        assert_eq!(of(ours, theirs)[8], Mode::Enpa);
    }
}

#[test]
fn without_one_side_everything_is_the_predecessors() {
    let none = Fixed::default();
    let silent = Sighting::Announced(Extensions::default());
    for peer in [Sighting::Absent, silent] {
        assert_eq!(
            modes(Some(roster("03/00", None)), &peer, &none),
            "eeeeeeeeee"
        );
    }
    for peer in [
        Sighting::Absent,
        silent,
        Sighting::Unknown,
        announced("01/00", None),
    ] {
        assert_eq!(modes(None, &peer, &none), "eeeeeeeeee");
    }
}

#[test]
fn what_nobody_knows_waits() {
    let none = Fixed::default();
    assert_eq!(
        modes(Some(roster("03/00", None)), &Sighting::Unknown, &none),
        "eee???????"
    );
}

#[test]
fn it_never_falls_away_by_itself() {
    let ours = Some(roster("03/00", None));
    let fixed = Fixed {
        from: RosterSwitch::from_announcements(time("03/00"), time("02/00"), HOUR, time("00/30")),
        until: None,
    };
    let moved = announced("08/00", None);
    let silent = Sighting::Announced(Extensions::default());
    for peer in [Sighting::Absent, Sighting::Unknown, silent, moved] {
        assert_eq!(modes(ours, &peer, &fixed), "eeerrrrrrr", "{peer:?}");
        assert_eq!(modes(None, &peer, &fixed), "eeerrrrrrr", "{peer:?}");
    }
}

#[test]
fn only_both_sides_end_it() {
    let fixed = Fixed {
        from: RosterSwitch::from_announcements(time("03/00"), time("02/00"), HOUR, time("00/30")),
        until: None,
    };
    let ends = Some(roster("03/00", Some("06/00")));
    assert_eq!(
        modes(ends, &announced("02/00", Some("07/10")), &fixed),
        "eeerrrrree"
    );
    assert_eq!(modes(ends, &announced("02/00", None), &fixed), "eeerrrrrrr");
    let goes_on = Some(roster("03/00", None));
    assert_eq!(
        modes(goes_on, &announced("02/00", Some("07/10")), &fixed),
        "eeerrrrrrr"
    );
    // It is unknown whether the peer also ends the use of rosters.
    assert_eq!(modes(ends, &Sighting::Unknown, &fixed), "eeerrr????");
    let ended = Fixed {
        until: RosterSwitch::from_announcements(time("06/00"), time("05/00"), HOUR, time("04/00")),
        ..fixed
    };
    assert_eq!(modes(goes_on, &Sighting::Absent, &ended), "eeerrreeee");
}

#[test]
fn two_windows_lie_between() {
    for (since, ahead) in [
        ("03/00", true),
        ("02/59", false),
        ("02/00", false),
        ("00/00", false),
    ] {
        assert_eq!(is_ahead(time(since), time("00/30"), HOUR), ahead, "{since}");
    }
    assert!(!is_ahead(time("03/00"), time("01/00"), HOUR));
}

#[test]
fn a_switch_is_read_as_it_is_written() {
    let switch =
        RosterSwitch::from_announcements(time("03/10"), time("02/00"), HOUR, time("00/30"))
            .unwrap();
    let golden = r#"{"format":1,"window":"2026/03/01/04/00","ours":"2026/03/01/03/10","theirs":"2026/03/01/02/00","seen":"2026/03/01/00/30"}"#;
    assert_eq!(String::from_utf8(switch.to_json()).unwrap(), golden);
    assert_eq!(RosterSwitch::parse(golden.as_bytes()).unwrap(), switch);
    assert!(
        RosterSwitch::parse(golden.replace("\"format\":1", "\"format\":3").as_bytes()).is_err()
    );
}
