//! Configuration files of a processor: strict, and faults said in one line.

use crate::forge::printable;
use std::path::PathBuf;
use std::sync::OnceLock;
use tallybox_facilitator::config::Config;
use tallybox_service::config::{Loaded, load};
use tallybox_transport::BucketUrl;

pub fn run(data: &[u8]) {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let file = FILE.get_or_init(|| folder.join(format!("tallybox-fuzz-{}.yaml", std::process::id())));
    std::fs::write(file, data).expect("a temporary file can be written");
    let loaded = load::<Config>(file);
    // Not kept for the end, since a crash has no end.
    std::fs::remove_file(file).expect("the temporary file is there");
    match loaded {
        Ok(Loaded { value, directory }) => {
            for place in [&value.buckets.ingestion, &value.buckets.own, &value.buckets.sum_parts] {
                drop(BucketUrl::parse(place.parts().0, &directory));
            }
        }
        Err(error) => printable(&error),
    }
}
