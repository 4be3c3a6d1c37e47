//! Rosters, agreed sets, and the names of their objects: serialising and parsing a parsed value
//! again yields the same value.

use crate::forge::{MARKER, generous};
use tallybox_model::avro::{ContainerReader, RecordReader, decode_one, encode_one};
use tallybox_model::role::Role;
use tallybox_model::roster::{AgreedWindow, RosterEntry, RosterHeader, RosterObject};

pub fn run(data: &[u8]) {
    if let Ok(header) = decode_one::<RosterHeader>(data, &generous().for_header()) {
        let ours = encode_one(&header, MARKER).expect("what was decoded can be encoded");
        let reparsed = decode_one::<RosterHeader>(&ours, &generous().for_header());
        assert_eq!(reparsed.expect("what we encode decodes"), header);
        let _ = (header.window(), header.chain(), header.terms());
    }
    if let Ok(agreed) = serde_json::from_slice::<AgreedWindow>(data) {
        let json = serde_json::to_vec(&agreed).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<AgreedWindow>(&json).expect("what we write"), agreed);
    }
    if let Some((name, object)) = std::str::from_utf8(data).ok().and_then(RosterObject::parse) {
        let key = match object {
            RosterObject::Roster(writer) => name.roster(writer),
            RosterObject::Verdicts => name.verdicts(),
            RosterObject::Agreed => name.agreed(),
            RosterObject::Counted => name.counted(),
            RosterObject::Held => name.held(),
            RosterObject::Done => name.done(),
        };
        assert_eq!(std::str::from_utf8(data), Ok(key.as_str()));
        let _ = name.second_roster(Role::First, "00");
    }
    entries(data);
}

fn entries(data: &[u8]) {
    let Ok(mut reader) = ContainerReader::open(data, &generous()) else {
        return;
    };
    while let Ok(Some(block)) = reader.next_block() {
        for entry in RecordReader::<RosterEntry>::new(&block, reader.schema(), &generous()).flatten() {
            if let (Some(batch), Some(listing)) = (entry.batch(), entry.listing()) {
                let rebuilt = RosterEntry::new(batch, &listing);
                assert_eq!((rebuilt.batch(), rebuilt.listing()), (Some(batch), Some(listing)));
            }
        }
    }
}
