//! Tests that a record verifies only under its own name, owner and key, and with its own bytes.
#![allow(clippy::unwrap_used)]

use futures::executor::block_on;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::{Disposition, Published, SharedBucket, memory, publish_bytes};

const NAME: &str = "windows/a/202601010000-202601010100.done";
const PAYLOAD: &[u8] = br#"{"sum-part":null,"batches":0}"#;

fn key(byte: u8) -> RecordKey {
    RecordKey::from_bytes(Zeroizing::new([byte; 32]))
}

fn records(keys: &[u8]) -> Records {
    let mut keys = keys.iter().map(|byte| key(*byte));
    Records::new(
        keys.next().unwrap(),
        keys,
        &["processor", "us-ca-apple", "first"],
    )
}

/// Returns a bucket with an object that was put there by an attacker with write access.
async fn planted(object: Bytes) -> SharedBucket {
    let bucket = memory("own");
    publish_bytes(&*bucket, NAME, object, false).await.unwrap();
    bucket
}

#[test]
fn the_bytes_are_those_of_the_documented_vector() {
    let object = records(&[7]).seal(NAME, PAYLOAD);
    let text = String::from_utf8(object.to_vec()).unwrap();
    let trailer = "\ntallybox-record-v1 3d0017b9 \
                   af6cec95d75a909d32bc435f96b88f22dce848d2ea31bddfa31c171a0b13d5bc\n";
    assert_eq!(
        text,
        format!("{}{trailer}", str::from_utf8(PAYLOAD).unwrap())
    );
    assert_eq!(trailer.len(), TRAILER_BYTES);
}

#[test]
fn a_flipped_byte_anywhere_is_found() {
    let records = records(&[1, 2]);
    let object = records.seal(NAME, PAYLOAD);
    assert_eq!(records.open(NAME, &object).unwrap(), PAYLOAD);
    for index in 0..object.len() {
        for bit in 0..8 {
            let mut changed = object.to_vec();
            changed[index] ^= 1 << bit;
            assert!(
                records.open(NAME, &changed.into()).is_err(),
                "byte {index}, bit {bit}"
            );
        }
    }
    for length in 0..object.len() {
        assert!(
            records.open(NAME, &object.slice(..length)).is_err(),
            "cut to {length}"
        );
    }
    let longer = [&object[..], b"\n"].concat();
    assert_eq!(
        records.open(NAME, &longer.into()),
        Err(RecordFault::NoTrailer)
    );
}

#[test]
fn a_record_belongs_to_its_name_owner_and_key() {
    let ours = records(&[1]);
    let object = ours.seal(NAME, PAYLOAD);
    assert_eq!(
        ours.open("windows/b/202601010000-202601010100.done", &object),
        Err(RecordFault::Changed)
    );
    for owner in [
        &["processor", "us-ca-apple", "second"][..],
        &["processor", "us-ny-apple", "first"],
        &["processor", "us-ca-applefirst"],
        &["processorus-ca-apple", "first"],
        &[],
    ] {
        let theirs = Records::new(key(1), [], owner);
        assert_eq!(
            theirs.open(NAME, &object),
            Err(RecordFault::Changed),
            "{owner:?}"
        );
    }
    let id = key(1).id().to_owned();
    assert_eq!(
        records(&[2]).open(NAME, &object),
        Err(RecordFault::UnknownKey { id })
    );
    assert_eq!(records(&[2, 1]).open(NAME, &object).unwrap(), PAYLOAD);
}

#[test]
fn key_files_are_told_from_sealing_keys_and_show_nothing() {
    let text = key(9).to_text();
    assert_eq!(
        RecordKey::parse(&format!("{}\n", *text)).unwrap().id(),
        key(9).id()
    );
    let (_, base64) = text.split_once(' ').unwrap();
    for bad in [
        "",
        base64,
        &text[..60],
        &format!("{} AAAA", *text),
        "tallybox-record-key-v2 AAAA",
    ] {
        assert!(RecordKey::parse(bad).is_err(), "{bad}");
    }
    let shown = format!("{:?} {:?} {}", key(9), records(&[9]), RecordKeyError);
    assert!(
        shown.contains(key(9).id()) && !shown.contains("CQkJ") && !shown.contains("9, 9"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_record_is_made_once_whichever_key_makes_it() {
    let bucket = memory("own");
    let (old, new) = (records(&[1]), records(&[2, 1]));
    assert_eq!(old.read(&*bucket, NAME, 100).await.unwrap(), None);
    assert_eq!(
        old.create(&*bucket, NAME, PAYLOAD).await.unwrap(),
        Published::New
    );
    for records_of_key in [&old, &new] {
        assert_eq!(
            records_of_key
                .create(&*bucket, NAME, PAYLOAD)
                .await
                .unwrap(),
            Published::Same
        );
        assert_eq!(
            records_of_key
                .read(&*bucket, NAME, 100)
                .await
                .unwrap()
                .unwrap(),
            PAYLOAD
        );
    }
    let other = new.create(&*bucket, NAME, b"another").await.unwrap_err();
    assert!(
        matches!(&other, BucketError::Conflict { key, .. } if key == NAME),
        "{other}"
    );
    let limit = PAYLOAD.len() as u64;
    assert!(new.read(&*bucket, NAME, limit).await.is_ok());
    assert!(matches!(
        new.read(&*bucket, NAME, limit - 1).await,
        Err(BucketError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn what_does_not_verify_is_neither_read_nor_taken_for_ours() {
    let ours = records(&[1]);
    let foreign = records(&[3]);
    let cases = [
        (Bytes::from_static(PAYLOAD), Disposition::Reject),
        (ours.seal("another name", PAYLOAD), Disposition::Reject),
        (foreign.seal(NAME, PAYLOAD), Disposition::Retry),
    ];
    for (object, disposition) in cases {
        let bucket = planted(object).await;
        let (read, made) = (
            ours.read(&*bucket, NAME, 1000).await,
            ours.create(&*bucket, NAME, PAYLOAD).await,
        );
        for error in [read.unwrap_err(), made.unwrap_err()] {
            assert!(
                matches!(&error, BucketError::Unverified { key, .. } if key == NAME),
                "{error}"
            );
            assert_eq!(error.disposition(), disposition, "{error}");
        }
    }
}

proptest! {
    #[test]
    fn pieces_verify_as_the_whole_does(
        payload in proptest::collection::vec(any::<u8>(), 0..600),
        cuts in proptest::collection::vec(0_usize..900, 0..5),
        damage in proptest::option::of(0_usize..900),
    ) {
        let records = records(&[1]);
        let mut object = records.seal(NAME, &payload).to_vec();
        if let Some(index) = damage {
            let index = index % object.len();
            object[index] ^= 1;
        }
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % object.len()).chain([0, object.len()]).collect();
        cuts.sort_unstable();
        let mut opening = records.opening(NAME);
        cuts.windows(2).for_each(|cut| opening.update(&object[cut[0]..cut[1]]));
        let whole = records.open(NAME, &object.into());
        let expected = whole.map(|payload| (Sha256::digest(&payload).into(), payload.len() as u64));
        prop_assert_eq!(opening.finish(), expected);
    }

    #[test]
    fn whatever_was_made_is_read(payload in proptest::collection::vec(any::<u8>(), 0..600), name in "[a-z]{1,9}/[a-z]{1,9}") {
        let (records, bucket) = (records(&[1]), memory("own"));
        let read = block_on(async {
            records.create(&*bucket, &name, &payload).await.unwrap();
            records.read(&*bucket, &name, payload.len() as u64).await.unwrap().unwrap()
        });
        prop_assert_eq!(read, payload);
    }
}
