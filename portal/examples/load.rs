//! Load measurements of the portal's store and of `rebuild`, with synthetic windows.
//!
//! ```text
//! load rows COUNT URL        loads rows into a database, and times the queries of pages
//! load evidence COUNT DIR    writes signed evidence objects, and rebuilds a database from them
//! ```
//!
//! The windows are those of 22 localities with 2 ingestors each, 13 metrics, 3 windows a day.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use tallybox_crypto::SigningKey;
use tallybox_model::avro::encode_one;
use tallybox_model::digest::Digest;
use tallybox_model::header::{PRIME, SumPart};
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};
use tallybox_portal::config::{Config, DatabaseUrl};
use tallybox_portal::evidence::{Evidence, EvidenceName};
use tallybox_portal::pair::PartFiles;
use tallybox_portal::rebuild::rebuild;
use tallybox_portal::store::{Store, SumState, WindowFilter, WindowRow};
use tallybox_service::clock::Clock;
use tallybox_service::progress::Progress;
use tallybox_transport::batch::signature_file;

const INSTANCES: usize = 44;
const METRICS: usize = 13;
const BINS: u64 = 20;
const PROCESSORS: [&str; 2] = ["pha", "facilitator"];

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, count, place] = arguments.as_slice() else {
        panic!("load rows COUNT URL, or load evidence COUNT DIR");
    };
    let count: usize = count.parse().unwrap();
    match mode.as_str() {
        "rows" => rows(count, place).await,
        "evidence" => evidence(count, Path::new(place)).await,
        other => panic!("unknown mode {other}"),
    }
}

/// The name of the window with this number, in the order of listings.
fn name(number: usize, count: usize) -> EvidenceName {
    let each = count.div_ceil(INSTANCES * METRICS);
    let (series, index) = (number / each, number % each);
    let start: BatchTime = "2021/01/01/00/00".parse().unwrap();
    let time = |index: usize| start.plus_minutes(index as i64 * 480).unwrap();
    EvidenceName {
        source: "load".to_owned(),
        instance: format!("us-{:02}-i{}", series / METRICS / 2, series / METRICS % 2)
            .parse()
            .unwrap(),
        aggregation: format!("Metric{:02}-v1", series % METRICS).parse().unwrap(),
        window: Window::new(time(index), time(index + 1)).unwrap(),
        version: 0,
    }
}

fn row(number: usize, count: usize) -> WindowRow {
    let name = name(number, count);
    WindowRow {
        evidence: name.to_string(),
        instance: name.instance,
        aggregation: name.aggregation,
        window: name.window,
        version: 0,
        state: SumState::Summed,
        reports: 10_000,
        rejected: 3,
        batches: 12,
        epsilon: 12.0,
        sums: (0..BINS)
            .map(|bin| 500 + bin * 7 + number as u64 % 90)
            .collect(),
        added: 1_700_000_000_000 + number as i64,
    }
}

async fn rows(count: usize, url: &str) {
    let url = if url.starts_with("postgres") {
        DatabaseUrl::postgres(url)
    } else {
        DatabaseUrl::sqlite(Path::new(url))
    };
    let store = Store::open(&url).await.unwrap();
    let mut generating = 0.0;
    let mark = Mark::now();
    let loader = store.load().await.unwrap();
    for start in (0..count).step_by(5_000) {
        let before = cpu_seconds();
        let rows: Vec<WindowRow> = (start..count.min(start + 5_000))
            .map(|number| row(number, count))
            .collect();
        generating += cpu_seconds() - before;
        loader.add(&rows).await.unwrap();
    }
    println!("inserted: {}", mark.rate(count, "rows"));
    loader.finish().await.unwrap();
    println!("with indices: {}", mark.rate(count, "rows"));
    println!("of it {generating:.2} s of processor time for making the rows");
    queries(&store, count).await;
    store.close().await;
}

async fn queries(store: &Store, count: usize) {
    let last = row(count - 1, count);
    let recent = last.window.start().plus_minutes(-90 * 24 * 60);
    let metric = WindowFilter {
        aggregation: Some(last.aggregation.clone()),
        from: recent,
        ..WindowFilter::default()
    };
    let series = WindowFilter {
        instances: vec![last.instance.clone()],
        from: None,
        ..metric.clone()
    };
    for round in ["cold", "warm"] {
        let mark = Mark::now();
        let found = store.windows(&series).await.unwrap().len();
        println!(
            "{round}: one series, all windows ({found}): {}",
            mark.millis()
        );
        let mark = Mark::now();
        let found = store.windows(&metric).await.unwrap().len();
        println!("{round}: one metric, 90 days ({found}): {}", mark.millis());
        let mark = Mark::now();
        store.metrics().await.unwrap();
        println!("{round}: metrics: {}", mark.millis());
        let mark = Mark::now();
        store.latest(50).await.unwrap();
        println!("{round}: latest 50: {}", mark.millis());
        let mark = Mark::now();
        store.one_sided().await.unwrap();
        println!("{round}: one-sided: {}", mark.millis());
        let mark = Mark::now();
        let window = store.window(&last.instance, &last.aggregation, &last.window);
        window.await.unwrap();
        println!("{round}: one window: {}", mark.millis());
    }
}

fn vectors(file: &str) -> String {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/testdata/vectors/keys");
    std::fs::read_to_string(vectors.join(file)).unwrap()
}

async fn evidence(count: usize, folder: &Path) {
    let keys = PROCESSORS.map(|name| {
        let key = vectors(&format!("{name}-signing.pkcs8.b64"));
        std::fs::create_dir_all(folder.join("keys")).unwrap();
        let public = vectors(&format!("{name}-signing.spki.pem"));
        std::fs::write(folder.join(format!("keys/{name}.pem")), public).unwrap();
        SigningKey::parse(key.trim()).unwrap()
    });
    let text = "evidence: evidence\nsources:\n  - name: load\n    first: { mailbox: a, keys: { pha: keys/pha.pem } }\n    second: { mailbox: b, keys: { facilitator: keys/facilitator.pem } }\n";
    let file = folder.join("portal.yaml");
    std::fs::write(&file, text).unwrap();
    let mark = Mark::now();
    for number in 0..count {
        let evidence = signed(name(number, count), number, &keys);
        let file = folder.join("evidence").join(evidence.name.to_string());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, evidence.encode()).unwrap();
    }
    println!("written: {}", mark.rate(count, "evidence objects"));
    let config = Config::load(&file).unwrap();
    let url = config.value.database.url(&config.directory).unwrap();
    let store = Store::open(&url).await.unwrap();
    let mark = Mark::now();
    let (clock, progress) = (Clock::system(), Progress::hidden());
    let rebuilt = rebuild(&config, &store, &clock, &progress).await.unwrap();
    assert_eq!((rebuilt.windows, rebuilt.faults.count), (count as u64, 0));
    println!("rebuilt: {}", mark.rate(count, "windows"));
    println!("peak memory: {}", peak_memory());
}

fn signed(name: EvidenceName, number: usize, keys: &[SigningKey; 2]) -> Evidence {
    let parts = Role::ALL.map(|writer| {
        let sum = (0..BINS as i64).map(|bin| {
            let blinding = (number as i64 * 7_919 + bin * 104_729) % PRIME;
            match writer {
                Role::First => blinding,
                Role::Second => (500 + bin - blinding).rem_euclid(PRIME),
            }
        });
        let batch = |index: u32| {
            let id = format!("00000000-0000-4000-{index:04x}-{number:012x}");
            id.parse().unwrap()
        };
        let header = SumPart {
            batch_uuids: (0..12).map(batch).collect(),
            name: name.aggregation.to_string(),
            bins: BINS as i32,
            epsilon: 12.0,
            prime: PRIME,
            number_of_servers: 2,
            hamming_weight: Some(1),
            sum: sum.collect(),
            aggregation_start_time: name.window.start().millis(),
            aggregation_end_time: name.window.end().millis(),
            packet_file_digest: Digest::empty(),
            total_individual_clients: 10_000,
        };
        let header = Bytes::from(encode_one(&header, [7; 16]).unwrap());
        let index = writer.index();
        let key = (PROCESSORS[index], &keys[index]);
        let signature = signature_file("part.sig", 1, &header, None, key).unwrap();
        PartFiles {
            signature: Bytes::from(signature),
            header,
            packets: Bytes::new(),
        }
    });
    Evidence { name, parts }
}

/// A point in time, and the processor time of all threads until then.
struct Mark(Instant, f64);

impl Mark {
    fn now() -> Self {
        Self(Instant::now(), cpu_seconds())
    }

    /// What was done since: a rate of each processor second, and of each second.
    fn rate(&self, count: usize, what: &str) -> String {
        let (elapsed, cpu) = (self.0.elapsed().as_secs_f64(), cpu_seconds() - self.1);
        let count_f = count as f64;
        format!(
            "{count} {what} in {elapsed:.2} s ({:.0}/s), {cpu:.2} s of processor time ({:.0}/s)",
            count_f / elapsed,
            count_f / cpu
        )
    }

    /// The time since, in milliseconds.
    fn millis(&self) -> String {
        let (elapsed, cpu) = (self.0.elapsed().as_secs_f64(), cpu_seconds() - self.1);
        format!("{:.1} ms (processor: {:.0} ms)", elapsed * 1e3, cpu * 1e3)
    }
}

/// The processor time of this process in seconds, as Linux states it, in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks = fields.split(' ').skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<f64>().unwrap_or(0.0))
        .sum::<f64>()
        / 100.0
}

/// The peak resident memory, as Linux states it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.unwrap_or("unknown").to_owned()
}
