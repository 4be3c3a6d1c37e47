//! Runs `facilitator key` as a process: which files it writes, with which permissions, and that
//! secrets are never printed.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;
use support::{code, run, stderr, stdout, vectors};
use tallybox_crypto::{
    PacketKeyDocument, PacketPrivateKey, PacketPublicKey, SealingKey, SigningKey, VerifyingKey,
};

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).unwrap()
}

#[test]
fn every_kind_and_encoding_is_written_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (kind, encoding) in [
        ("signing", "pkcs8-base64"),
        ("signing", "pkcs8-pem"),
        ("signing", "rotator-material"),
        ("packet", "x963-base64"),
        ("packet", "pkcs8-base64"),
        ("packet", "pkcs8-pem"),
        ("packet", "rotator-material"),
        ("sealing", "base64"),
    ] {
        let file = format!("{kind}.{encoding}");
        let made = run(
            folder,
            &[
                "key",
                "generate",
                kind,
                "--encoding",
                encoding,
                "--out",
                &file,
                "--json",
            ],
        );
        assert_eq!(code(&made), 0, "{made:?}");
        let text = read(folder, &file);
        let summary: serde_json::Value = serde_json::from_str(&stdout(&made)).unwrap();
        let fingerprint = match kind {
            "signing" => SigningKey::parse(&text)
                .unwrap()
                .verifying_key()
                .fingerprint(),
            "packet" => PacketPrivateKey::parse(&text)
                .unwrap()
                .public()
                .fingerprint(),
            _ => SealingKey::parse(&text).unwrap().id(),
        };
        assert_eq!(summary["fingerprint"], fingerprint.as_str());
        assert!(
            !stdout(&made).contains(text.trim()) && made.stderr.is_empty(),
            "no secret is printed"
        );
        let inspected = run(folder, &["inspect", &file, "--json"]);
        let inspected: serde_json::Value = serde_json::from_str(&stdout(&inspected)).unwrap();
        assert_eq!(inspected["found"][0]["encoding"], encoding);
        assert_eq!(inspected["found"][0]["fingerprint"], fingerprint.as_str());
        assert!(
            !inspected.to_string().contains(text.trim()),
            "no secret is printed"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_secret_is_written_once_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let generate = ["key", "generate", "signing", "--out", "k"];
    assert_eq!(code(&run(folder, &generate)), 0);
    let mode = |file: &str| {
        std::fs::metadata(folder.join(file))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("k"), 0o600);
    let before = read(folder, "k");
    let second = run(folder, &generate);
    assert_eq!((code(&second), read(folder, "k")), (2, before));
    assert!(stderr(&second).contains("never overwritten"), "{second:?}");
    assert_eq!(
        code(&run(
            folder,
            &[
                "key",
                "convert",
                "k",
                "--encoding",
                "pkcs8-pem",
                "--out",
                "k.pem"
            ]
        )),
        0
    );
    assert_eq!(mode("k.pem"), 0o600);
    assert_eq!(
        code(&run(
            folder,
            &["key", "generate", "sealing", "--out", "new/folder/key"]
        )),
        0
    );
    assert_eq!(
        (mode("new"), mode("new/folder"), mode("new/folder/key")),
        (0o700, 0o700, 0o600)
    );
    // A file exists where a folder is needed.
    assert_eq!(
        code(&run(
            folder,
            &["key", "generate", "sealing", "--out", "k/key"]
        )),
        2
    );
}

#[test]
fn standard_output_gets_a_secret_only_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let made = run(folder.path(), &["key", "generate", "signing", "--out", "-"]);
    let key = SigningKey::parse(&stdout(&made)).unwrap();
    assert!(
        stderr(&made).contains(&key.verifying_key().fingerprint()),
        "{made:?}"
    );
    assert!(!stderr(&made).contains(stdout(&made).trim()));
    assert_eq!(
        code(&run(
            folder.path(),
            &["key", "generate", "signing", "--out", "-", "--json"]
        )),
        2
    );
    assert_eq!(
        code(&run(folder.path(), &["key", "generate", "signing"])),
        2
    );
}

#[test]
fn the_public_half_of_every_vector_key_is_the_committed_one() {
    let keys = vectors().join("keys");
    let public = |file: &str, encoding: &str| {
        let output = run(
            &keys,
            &["key", "public", file, "--encoding", encoding, "--quiet"],
        );
        assert_eq!((code(&output), output.stderr.len()), (0, 0), "{output:?}");
        stdout(&output).trim().to_owned()
    };
    let committed = |file: &str| read(&keys, file).trim().to_owned();
    for who in ["ingestor", "pha", "facilitator"] {
        let private = format!("{who}-signing.pkcs8.b64");
        for (encoding, file) in [
            ("spki-pem", "spki.pem"),
            ("spki-base64", "spki.b64"),
            ("x962-base64", "x962-public.b64"),
        ] {
            let file = format!("{who}-signing.{file}");
            assert_eq!(public(&private, encoding), committed(&file));
            assert_eq!(public(&file, encoding), committed(&file));
        }
    }
    for who in [
        "pha-packet-1",
        "pha-packet-2",
        "facilitator-packet-1",
        "facilitator-packet-2",
    ] {
        let private = format!("{who}.x963-private.b64");
        assert_eq!(
            public(&private, "x962-base64"),
            committed(&format!("{who}.x963-public.b64"))
        );
        let request = run(
            &keys,
            &[
                "key",
                "public",
                &private,
                "--encoding",
                "csr-pem",
                "--common-name",
                "a.example",
            ],
        );
        let requested = PacketPublicKey::parse(&stdout(&request)).unwrap();
        assert_eq!(
            requested.fingerprint(),
            PacketPrivateKey::parse(&committed(&private))
                .unwrap()
                .public()
                .fingerprint()
        );
    }
}

#[test]
fn a_packet_key_is_a_document_with_its_public_half_in_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let restricted = ["--instance", "us-xx-ingestor", "--bins", "5"];
    let generate = ["key", "generate", "packet", "--out", "k.json", "--json"];
    let made = run(folder, &[&generate[..], &restricted].concat());
    assert_eq!(code(&made), 0, "{made:?}");
    let document = PacketKeyDocument::parse(&read(folder, "k.json")).unwrap();
    assert_eq!(
        (document.instance.as_str(), document.bins),
        ("us-xx-ingestor", 5)
    );
    let summary: serde_json::Value = serde_json::from_str(&stdout(&made)).unwrap();
    assert_eq!(summary["suggested-id"], document.id.as_str());
    assert_eq!(summary["public-file"], "k.x962-public.b64");
    let public = PacketPublicKey::parse(&read(folder, "k.x962-public.b64")).unwrap();
    assert_eq!(public, *document.key.public());
    // A bare key becomes a document only once.
    std::fs::write(folder.join("bare"), document.key.to_x963_base64().as_str()).unwrap();
    let convert = [
        "key",
        "convert",
        "bare",
        "--id",
        "first-packet-1",
        "--out",
        "again.json",
    ];
    assert_eq!(code(&run(folder, &[&convert[..], &restricted].concat())), 0);
    let reread = PacketKeyDocument::parse(&read(folder, "again.json")).unwrap();
    assert_eq!((reread.id.as_str(), reread.bins), ("first-packet-1", 5));
    assert_eq!(reread.created, "1970-01-01T00:00:00Z");
    assert_eq!(reread.key.public(), document.key.public());
    let convert = ["key", "convert", "k.json", "--out", "other.json"];
    let refused = run(folder, &[&convert[..], &restricted].concat());
    assert_eq!(code(&refused), 2);
    assert!(stderr(&refused).contains("document already"), "{refused:?}");
    // No command shows its secret.
    let inspected = run(folder, &["inspect", "k.json", "--json"]);
    let text = stdout(&inspected);
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["found"][0]["kind"], "packet-key");
    assert_eq!(shown["found"][0]["packet-key"]["bins"], 5);
    assert!(!text.contains(document.key.to_x963_base64().as_str()));
}

#[test]
fn hints_fit_the_program_that_uses_the_key() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, program, hints) in [
        ("signing", "facilitator", &["batch-signing-key: {"][..]),
        (
            "signing",
            "ingestor",
            &["batch-signing-key: {", "client-config-key: {"],
        ),
        (
            "sealing",
            "facilitator",
            &["prepared-sealing-key: {", "facilitator key record"],
        ),
        ("sealing", "ingestor", &["secrets: [ {"]),
    ] {
        let file = format!("{kind}-{program}");
        let made = run(
            folder.path(),
            &["key", "generate", kind, "--for", program, "--out", &file],
        );
        let output = stdout(&made);
        assert!(
            hints.iter().all(|hint| output.contains(hint)),
            "{kind} {program}: {output}"
        );
        assert_eq!(
            output.contains("prepared"),
            file == "sealing-facilitator",
            "{output}"
        );
    }
    let packet = [
        "key", "generate", "packet", "--for", "ingestor", "--out", "p",
    ];
    let refused = run(folder.path(), &packet);
    assert!(
        code(&refused) == 2 && stderr(&refused).contains("no packet keys"),
        "{refused:?}"
    );
}

#[test]
fn what_cannot_be_written_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_eq!(
        code(&run(folder, &["key", "generate", "sealing", "--out", "s"])),
        0
    );
    let bare = [
        "key",
        "generate",
        "packet",
        "--encoding",
        "x963-base64",
        "--out",
        "p",
    ];
    assert_eq!(code(&run(folder, &bare)), 0);
    std::fs::write(folder.join("placeholder"), "not-a-real-key\n").unwrap();
    for (arguments, reason) in [
        (&["key", "public", "s"][..], "no public half"),
        (
            &["key", "public", "p", "--encoding", "csr-pem"],
            "--common-name",
        ),
        (
            &["key", "public", "p", "--encoding", "pkcs8-pem"],
            "key convert",
        ),
        (
            &["key", "generate", "packet", "--out", "x"],
            "--instance INSTANCE and --bins N",
        ),
        (
            &[
                "key",
                "generate",
                "packet",
                "--instance",
                "a-b",
                "--bins",
                "0",
                "--out",
                "x",
            ],
            "1 to 524287",
        ),
        (
            &[
                "key",
                "generate",
                "signing",
                "--instance",
                "a-b",
                "--bins",
                "5",
                "--out",
                "x",
            ],
            "packet keys",
        ),
        (
            &[
                "key",
                "convert",
                "s",
                "--instance",
                "a-b",
                "--bins",
                "5",
                "--out",
                "x",
            ],
            "bare packet key",
        ),
        (&["key", "convert", "p", "--out", "x"], "--encoding"),
        (
            &[
                "key",
                "convert",
                "p",
                "--encoding",
                "packet-document",
                "--out",
                "x",
            ],
            "--instance INSTANCE and --bins N",
        ),
        (&["key", "public", "nowhere"], "cannot read"),
        (&["key", "public", "placeholder"], "placeholder"),
        (
            &[
                "key",
                "convert",
                "s",
                "--encoding",
                "spki-pem",
                "--out",
                "x",
            ],
            "sealing key",
        ),
        (
            &["key", "convert", "p", "--encoding", "base64", "--out", "x"],
            "sealing keys",
        ),
        (
            &[
                "key",
                "generate",
                "signing",
                "--encoding",
                "x963-base64",
                "--out",
                "x",
            ],
            "pkcs8-base64",
        ),
    ] {
        let output = run(folder, arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(
            stderr(&output).contains(reason),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    assert!(!folder.join("x").exists());
    let pem = run(folder, &["key", "public", "p"]);
    assert!(VerifyingKey::parse(&stdout(&pem)).is_ok());
}
