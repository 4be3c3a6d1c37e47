//! Ingestor processes that the test kills.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tallybox_tests::process::binary;
use tokio::time::sleep;

use super::site::Site;

/// A process, which is killed with SIGKILL when this value is dropped.
pub struct Process(Child);

impl Process {
    /// Starts a command of one of the two replicas.
    pub fn start(site: &Site, replica: usize, command: &str) -> Self {
        let log = site.log();
        let child = Command::new(binary("ingestor"))
            .arg("--config")
            .arg(&site.replicas[replica].0)
            .arg(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Self(child.unwrap())
    }

    /// Kills the process, and waits for its end, because the address of a server is free only then.
    /// Returns whether the process was still running.
    pub fn kill(&mut self) -> bool {
        let running = self.0.try_wait().unwrap().is_none();
        let _ = self.0.kill();
        let _ = self.0.wait();
        running
    }

    /// Waits until a batch job has ended, and asserts that it succeeded.
    pub async fn ends_well(&mut self) {
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                assert!(
                    status.success(),
                    "a batch job that was not killed failed: {status}"
                );
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
