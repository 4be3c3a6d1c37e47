//! A PostgreSQL server for one test: Debian's programs, a new cluster, a Unix socket.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tallybox_portal::config::DatabaseUrl;

/// A running server. Dropping it stops the server and removes the cluster.
pub(crate) struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    server: Child,
}

impl Postgres {
    /// Starts a server; `None`, with a message, if PostgreSQL is not installed.
    ///
    /// # Panics
    /// In CI without PostgreSQL, and if the server does not start.
    pub(crate) async fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "PostgreSQL is missing: apt-get install postgresql"
            );
            eprintln!("SKIPPED: PostgreSQL is not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            let chown = Command::new("chown")
                .arg("postgres")
                .arg(folder.path())
                .status();
            assert!(chown.unwrap().success());
        }
        let data = folder.path().join("data");
        let mut initdb = unprivileged(&programs.join("initdb"));
        initdb.args([
            "--username=portal",
            "--auth=trust",
            "--no-sync",
            "-E",
            "UTF8",
            "-D",
        ]);
        let made = initdb.arg(&data).stdout(Stdio::null()).status().unwrap();
        assert!(made.success(), "initdb");
        let mut server = unprivileged(&programs.join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(folder.path());
        server.args(["-c", "listen_addresses=", "-c", "fsync=off"]);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let server = server.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let postgres = Self {
            folder,
            programs,
            server,
        };
        postgres.wait().await;
        Some(postgres)
    }

    /// The URL of the database.
    pub(crate) fn url(&self) -> DatabaseUrl {
        let socket = self.folder.path().display();
        DatabaseUrl::postgres(&format!(
            "postgres://portal@localhost/postgres?host={socket}"
        ))
    }

    async fn wait(&self) {
        for _ in 0..300 {
            let ready = Command::new(self.programs.join("pg_isready"))
                .arg("-q")
                .arg("-h")
                .arg(self.folder.path())
                .status();
            if ready.unwrap().success() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = std::fs::read_to_string(self.folder.path().join("log"));
        panic!("the server did not start: {log:?}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let stopped = unprivileged(&self.programs.join("pg_ctl"))
            .args(["stop", "-m", "immediate", "-s", "-D"])
            .arg(self.folder.path().join("data"))
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

/// Returns the folder of the latest installed version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.flatten().map(|version| version.path().join("bin"));
    folders
        .filter(|folder| folder.join("postgres").exists())
        .max()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.starts_with(b"0\n")
}

/// PostgreSQL refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(program);
    command
}
