//! `inspect` of any object under any kind of name: what it shows on a terminal is text, whatever is in the object.

use crate::forge::take;
use crate::world::World;
use tallybox_facilitator::inspect::{Inspector, Target};
use tallybox_model::role::Role;
use tallybox_transport::{memory, publish_bytes};

/// A name of each kind.
const NAMES: [&str; 12] = [
    "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.batch",
    "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.batch.avro",
    "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.batch.sig",
    "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.validity_1",
    "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.validity_1.avro",
    "fuzzed/2023/11/14/22/21/0000bada-0001-4000-8000-000002d9e391.validity_1.sig",
    "fuzz/fuzzed/202311142200-202311142300.sum_1",
    "fuzz/fuzzed/202311142200-202311142300.invalid_uuid_1.avro",
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

pub fn run(mut data: &[u8]) {
    let [name] = take(&mut data);
    let key = NAMES[usize::from(name) % NAMES.len()].to_owned();
    WORLD.with(|(world, inspectors)| {
        world.runtime.block_on(async {
            let bucket = memory("");
            publish_bytes(&*bucket, &key, data.to_vec().into(), false).await.expect("an empty bucket");
            let target = Target { bucket, shown: key.clone(), key };
            for inspector in inspectors {
                let report = inspector.inspect(&target).await.expect("it is there");
                let shown = report.to_string();
                assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
                serde_json::to_vec(&report).expect("a report is JSON");
            }
        });
    });
}
