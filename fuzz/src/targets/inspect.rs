//! `inspect` of any object under any kind of name: the output for a terminal contains no control
//! characters, whatever the object contains.

use crate::world::World;
use tallybox_facilitator::inspect::{Inspector, Target};
use tallybox_model::avro::RecordKind;
use tallybox_model::role::Role;
use tallybox_service::chart::Screen;
use tallybox_transport::{memory, publish_bytes};

/// A name of each kind; the first ones are in the order of [`RecordKind::ALL`].
const NAMES: [&str; 12] = [
    "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.batch",
    "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.batch.avro",
    "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.validity_1",
    "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.validity_1.avro",
    "fuzz/fuzzed/202311142200-202311142300.sum_1",
    "fuzz/fuzzed/202311142200-202311142300.invalid_uuid_1.avro",
    "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.batch.sig",
    "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.validity_1.sig",
    "fuzz/fuzzed/202311142200-202311142300.sum_1.sig",
    "global-manifest.json",
    "key.pem",
    "anything",
];

thread_local! {
    static WORLD: (World, [Inspector; 2]) = {
        let world = World::new(Role::First);
        let inspectors = [Inspector::new(None), Inspector::new(Some(world.processor.clone()))];
        (world, inspectors)
    };
}

pub fn run(data: &[u8]) {
    let (name, data) = named(data);
    let key = NAMES[name % NAMES.len()].to_owned();
    WORLD.with(|(world, inspectors)| {
        world.runtime.block_on(async {
            let bucket = memory("");
            publish_bytes(&*bucket, &key, data.to_vec().into(), false).await.expect("an empty bucket");
            let target = Target { bucket, shown: key.clone(), key };
            for inspector in inspectors {
                let report = inspector.inspect(&target).await.expect("it is there");
                let shown = report.lay_out(Screen { width: Screen::PLAIN, colour: false });
                assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
                serde_json::to_vec(&report).expect("a report is JSON");
            }
        });
    });
}

/// Returns the index of a name, and the content. A file of records is unchanged and gets the name
/// of its kind. For any other input, the first byte selects the name.
fn named(data: &[u8]) -> (usize, &[u8]) {
    let names = |kind: &RecordKind| data.windows(kind.name().len()).any(|part| part == kind.name().as_bytes());
    match (RecordKind::ALL.iter().position(names), data.split_first()) {
        (Some(index), _) if data.starts_with(b"Obj") => (index, data),
        (_, Some((name, data))) => (usize::from(*name), data),
        _ => (0, data),
    }
}
