//! Golden bytes of rosters: the agreed set as JSON, header and entries as Avro. Existing bytes are
//! never edited; new ones may be added.
#![allow(clippy::unwrap_used, missing_docs)]

use tallybox_model::avro::{
    AvroError, ContainerReader, ContainerWriter, FileLimits, Record as _, decode_one, encode_one,
};
use tallybox_model::digest::Digest;
use tallybox_model::header::{BatchParameters, PRIME};
use tallybox_model::role::Role;
use tallybox_model::roster::{
    AgreedWindow, ChainReach, Claim, DatedBatch, Listing, ListingStatus, MOST_ENTRIES, OpenReason,
    RosterEntry, RosterHeader, RosterTerms, WindowName,
};
use tallybox_model::signature::BatchSignature;
use tallybox_model::time::Window;

fn name() -> WindowName {
    WindowName {
        aggregation: "kittens-seen".parse().unwrap(),
        window: Window::new(
            "2023/11/14/22/00".parse().unwrap(),
            "2023/11/14/23/00".parse().unwrap(),
        )
        .unwrap(),
    }
}

fn batch() -> DatedBatch {
    DatedBatch {
        date: "2023/11/14/22/09".parse().unwrap(),
        id: "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap(),
    }
}

fn claim() -> Claim {
    Claim {
        parameters: BatchParameters {
            name: "kittens-seen".to_owned(),
            bins: 8,
            epsilon: 12.0,
            prime: PRIME,
            number_of_servers: 2,
            hamming_weight: Some(1),
        },
        accepted: 20,
        digest: Digest::sha256(b"ids"),
    }
}

#[test]
fn a_header_has_these_bytes() {
    let terms = RosterTerms {
        origin: "2023/11/01/00/00".parse().unwrap(),
        period_minutes: 60,
        replay_horizon: 112,
        minimum: 100,
        maximum_age: 56,
    };
    let chain = ChainReach {
        start: "2023/11/14/20/00".parse().unwrap(),
        agreed_until: "2023/11/14/22/00".parse().unwrap(),
    };
    let instance = "us-ca-example".parse().unwrap();
    let header = RosterHeader::new(
        &instance,
        &name(),
        Role::Second,
        chain,
        &terms,
        Digest::empty(),
    );
    let file = encode_one(&header, [7; 16]).unwrap();
    assert_eq!(Digest::sha256(&file).to_hex(), HEADER);
    let read: RosterHeader = decode_one(&file, &FileLimits::default()).unwrap();
    assert_eq!((read.terms(), read.chain()), (Some(terms), Some(chain)));
    assert!(
        read.is_of(&instance, &name(), Role::Second)
            && !read.is_of(&instance, &name(), Role::First)
    );
    assert!(!read.is_of(&"other".parse().unwrap(), &name(), Role::Second));
}

#[test]
fn entries_have_these_bytes() {
    for (listing, digest) in [
        (Listing::Summable(claim()), SUMMABLE),
        (Listing::Open(OpenReason::NoValidation), OPEN),
    ] {
        let entry = RosterEntry::new(batch(), &listing);
        let file = encode_one(&entry, [7; 16]).unwrap();
        assert_eq!(Digest::sha256(&file).to_hex(), digest, "{listing:?}");
        let read: RosterEntry = decode_one(&file, &FileLimits::default()).unwrap();
        assert_eq!(
            (read.batch(), read.listing()),
            (Some(batch()), Some(listing))
        );
    }
    let mut newer = RosterEntry::new(batch(), &Listing::Open(OpenReason::Copied));
    newer.reason = Some("of-later-programs".to_owned());
    assert_eq!(newer.listing(), Some(Listing::Open(OpenReason::Other)));
    newer.batch_date += 1;
    assert_eq!(newer.batch(), None, "no whole minute");
    let mut negative = RosterEntry::new(batch(), &Listing::Summable(claim()));
    negative.accepted = -1;
    assert_eq!(negative.listing(), None);
}

/// The largest roster that a writer produces, with the longest names, is within the limits of a
/// reader. One more entry exceeds them.
#[test]
fn the_largest_roster_is_read_and_no_larger_one() {
    let mut claim = claim();
    claim.parameters.name = "n".repeat(200);
    let listing = Listing::Summable(claim);
    let signature_of = |entries: u64| {
        let mut file = ContainerWriter::new(Vec::new(), RosterEntry::KIND, [7; 16]);
        let entry = RosterEntry::new(batch(), &listing);
        for _ in 0..entries {
            file.append(&entry).unwrap();
        }
        let signature = BatchSignature {
            batch_header_signature: vec![7; 72],
            key_identifier: "key".to_owned(),
            batch_header: Some(vec![7; 2000]),
            packets: Some(file.finish().unwrap()),
        };
        encode_one(&signature, [7; 16]).unwrap()
    };
    let limits = FileLimits::default().for_roster();
    let read = |file: &[u8]| -> Result<u64, AvroError> {
        let signature: BatchSignature = decode_one(file, &limits.for_signature())?;
        let (_, entries) = signature.inline().unwrap();
        let mut reader = ContainerReader::open(&entries[..], &limits)?;
        let mut records = 0;
        while let Some(block) = reader.next_block()? {
            records += block.records;
        }
        Ok(records)
    };
    let largest = signature_of(MOST_ENTRIES);
    assert!((largest.len() as u64) < limits.object_bytes);
    assert_eq!(read(&largest).unwrap(), MOST_ENTRIES);
    assert!(read(&signature_of(MOST_ENTRIES + 1)).is_err());
    let tight = FileLimits {
        file_bytes: 100,
        ..FileLimits::default()
    };
    let one = RosterEntry::new(batch(), &listing);
    let file = encode_one(&one, [7; 16]).unwrap();
    assert!(matches!(
        decode_one::<RosterEntry>(&file, &tight),
        Err(AvroError::Limit { .. })
    ));
}

#[test]
fn claims_are_compared_bit_for_bit() {
    let nan = || {
        let mut claim = claim();
        claim.parameters.epsilon = f64::NAN;
        claim
    };
    assert_eq!(nan(), nan());
    let mut zero = claim();
    zero.parameters.epsilon = 0.0;
    let mut minus_zero = claim();
    minus_zero.parameters.epsilon = -0.0;
    assert_ne!(zero, minus_zero);
}

#[test]
fn what_is_agreed_has_this_form() {
    let agreed: AgreedWindow = serde_json::from_str(AGREED).unwrap();
    assert_eq!(agreed.batches[0].batch, batch());
    assert_eq!(agreed.batches[0].claim, claim());
    assert_eq!(
        agreed.expired[0].last_statuses,
        [None, Some(ListingStatus::Open(OpenReason::NoValidation))]
    );
    assert_eq!(
        agreed.expired[1].last_statuses[0],
        Some(ListingStatus::Summable)
    );
    assert_eq!(serde_json::to_string_pretty(&agreed).unwrap(), AGREED);
}

const HEADER: &str = "97b8ef460a0f79e711ec0f7f885cbcd7b0116df3240206ea110a8efd4951ec8c";
const SUMMABLE: &str = "efa9ed6ab424f964a402d2ed68d7eafd66b82314d9b8e623e06192124efc141d";
const OPEN: &str = "722c277b8db0a6013900fd540443526b949687a0877faded58d646c6f31da48f";
const AGREED: &str = r#"{
  "format": 1,
  "window": {
    "start": "2023/11/14/22/00",
    "end": "2023/11/14/23/00"
  },
  "batches": [
    {
      "date": "2023/11/14/22/09",
      "batch": "00112233-4455-6677-8899-aabbccddeeff",
      "parameters": {
        "name": "kittens-seen",
        "bins": 8,
        "epsilon-bits": 4622945017495814144,
        "prime": 4293918721,
        "number-of-servers": 2,
        "hamming-weight": 1
      },
      "accepted": 20,
      "digest": "23466067f626bf8a3ae1a39cdf81f31303220b331b5064c6e00662dcc34deaaf",
      "duplicates": 0
    }
  ],
  "counted": 20,
  "minimum": 1,
  "below-minimum": null,
  "excluded": [],
  "expired": [
    {
      "date": "2023/11/14/20/09",
      "batch": "00000000-0000-4000-8000-000000000001",
      "said": [
        null,
        "no-validation"
      ]
    },
    {
      "date": "2023/11/14/20/10",
      "batch": "00000000-0000-4000-8000-000000000002",
      "said": [
        "summable",
        null
      ]
    }
  ],
  "several-dates": [
    {
      "batch": "00000000-0000-4000-8000-000000000002",
      "dates": [
        "2023/11/14/20/10",
        "2023/11/14/21/10"
      ]
    }
  ],
  "terms": [
    {
      "origin": "2023/11/01/00/00",
      "period-minutes": 60,
      "replay-horizon": 112,
      "minimum": 100,
      "maximum-age": 56
    },
    {
      "origin": "2023/11/01/00/00",
      "period-minutes": 60,
      "replay-horizon": 112,
      "minimum": 1,
      "maximum-age": 60
    }
  ]
}"#;
