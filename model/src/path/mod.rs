//! The names of all objects in buckets. No other module composes or parses an object name.
//!
//! Names are relative to a bucket and its prefix. `DATE` stands for `YYYY/MM/DD/HH/MM`; ids are
//! lower-case and hyphenated.

mod batch;
mod own_bucket;
mod own_object;
mod sum_part;
mod unconfirmed;

pub use batch::{BatchKind, BatchName, BatchObjects, BatchPart, summed_range, window_range};
pub use own_bucket::{
    FailedProofs, LEADER_DIRECTORY, bucket_created, failed_proofs_directory, leader, leader_epoch,
    pinned_point,
};
pub use own_object::OwnObject;
pub use sum_part::SumPartName;
pub use unconfirmed::Unconfirmed;

/// Returns a path and every part of it that follows a slash, longest first: each may be the key of
/// an object in a bucket that the rest of the path names.
pub fn possible_keys(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |key| Some(key.split_once('/')?.1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::extensions::ROSTERS_FROM;
    use crate::id::AggregationId;
    use crate::role::Role;
    use crate::roster::{RosterObject, WindowName, chain};
    use crate::time::Window;

    fn name() -> BatchName {
        BatchName::parse("kittens-seen/2020/10/31/20/29/00112233-4455-6677-8899-aabbccddeeff")
            .unwrap()
    }

    #[test]
    fn directories_of_the_own_bucket_cannot_be_aggregations() {
        let time = |text: &str| text.parse().unwrap();
        let window = WindowName {
            aggregation: name().aggregation,
            window: Window::new(time("2020/10/31/20/00"), time("2020/10/31/21/00")).unwrap(),
        };
        let instance = "us-xx-ingestor".parse().unwrap();
        let sum_part = SumPartName {
            instance: "us-xx-ingestor".parse().unwrap(),
            aggregation: name().aggregation,
            window: window.window,
            writer: Role::First,
        };
        let [note, ..] = Unconfirmed::of_validation(&name());
        let keys = [
            name().first_seen(),
            name().summed(),
            sum_part.fixed(),
            note.note(),
            pinned_point(&instance, "key"),
            failed_proofs_directory(&instance),
            bucket_created(&instance),
            leader(1),
            window.roster(Role::First),
            window.done(),
            window.given_up(),
            crate::extensions::ANNOUNCED.to_owned(),
            crate::task::TaskMarker::DIRECTORY.to_owned(),
        ];
        for key in keys {
            let directory = key.split('/').next().unwrap();
            assert!(directory.parse::<AggregationId>().is_err(), "{key}");
        }
    }

    #[test]
    fn every_object_of_an_own_bucket_is_known_by_its_name() {
        let window = WindowName::parse("kittens-seen/202010312000-202010312100").unwrap();
        let instance = "us-xx-ingestor".parse().unwrap();
        let part = SumPartName::parse(&format!("us-xx-ingestor/{window}"), Role::First).unwrap();
        let [note, ..] = Unconfirmed::of_validation(&name());
        let count = FailedProofs {
            instance: "us-xx-ingestor".parse().unwrap(),
            key: "0011223344556677".to_owned(),
            batch: name(),
            failed: 12,
        };
        let prepared = OwnObject::Prepared {
            batch: name(),
            sealing_key: "0123abcd".to_owned(),
        };
        let agreed = OwnObject::Window(window.clone(), RosterObject::Agreed);
        for (key, object) in [
            (name().prepared("0123abcd"), prepared),
            (part.fixed(), OwnObject::FixedSumPart),
            (pinned_point(&instance, "key"), OwnObject::Point),
            (name().first_seen(), OwnObject::FirstSeen),
            (name().summed(), OwnObject::Summed),
            (count.object(), OwnObject::FailedProofs(count)),
            (note.note(), OwnObject::Unconfirmed),
            (bucket_created(&instance), OwnObject::BucketCreated),
            (chain(&window.aggregation), OwnObject::Chain),
            (window.agreed(), agreed),
            (
                window.second_roster(Role::First, "00ff"),
                OwnObject::SecondRoster,
            ),
            (window.batches(), OwnObject::WindowBatches),
            (window.released(3, 40), OwnObject::Released),
            (window.given_up(), OwnObject::GivenUp),
            (window.acknowledged(), OwnObject::Acknowledged),
            (ROSTERS_FROM.to_owned(), OwnObject::RosterSwitch),
            (leader(7), OwnObject::Leader),
        ] {
            assert_eq!(OwnObject::parse(&key), Some(object), "{key}");
            assert_eq!(OwnObject::parse(&format!("own/{key}")), None, "{key}");
            assert!(possible_keys(&format!("/srv/own/{key}")).any(|other| other == key));
        }
        for other in [
            name().ingestion().header,
            "windows/i/202311142200.done".to_owned(),
        ] {
            assert_eq!(OwnObject::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn the_parts_of_a_batch_name_each_other() {
        let objects = name().validation(Role::Second);
        for part in BatchPart::ALL {
            let key = format!("prefix/{}", objects.get(part));
            let (stem, kind, found) = BatchKind::split(&key).unwrap();
            assert_eq!((kind, found), (BatchKind::Validation(Role::Second), part));
            assert_eq!(
                kind.objects(stem).signature,
                format!("prefix/{}", objects.signature)
            );
        }
        let (stem, kind, _) = BatchKind::split("i/a/w.invalid_uuid_1.avro").unwrap();
        assert_eq!(kind.objects(stem).header, "i/a/w.sum_1");
        for other in ["a/.batch", "a/b", "a/b.avro", "a/b.sig", "x.prepared"] {
            assert_eq!(BatchKind::split(other), None, "{other}");
        }
    }

    #[test]
    fn notes_on_unconfirmed_objects_are_read_as_they_are_written() {
        let time = |text: &str| text.parse().unwrap();
        let window = WindowName {
            aggregation: name().aggregation,
            window: Window::new(time("2020/10/31/20/00"), time("2020/10/31/21/00")).unwrap(),
        };
        let notes = Unconfirmed::of_validation(&name()).into_iter();
        for note in notes.chain(Unconfirmed::of_sum_part(&window)) {
            let key = note.note();
            assert!(key.starts_with("unconfirmed/kittens-seen/"), "{key}");
            assert_eq!(Unconfirmed::parse(&key), Some(note));
        }
        for other in [
            "unconfirmed/kittens-seen/x.header",
            "unconfirmed/kittens-seen/2020.other",
            "rosters/a/b.header",
        ] {
            assert_eq!(Unconfirmed::parse(other), None, "{other}");
        }
    }

    #[test]
    fn batches_are_named_as_the_predecessor_names_them() {
        let stem = "kittens-seen/2020/10/31/20/29/00112233-4455-6677-8899-aabbccddeeff";
        let ingestion = name().ingestion();
        assert_eq!(ingestion.header, format!("{stem}.batch"));
        assert_eq!(ingestion.packets, format!("{stem}.batch.avro"));
        assert_eq!(ingestion.signature, format!("{stem}.batch.sig"));
        assert_eq!(
            name().validation(Role::Second).packets,
            format!("{stem}.validity_1.avro")
        );
        assert_eq!(
            BatchName::from_ingestion_signature(&ingestion.signature),
            Some(name())
        );
    }

    #[test]
    fn every_object_of_a_batch_is_known_by_its_name() {
        let (ingestion, validation) = (name().ingestion(), name().validation(Role::First));
        let parts = [BatchPart::Header, BatchPart::Packets, BatchPart::Signature];
        let keys = |objects: BatchObjects| [objects.header, objects.packets, objects.signature];
        for (key, part) in keys(ingestion).iter().zip(parts) {
            assert_eq!(
                BatchName::ingestion_part(key),
                Some((name(), part)),
                "{key}"
            );
            assert_eq!(BatchName::from_ingestion_object(key), Some(name()), "{key}");
            assert_eq!(BatchName::validation_part(key, Role::First), None, "{key}");
        }
        for (key, part) in keys(validation).iter().zip(parts) {
            assert_eq!(
                BatchName::validation_part(key, Role::First),
                Some((name(), part)),
                "{key}"
            );
            assert_eq!(BatchName::validation_part(key, Role::Second), None, "{key}");
            assert_eq!(BatchName::ingestion_part(key), None, "{key}");
        }
        assert_eq!(
            BatchName::from_prepared(&name().prepared("0123abcd")),
            Some(name())
        );
        for key in [format!("{}.prepared", name()), format!("{}.k", name())] {
            assert_eq!(BatchName::from_prepared(&key), None, "{key}");
        }
        assert_eq!(BatchName::from_summed(&name().summed()), Some(name()));
        assert_eq!(BatchName::from_summed(&name().to_string()), None);
    }

    #[test]
    fn foreign_names_are_no_batches() {
        for key in [
            "x.batch.sig",
            "kittens-seen/2020/10/31/20/29/00112233445566778899aabbccddeeff.batch.sig",
            "kittens-seen/2020/10/31/20/00112233-4455-6677-8899-aabbccddeeff.batch.sig",
            "kittens-seen/2020/10/31/20/29/00112233-4455-6677-8899-aabbccddeeff.batch",
            "task-markers/2020/10/31/20/29/00112233-4455-6677-8899-aabbccddeeff.batch.sig",
        ] {
            assert_eq!(BatchName::from_ingestion_signature(key), None, "{key}");
        }
    }

    #[test]
    fn epochs_are_read_as_they_are_written() {
        assert_eq!(leader(7), "leader/0000000000000007");
        assert_eq!(leader_epoch(&leader(7)), Some(7));
        for key in [
            "leader/7",
            "leader/000000000000000x",
            "leaders/0000000000000007",
        ] {
            assert_eq!(leader_epoch(key), None, "{key}");
        }
    }

    #[test]
    fn counts_of_failed_proofs_are_read_as_they_are_written() {
        let object = format!(
            "failed-proofs/us-xx-ingestor/2bad0fd610d99eae/{}.17",
            name()
        );
        let count = FailedProofs::parse(&object).unwrap();
        assert_eq!((count.failed, count.key.as_str()), (17, "2bad0fd610d99eae"));
        assert_eq!(count.batch, name());
        assert_eq!(count.object(), object);
        for other in [
            format!("{object}0x"),
            object.replace(".17", ".017"),
            object.replace(".17", ""),
            object.replace("kittens", "org/kittens"),
            object.replace("failed-proofs", "points"),
        ] {
            assert_eq!(FailedProofs::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn the_packets_of_a_sum_part_have_a_name_of_their_own() {
        let window = Window::new(
            "2023/11/14/22/00".parse().unwrap(),
            "2023/11/14/23/00".parse().unwrap(),
        )
        .unwrap();
        let part = SumPartName {
            instance: "interop".parse().unwrap(),
            aggregation: "org.example.dim8".parse().unwrap(),
            window,
            writer: Role::First,
        };
        let stem = "interop/org.example.dim8/202311142200-202311142300";
        assert_eq!(part.objects().header, format!("{stem}.sum_0"));
        assert_eq!(
            part.objects().packets,
            format!("{stem}.invalid_uuid_0.avro")
        );
        assert_eq!(part.objects().signature, format!("{stem}.sum_0.sig"));
    }
}
