//! Fills a spool with generated reports, to measure batching without the server. The batcher opens
//! no shares, so random bytes of the right length replace sealed shares.
//!
//! `fill_spool CONFIG LOCALITY YYYY/MM/DD/HH/MM REPORTS`
#![allow(clippy::expect_used)]

use std::path::Path;

use rand::{Rng, RngExt};
use tallybox_ingestor::config::Config;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::avro::{ContainerWriter, RecordKind};
use tallybox_model::header::PRIME;
use tallybox_model::report::StoredReport;
use tallybox_model::spool::SlabName;
use tallybox_service::config::load;

/// Reports per slab: about as many as a busy server accepts in a tenth of a second.
const SLAB: u64 = 6000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, locality, window, reports] = arguments.as_slice() else {
        eprintln!("usage: fill_spool CONFIG LOCALITY YYYY/MM/DD/HH/MM REPORTS");
        std::process::exit(2);
    };
    let config = load::<Config>(Path::new(config)).expect("the configuration of an ingestor");
    let ingestor = Ingestor::open(&config).expect("a configuration that opens");
    let names = &ingestor.localities.get(locality).expect("a locality").names;
    let window = window.parse().expect("a minute");
    let mut left: u64 = reports.parse().expect("a number");
    for number in 0.. {
        if left == 0 {
            return;
        }
        let name = SlabName::Received {
            window,
            replica: 1,
            number,
        };
        let file = slab(left.min(SLAB));
        left -= left.min(SLAB);
        let created = ingestor
            .records
            .create(&*ingestor.spool, &names.slab(&name), &file)
            .await;
        created.expect("a directory that can be written");
    }
}

/// Returns a slab of reports of an 8-bin metric.
fn slab(reports: u64) -> Vec<u8> {
    let mut rng = rand::rng();
    let mut file = ContainerWriter::new(Vec::new(), RecordKind::StoredReport, rng.random());
    let (mut first, mut second) = ([0; 189], [0; 113]);
    for _ in 0..reports {
        rng.fill_bytes(&mut first);
        rng.fill_bytes(&mut second);
        let id = uuid::Builder::from_random_bytes(rng.random())
            .into_uuid()
            .to_string();
        let report = StoredReport {
            id: &id,
            metric: "bench-v1",
            bins: 8,
            epsilon: 8.0,
            prime: PRIME,
            number_of_servers: 2,
            hamming_weight: None,
            key_id_first: "first-1",
            key_id_second: "second-1",
            payload_first: &first,
            payload_second: &second,
            carried_since: None,
        };
        file.append(&report).expect("a report fits its schema");
    }
    file.finish().expect("memory does not fail")
}
