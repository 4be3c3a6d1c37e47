//! ENPA's test vectors, and a configuration with their keys.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tallybox_model::role::Role;

pub(crate) fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/testdata/vectors")
}

pub(crate) fn side(role: Role) -> &'static str {
    match role {
        Role::First => "pha",
        Role::Second => "facilitator",
    }
}

/// Writes the configuration of a processor that reads `case` and has its own buckets in `folder`.
pub(crate) fn write_config(folder: &Path, case: &str, role: Role) -> PathBuf {
    let (own, peer) = (side(role), side(role.peer()));
    let (keys, case) = (folder.join("keys"), vectors().join(case));
    std::fs::create_dir_all(&keys).unwrap();
    for file in files(&vectors().join("keys")) {
        let text = std::fs::read_to_string(&file).unwrap();
        write_private(&keys.join(file.file_name().unwrap()), &text);
    }
    let (keys, case) = (keys.display(), case.display());
    let sealing = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    write_private(&folder.join("sealing.b64"), sealing);
    let text = format!(
        "instance: interop
role: {role}
packet-decryption-keys:
  - {{ id: {own}-packet-2, file: {keys}/{own}-packet-2.x963-private.b64 }}
  - {{ id: {own}-packet-1, file: {keys}/{own}-packet-1.x963-private.b64 }}
batch-signing-key: {{ id: {own}-key-1, file: {keys}/{own}-signing.pkcs8.b64 }}
prepared-sealing-key: {{ file: sealing.b64 }}
buckets:
  ingestion: {case}/ingestion-{own}
  own: own-{role}
  peer-validation-in: {case}/validation-for-{own}
  peer-validation-out: validation-for-{peer}
  sum-parts: sum-{own}
ingestor-public-keys: {{ ingestor-key-1: {keys}/ingestor-signing.spki.pem }}
peer-public-keys: {{ {peer}-key-1: {keys}/{peer}-signing.spki.pem }}
points: per-packet
accept-replay-risk: true
minimum-contributions: 1
"
    );
    let file = folder.join(format!("{role}.yaml"));
    std::fs::write(&file, text).unwrap();
    file
}

/// Writes a file that only its owner can read, as the program requires for secrets.
pub(crate) fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Runs the program in a folder.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_facilitator"))
        .current_dir(folder)
        .args(arguments)
        .env_remove("TALLYBOX_LOG")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().expect("the program was not killed")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Returns all files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
