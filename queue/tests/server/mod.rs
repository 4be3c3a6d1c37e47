//! Servers that emulate the clouds. They listen on loopback and stop when their handle is dropped.
#![allow(unreachable_pub, dead_code)]

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Maximum duration of the start on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A server that runs until it is dropped.
pub struct Server {
    process: Child,
    directory: TempDir,
    port: u16,
}

impl Server {
    /// Starts the program with arguments that `arguments` creates for a free port.
    pub fn start(program: &PathBuf, arguments: impl Fn(u16) -> Vec<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let log = File::create(directory.path().join("log")).unwrap();
        let process = Command::new(program)
            .args(arguments(port))
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self {
            process,
            directory,
            port,
        };
        let end = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                server.process.try_wait().unwrap().is_none(),
                "{}",
                server.log()
            );
            assert!(Instant::now() < end, "{}", server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the path of a file in the server's directory.
    pub fn file(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, name).unwrap();
        path
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the path of the program in an environment variable, as printed by a script.
pub fn program(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}
