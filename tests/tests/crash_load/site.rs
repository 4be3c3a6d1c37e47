//! An ingestor with two replicas: its keys, configurations and buckets, and the reports of its
//! clients.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use rayon::prelude::*;
use tallybox_client::Address;
use tallybox_client::post::{Options, Reporter};
use tallybox_client::traffic::{Metric, Traffic};
use tallybox_facilitator::config::Points;
use tallybox_ingestor::ingestor::records;
use tallybox_model::avro::{ContainerWriter, RecordKind};
use tallybox_model::client_config::{ClientConfig, ClientMetric};
use tallybox_model::registry::Registry;
use tallybox_model::report::{ReportUpload, StoredReport};
use tallybox_model::role::Role;
use tallybox_model::spool::{SlabName, SpoolNames};
use tallybox_model::time::BatchTime;
use tallybox_sandbox::config_files::Served;
use tallybox_sandbox::layout::{BucketKind, LOCALITY};
use tallybox_sandbox::world::World;
use tallybox_service::config::load;
use tallybox_transport::{BucketPlace, Records, SharedBucket};
use tempfile::TempDir;

const METRIC: &str = "CodeVerified-v1";
/// The `settle-secs` of the ingestor: the time between the end of a window and its planning, in
/// seconds. Short, so that the test ends soon.
pub const SETTLE_SECS: u64 = 3;
/// The number of slabs of each window that is filled in advance.
const SLABS_PER_WINDOW: usize = 2;

/// An ingestor with two replicas.
pub struct Site {
    directory: TempDir,
    pub world: World,
    pub spool: SharedBucket,
    pub mailboxes: [SharedBucket; 2],
    /// The configuration file and the address of each replica. The replicas share everything else.
    pub replicas: [(PathBuf, SocketAddr); 2],
    traffic: Traffic,
    metric: ClientMetric,
    records: Records,
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

impl Site {
    /// Creates a site. `location` returns the location of a bucket, in JSON, as a configuration
    /// contains it. The reports follow from `seed`.
    pub fn new(seed: u64, location: impl Fn(&str) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = World::create(directory.path(), None, Points::Pinned).unwrap();
        let metric = Metric::named(METRIC).unwrap();
        let traffic = Traffic::new(
            seed,
            metric,
            world.keys.for_clients(metric.bins()).unwrap(),
            None,
        )
        .unwrap();
        let open = |name: &str| {
            let location: BucketPlace = serde_json::from_str(&location(name)).unwrap();
            location.open(directory.path()).unwrap()
        };
        let replicas = [0, 1].map(|replica| configuration(&world, replica, &location));
        let registry = load::<Registry>(&directory.path().join("registry.yaml")).unwrap();
        Self {
            spool: open("spool"),
            mailboxes: ["first", "second"].map(open),
            replicas,
            metric: ClientConfig::metrics_of(&registry.value, |bins| world.keys.client_keys(bins))
                .remove(0),
            traffic,
            records: records(std::slice::from_ref(&world.keys.secret), "ingestor").unwrap(),
            world,
            directory,
        }
    }

    /// Returns all buckets by name.
    pub fn buckets(&self) -> [(&'static str, &SharedBucket); 3] {
        let [first, second] = &self.mailboxes;
        [("spool", &self.spool), ("first", first), ("second", second)]
    }

    /// Opens the file to which all processes append their logs.
    pub fn log(&self) -> File {
        let path = self.directory.path().join("log");
        File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap()
    }

    /// Returns the report with the number `index`.
    pub fn upload(&self, index: u64) -> ReportUpload {
        let report = self.traffic.packet(index).unwrap().report;
        report.into_upload(&self.metric, 2, None)
    }

    /// Returns a client of one of the replicas. Its deadline is short, so that it returns reports
    /// that are not acknowledged soon instead of retrying them.
    pub fn reporter(&self, replica: usize) -> Reporter {
        let mut options = Options::default();
        options.deadline = Duration::from_millis(300);
        let address: Address = format!("http://{}", self.replicas[replica].1)
            .parse()
            .unwrap();
        Reporter::new(&address, self.world.trust(8.0), options).unwrap()
    }

    /// Fills windows that have ended with slabs, as if earlier servers had written them. Some
    /// reports are written twice.
    pub async fn fill(&self, windows: u64, reports: u64) -> Vec<ReportUpload> {
        let all: Vec<ReportUpload> = (0..windows * reports)
            .into_par_iter()
            .map(|index| self.upload(index))
            .collect();
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let now = BatchTime::from_millis(now.as_millis() as i64).unwrap();
        for (window, reports_of_window) in all.chunks(reports as usize).enumerate() {
            // The window that has just ended may not be due yet, so it is left to the running
            // servers.
            let start = now
                .plus_minutes(window as i64 - windows as i64 - 1)
                .unwrap();
            for (number, chunk) in reports_of_window
                .chunks(reports_of_window.len().div_ceil(SLABS_PER_WINDOW))
                .enumerate()
            {
                // One report is repeated, as if its client had not received the response and had
                // retried.
                let earlier = &all[window * 7 % all.len()];
                self.slab(start, number as u64, chunk.iter().chain([earlier]))
                    .await;
            }
        }
        all
    }

    async fn slab<'r>(
        &self,
        window: BatchTime,
        number: u64,
        reports: impl Iterator<Item = &'r ReportUpload>,
    ) {
        let mut file = ContainerWriter::new(Vec::new(), RecordKind::StoredReport, [7; 16]);
        for upload in reports {
            file.append(&StoredReport::from_upload(upload, &upload.id))
                .unwrap();
        }
        let names = SpoolNames::new(format!("{LOCALITY}-ingestor").parse().unwrap());
        let name = SlabName::Received {
            window,
            replica: 7,
            number,
        };
        let bytes = file.finish().unwrap();
        let created = self
            .records
            .create(&*self.spool, &names.slab(&name), &bytes)
            .await;
        created.unwrap();
    }
}

/// Writes the configuration of a replica: that of the sandbox, with other buckets, and with small
/// batches, so that there are many.
fn configuration(
    world: &World,
    replica: usize,
    location: impl Fn(&str) -> String,
) -> (PathBuf, SocketAddr) {
    let served = Served {
        listen: free_address(),
        operations: free_address(),
        window_minutes: 1,
        settle_secs: SETTLE_SECS,
        ..Served::default()
    };
    let metrics = [*Metric::named(METRIC).unwrap()];
    world
        .layout
        .write_ingestor(&metrics, None, &served)
        .unwrap();
    let mut text = std::fs::read_to_string(world.layout.ingestor_config()).unwrap();
    let mailbox = |role| BucketKind::Ingestion.path(role);
    for (old, new) in [
        ("buckets/spool".to_owned(), location("spool")),
        (mailbox(Role::First), location("first")),
        (mailbox(Role::Second), location("second")),
        (
            "min-packets: 1".to_owned(),
            "min-packets: 1\n  max-packets: 50\n  partition-bytes: 40000".to_owned(),
        ),
    ] {
        assert_eq!(text.matches(&old).count(), 1, "{old}");
        text = text.replace(&old, &new);
    }
    let path = world.layout.root().join(format!("replica-{replica}.yaml"));
    std::fs::write(&path, text).unwrap();
    (path, served.listen)
}
