//! A SeaweedFS server, a real S3 implementation, on loopback, with a temporary directory.
#![allow(unreachable_pub)]

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tallybox_transport::{BucketPlace, SharedBucket, publish_bytes};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

const KEY: (&str, &str) = ("adminkey", "adminsecret");
/// The time limit for the start of the server on a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(90);
/// The S3 bucket, which the first object creates.
const BUCKET: &str = "box";

/// A server, which is killed when this value is dropped.
pub struct Seaweed {
    process: Child,
    directory: TempDir,
    port: u16,
}

impl Seaweed {
    /// Starts a server, and waits until it stores objects. Returns `None` if SeaweedFS is not
    /// installed; in CI, that is a failure.
    pub async fn start() -> Option<Self> {
        let Some(binary) = std::env::var_os("TALLYBOX_WEED").map(PathBuf::from) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "TALLYBOX_WEED is not set: see scripts/seaweedfs"
            );
            eprintln!(
                "SKIPPED: the tests on S3 need SeaweedFS; set TALLYBOX_WEED=$(scripts/seaweedfs)"
            );
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let ports = free_ports();
        let mut server = Self {
            process: command(&binary, &directory, &ports).spawn().unwrap(),
            directory,
            port: ports[0],
        };
        server.wait().await;
        Some(server)
    }

    async fn wait(&mut self) {
        let end = Instant::now() + WAIT_TIMEOUT;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.process.try_wait().unwrap().is_none(), "{}", self.log());
            assert!(Instant::now() < end, "{}", self.log());
            sleep(Duration::from_millis(50)).await;
        }
        // The server accepts connections before it can store objects. Only a stored object proves
        // that it is ready.
        let bucket = self.bucket("started");
        let storing = async {
            while let Err(error) = publish_bytes(&*bucket, "object", "x".into(), false).await {
                println!("the server is not ready yet: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        };
        let stored = timeout(WAIT_TIMEOUT, storing).await;
        assert!(stored.is_ok(), "{}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Returns the location of a bucket on the server, in JSON, as a configuration contains it.
    pub fn location(&self, name: &str) -> String {
        let file = |name: &str| self.directory.path().join(name);
        serde_json::json!({
            "url": format!("s3://us-east-1/{BUCKET}/{name}"),
            "settings": {
                "endpoint": format!("http://127.0.0.1:{}", self.port),
                "allow-http": true,
                "access-key-id-file": file("key"),
                "secret-access-key-file": file("secret"),
            }
        })
        .to_string()
    }

    /// Opens the bucket with this name.
    pub fn bucket(&self, name: &str) -> SharedBucket {
        let location: BucketPlace = serde_json::from_str(&self.location(name)).unwrap();
        location.open(self.directory.path()).unwrap()
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns distinct free ports. All are bound at the same time, so that they differ.
fn free_ports() -> [u16; 8] {
    let held = [(); 8].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

fn command(binary: &PathBuf, directory: &TempDir, ports: &[u16; 8]) -> Command {
    let at = |name: &str| directory.path().join(name);
    let (id, secret) = KEY;
    let identities = serde_json::json!({"identities": [{
        "name": "admin",
        "credentials": [{"accessKey": id, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }]});
    for (name, text) in [
        ("key", id),
        ("secret", secret),
        ("s3.json", &identities.to_string()),
    ] {
        std::fs::write(at(name), text).unwrap();
    }
    std::fs::create_dir(at("data")).unwrap();
    let mut command = Command::new(binary);
    command
        .current_dir(directory.path())
        .args(["server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
        // Telemetry would send data to the maker of SeaweedFS.
        .arg("-master.telemetry=false")
        .args(["-s3", "-s3.config=s3.json", "-s3.iam=false"])
        .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
        .args(["-volume.max=100", "-master.volumeSizeLimitMB=64"]);
    let names = ["s3.port", "master.port", "volume.port", "filer.port"];
    for (index, name) in names.iter().enumerate() {
        command.arg(format!("-{name}={}", ports[index]));
        command.arg(format!("-{name}.grpc={}", ports[index + names.len()]));
    }
    let log = File::create(at("log")).unwrap();
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command
}
