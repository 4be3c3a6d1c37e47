//! A portal with real sum parts: mailboxes, keys, evidence and database in a temporary folder.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use tallybox_crypto::SigningKey;
use tallybox_model::avro::{FileLimits, decode_one, encode_one};
use tallybox_model::header::SumPart;
use tallybox_model::path::SumPartName;
use tallybox_model::role::Role;
use tallybox_portal::collect::{CollectOptions, Collected, SumCollector};
use tallybox_portal::config::Config;
use tallybox_portal::store::{FindingRow, Store, WindowFilter, WindowRow};
use tallybox_service::clock::Clock;
use tallybox_service::config::Loaded;
use tallybox_service::progress::Progress;
use tallybox_transport::batch::signature_file;

/// The window of every case of the vectors.
pub(crate) const WINDOW: &str = "202311142200-202311142300";
/// The cases of the vectors whose sum parts can be added.
pub(crate) const CASES: [&str; 7] = [
    "dim2",
    "dim8",
    "dim250",
    "dim256",
    "single-object",
    "key-rotation",
    "codec-deflate",
];
const PROCESSORS: [&str; 2] = ["pha", "facilitator"];

pub(crate) fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/testdata/vectors")
}

/// The key with which a processor signs.
pub(crate) fn signing(role: Role) -> SigningKey {
    let name = PROCESSORS[role.index()];
    let file = vectors().join(format!("keys/{name}-signing.pkcs8.b64"));
    SigningKey::parse(std::fs::read_to_string(file).unwrap().trim()).unwrap()
}

/// The name of a processor's sum part of a case.
pub(crate) fn part(case: &str, role: Role) -> SumPartName {
    SumPartName::parse(&format!("interop/org.example.{case}/{WINDOW}"), role).unwrap()
}

/// The files of a processor's sum part of a case: packets, header, signature.
pub(crate) fn files(case: &str, role: Role) -> [Vec<u8>; 3] {
    let folder = vectors()
        .join(case)
        .join(format!("sum-{}", PROCESSORS[role.index()]));
    let objects = part(case, role).objects();
    [objects.packets, objects.header, objects.signature]
        .map(|object| std::fs::read(folder.join(object)).unwrap_or_default())
}

/// The same files with another header, signed by the same processor.
pub(crate) fn resigned(case: &str, role: Role, change: impl FnOnce(&mut SumPart)) -> [Vec<u8>; 3] {
    let [packets, header, _] = files(case, role);
    let mut header: SumPart = decode_one(&header, &FileLimits::default()).unwrap();
    change(&mut header);
    let header = encode_one(&header, [7; 16]).unwrap();
    let id = format!("{}-key-1", PROCESSORS[role.index()]);
    let bytes = Bytes::from(header.clone());
    let signature = signature_file("part.sig", 1, &bytes, None, (&*id, &signing(role)));
    [packets, header, signature.unwrap().to_vec()]
}

/// A portal and its mailboxes.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: Loaded<Config>,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
}

impl World {
    /// A portal with empty mailboxes and this minimum, an hour after the window of the vectors.
    pub(crate) async fn new(minimum: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (role, name) in Role::ALL.into_iter().zip(PROCESSORS) {
            let keys = folder.path().join(format!("keys/vectors/{role}"));
            std::fs::create_dir_all(&keys).unwrap();
            std::fs::create_dir(folder.path().join(role.to_string())).unwrap();
            let key = vectors().join(format!("keys/{name}-signing.spki.pem"));
            std::fs::copy(key, keys.join(format!("{name}-key-1.pem"))).unwrap();
        }
        let file = folder.path().join("portal.yaml");
        let side = |role: Role| {
            let name = PROCESSORS[role.index()];
            format!(
                "{{ mailbox: {role}, keys: {{ {name}-key-1: keys/vectors/{role}/{name}-key-1.pem }} }}"
            )
        };
        let text = format!(
            "evidence: evidence\nminimum: {minimum}\nlate-minutes: 120\nsources:\n  - name: vectors\n    first: {}\n    second: {}\n",
            side(Role::First),
            side(Role::Second)
        );
        std::fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        let url = config.value.database.url(&config.directory).unwrap();
        let end = part("dim8", Role::First).window.end().millis();
        Self {
            store: Store::open(&url).await.unwrap(),
            clock: Clock::manual(end + 3_600_000),
            folder,
            config,
        }
    }

    /// Writes the files of a sum part into the mailbox of its processor.
    pub(crate) fn put(&self, name: &SumPartName, [packets, header, signature]: [Vec<u8>; 3]) {
        let mailbox = self.folder.path().join(name.writer.to_string());
        let objects = name.objects();
        let all = [
            (objects.packets, packets),
            (objects.header, header),
            (objects.signature, signature),
        ];
        for (object, content) in all {
            let file = mailbox.join(object);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content).unwrap();
        }
    }

    /// Writes both sum parts of a case.
    pub(crate) fn put_case(&self, case: &str) {
        for role in Role::ALL {
            self.put(&part(case, role), files(case, role));
        }
    }

    /// Runs `collect` once.
    pub(crate) async fn collect(&self, options: CollectOptions) -> Collected {
        let store = self.store.clone();
        let collector = SumCollector::open(&self.config, store, self.clock.clone()).unwrap();
        collector.run(options, &Progress::hidden()).await.unwrap()
    }

    /// All windows in the store.
    pub(crate) async fn windows(&self) -> Vec<WindowRow> {
        self.store.windows(&WindowFilter::default()).await.unwrap()
    }

    /// The open findings: kinds in alphabetical order.
    pub(crate) async fn open(&self) -> Vec<FindingRow> {
        let mut open = self.store.findings(true).await.unwrap();
        open.sort_by(|left, right| left.kind.cmp(&right.kind));
        open
    }
}
