//! Runs `inspect` on missing, malformed and different files, and checks exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use support::{code, run, stderr, stdout, vectors, write_config};
use tallybox_model::role::Role;

const DATE: &str = "org.example.dim8/2023/11/14/22/01";
const STEM: &str = "org.example.dim8/2023/11/14/22/01/00000008-0001-4000-8000-000000001f41";
const WINDOW: &str = "interop/org.example.dim8/202311142200-202311142300";

/// Creates a folder with a configuration, a copy of an ingestion batch in `in`, and both sum parts
/// in `sums`.
fn world() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), "dim8", Role::First);
    let case = vectors().join("dim8");
    std::fs::create_dir_all(folder.path().join("in").join(DATE)).unwrap();
    for suffix in ["batch", "batch.avro", "batch.sig"] {
        let name = format!("{STEM}.{suffix}");
        std::fs::copy(
            case.join("ingestion-pha").join(&name),
            folder.path().join("in").join(&name),
        )
        .unwrap();
    }
    folder
}

fn json(folder: &Path, arguments: &[&str]) -> (i32, serde_json::Value) {
    let output = run(
        folder,
        &[&["-c", "first.yaml", "--json", "inspect"], arguments].concat(),
    );
    assert_eq!(stderr(&output), "");
    assert_eq!(
        stdout(&output).lines().count(),
        1,
        "expected one line of JSON"
    );
    (
        code(&output),
        serde_json::from_str(&stdout(&output)).unwrap(),
    )
}

/// Returns exit code and reasons after damage to the batch.
fn after(damage: impl Fn(&dyn Fn(&str) -> PathBuf)) -> (i32, Vec<String>) {
    let folder = world();
    let file = |suffix: &str| folder.path().join("in").join(format!("{STEM}.{suffix}"));
    damage(&file);
    let (code, report) = json(folder.path(), &[&format!("in/{STEM}")]);
    let problems = report["found"][0]["problems"].as_array().unwrap();
    let reason = |problem: &serde_json::Value| problem["reason"].as_str().unwrap().to_owned();
    (code, problems.iter().map(reason).collect())
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = if at == usize::MAX {
        bytes.len() - 1
    } else {
        at
    };
    bytes[at] ^= 0x40;
    std::fs::write(file, bytes).unwrap();
}

fn cut(file: &Path, length: usize) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..length]).unwrap();
}

#[test]
fn damage_is_named() {
    let named = |reasons: &[&str]| {
        reasons
            .iter()
            .map(|reason| (*reason).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(after(|_| ()), (0, vec![]));
    assert_eq!(after(|file| flip(&file("batch.avro"), 5000)).0, 3);
    let (code, reasons) = after(|file| cut(&file("batch.avro"), 20_000));
    assert_eq!((code, reasons), (3, named(&["bad-digest", "malformed"])));
    assert_eq!(
        after(|file| cut(&file("batch.avro"), 0)),
        (3, named(&["bad-digest"]))
    );
    let (code, reasons) = after(|file| cut(&file("batch.avro"), 30));
    assert_eq!((code, reasons), (3, named(&["bad-digest", "malformed"])));
    let (code, reasons) = after(|file| flip(&file("batch"), usize::MAX));
    assert_eq!((code, reasons), (3, named(&["malformed", "bad-signature"])));
    assert_eq!(after(|file| cut(&file("batch"), 0)).0, 3);
    assert_eq!(
        after(|file| flip(&file("batch.sig"), usize::MAX)).1,
        named(&["malformed"])
    );
    let remove =
        |suffix: &'static str| after(move |file| std::fs::remove_file(file(suffix)).unwrap());
    for suffix in ["batch", "batch.avro", "batch.sig"] {
        assert_eq!(remove(suffix), (4, named(&["incomplete"])), "{suffix}");
    }
    let swap = after(|file| std::fs::rename(file("batch.avro"), file("batch")).unwrap());
    assert_eq!(swap.0, 3);
}

#[test]
fn a_malformed_packet_is_named_by_its_place() {
    let folder = world();
    let packets = folder.path().join("in").join(format!("{STEM}.batch.avro"));
    let mut bytes = std::fs::read(&packets).unwrap();
    bytes[700..703].fill(0xff);
    std::fs::write(&packets, bytes).unwrap();
    let (exit, report) = json(folder.path(), &[&format!("in/{STEM}.batch")]);
    let message = report["found"][0]["problems"][1]["message"]
        .as_str()
        .unwrap();
    assert!(
        exit == 3 && message.starts_with("block 1, record 1 of 62 (packet 1 of the file): "),
        "{message}"
    );
    let shown = stdout(&run(
        folder.path(),
        &["inspect", &format!("in/{STEM}.batch")],
    ));
    assert!(
        shown.contains("malformed") && shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
}

#[test]
fn a_batch_at_another_path_and_a_foreign_signer_are_told() {
    let folder = world();
    let other = "org.example.dim8/2023/11/14/22/01/00000008-0002-4000-8000-000000001f42";
    for suffix in ["batch", "batch.avro", "batch.sig"] {
        let path = |stem: &str| folder.path().join("in").join(format!("{stem}.{suffix}"));
        std::fs::copy(path(STEM), path(other)).unwrap();
        // The ingestor's batch, renamed as a validation batch.
        let validation = suffix.replace("batch", "validity_1");
        std::fs::copy(
            path(STEM),
            folder
                .path()
                .join("in")
                .join(format!("{STEM}.{validation}")),
        )
        .unwrap();
    }
    let (code, report) = json(folder.path(), &[&format!("in/{other}.batch")]);
    assert_eq!(
        (code, &report["found"][0]["problems"][0]["reason"]),
        (3, &"header-mismatch".into())
    );
    let (code, report) = json(folder.path(), &[&format!("in/{STEM}.validity_1")]);
    let reasons: Vec<&str> = report["found"][0]["problems"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|p| p["reason"].as_str())
        .collect();
    assert_eq!(code, 3);
    assert!(
        reasons.contains(&"malformed") && reasons.contains(&"wrong-signer"),
        "{report}"
    );
    let (_, report) = json(folder.path(), &[&format!("in/{STEM}")]);
    assert_eq!(
        report["found"].as_array().unwrap().len(),
        2,
        "both batches with this prefix"
    );
}

#[test]
fn single_files_are_recognised_by_their_content() {
    let folder = world();
    let copy = |suffix: &str, name: &str| {
        std::fs::copy(
            folder.path().join("in").join(format!("{STEM}.{suffix}")),
            folder.path().join(name),
        )
        .unwrap();
    };
    copy("batch", "one");
    copy("batch.avro", "two");
    copy("batch.sig", "three");
    std::fs::write(folder.path().join("empty"), "").unwrap();
    std::fs::write(folder.path().join("noise"), [0xff, 0, 1, 2]).unwrap();
    std::fs::write(folder.path().join("other.json"), "{\"a\":1}").unwrap();
    for (file, kind, exit) in [
        ("one", "batch-header", 0),
        ("two", "batch-packets", 0),
        ("three", "batch-signature", 0),
        ("empty", "empty", 0),
        ("noise", "unrecognised", 3),
        ("other.json", "unrecognised", 3),
        ("first.yaml", "unrecognised", 3),
        ("sealing.b64", "sealing-key", 0),
        (".", "folder", 0),
    ] {
        let (code, report) = json(folder.path(), &[file]);
        assert_eq!(
            (code, report["found"][0]["kind"].as_str().unwrap()),
            (exit, kind),
            "{file}"
        );
    }
    let (code, failure) = json(folder.path(), &["nowhere"]);
    assert_eq!((code, &failure["outcome"]), (4, &"retry".into()));
    let (code, failure) = json(folder.path(), &["s3://region/bucket/key"]);
    assert!(code == 2 || cfg!(feature = "cloud"), "{failure}");
}

#[test]
fn manifests_are_read_and_their_keys_known_again() {
    let folder = world();
    let pem = std::fs::read_to_string(vectors().join("keys/ingestor-signing.spki.pem")).unwrap();
    let key = serde_json::json!({ "public-key": pem, "expiration": "2099-12-31T23:59:59Z" });
    let broken =
        serde_json::json!({ "public-key": "no key", "expiration": "2099-12-31T23:59:59Z" });
    let manifest = |keys: serde_json::Value| {
        serde_json::json!({
            "format": 1,
            "server-identity": { "gcp-service-account-email": "writer@example.org" },
            "batch-signing-public-keys": keys,
        })
        .to_string()
    };
    let write =
        |text: String| std::fs::write(folder.path().join("global-manifest.json"), text).unwrap();
    write(manifest(serde_json::json!({ "k1": key })));
    let (code, report) = json(folder.path(), &["global-manifest.json"]);
    let found = &report["found"][0];
    assert_eq!((code, &found["kind"]), (0, &"ingestor-manifest".into()));
    assert_eq!(
        found["keys"][0]["configured"],
        "signing key ingestor-key-1 of the ingestor"
    );
    write(manifest(serde_json::json!({ "k1": broken })));
    assert_eq!(json(folder.path(), &["global-manifest.json"]).0, 3);
    write(
        manifest(serde_json::json!({ "k1": key }))
            .replace("\"format\":1", "\"format\":1,\"more\":2"),
    );
    let (code, report) = json(folder.path(), &["global-manifest.json"]);
    let message = report["found"][0]["problems"][0]["message"]
        .as_str()
        .unwrap();
    assert!(code == 3 && message.contains("more"), "{message}");
}

#[test]
fn diff_names_what_differs() {
    let folder = world();
    let sums = vectors().join("dim8");
    let part = |side: &str, role: u8| {
        sums.join(format!("sum-{side}/{WINDOW}.sum_{role}"))
            .display()
            .to_string()
    };
    let (pha, facilitator) = (part("pha", 0), part("facilitator", 1));
    let (code, same) = json(folder.path(), &["--diff", &pha, &format!("{pha}.sig")]);
    assert_eq!(
        (code, &same["found"][0]["fields"]["total"]),
        (0, &0.into()),
        "both name the sum part"
    );
    let (code, difference) = json(folder.path(), &["--diff", &pha, &facilitator]);
    assert_eq!((code, &difference["outcome"]), (5, &"conflict".into()));
    let listed = difference["found"][0]["fields"]["listed"]
        .as_array()
        .unwrap();
    let fields: Vec<&str> = listed
        .iter()
        .map(|field| field["field"].as_str().unwrap())
        .collect();
    for field in [
        "header.sha256",
        "header.sum-part.sum[0]",
        "signature.key-identifier",
    ] {
        assert!(fields.contains(&field), "{field} is not one of {fields:?}");
    }
    let sum = |field: &&&str| field.starts_with("header.sum-part.sum[");
    assert_eq!(fields.iter().filter(sum).count(), 8, "8 bins");
    let shown = stdout(&run(
        folder.path(),
        &["inspect", "--diff", &pha, &facilitator],
    ));
    assert!(
        shown.contains("sum-part.sum[7]") && shown.contains("conflict"),
        "{shown}"
    );
    let (first, second) = (
        format!("in/{STEM}"),
        sums.join(format!("ingestion-facilitator/{STEM}")),
    );
    let (code, difference) = json(folder.path(), &["--diff", &first, second.to_str().unwrap()]);
    let packets = &difference["found"][0]["packets"];
    assert_eq!((code, &packets["changed"]), (5, &100.into()));
    assert_eq!(packets["changed-fields"]["encrypted_payload"], 100);
    assert!(
        packets["changed-fields"].get("r_pit").is_none(),
        "both shares have one point"
    );
    std::fs::write(folder.path().join("x"), "abcdef").unwrap();
    std::fs::write(folder.path().join("y"), "abcXef").unwrap();
    let (code, difference) = json(folder.path(), &["--diff", "x", "y"]);
    assert_eq!(
        (code, &difference["found"][0]["first-different-byte"]),
        (5, &3.into())
    );
    assert_eq!(json(folder.path(), &["--diff", "x", "nowhere"]).0, 4);
    assert_eq!(json(folder.path(), &["--diff", "x", &first]).0, 2);
}

#[test]
fn bytes_alone_decide_whether_two_objects_are_the_same() {
    let folder = world();
    let path = |name: &str| folder.path().join(name);
    // These headers cannot be decoded.
    for (name, at) in [("a.batch", 5), ("b.batch", 6)] {
        std::fs::copy(path(&format!("in/{STEM}.batch")), path(name)).unwrap();
        flip(&path(name), at);
    }
    std::fs::copy(path("sealing.b64"), path("copy.b64")).unwrap();
    let code = |a: &str, b: &str| json(folder.path(), &["--diff", a, b]).0;
    assert_eq!(code("a.batch", "b.batch"), 5);
    assert_eq!(code("a.batch", "a.batch"), 0);
    assert_eq!(code("sealing.b64", "copy.b64"), 0);
    assert_eq!(code("sealing.b64", "first.yaml"), 5);
}

#[test]
fn a_fixed_record_is_compared_with_the_sum_part_that_stands() {
    let folder = world();
    let window = [
        "--aggregation",
        "org.example.dim8",
        "--start",
        "2023/11/14/22/00",
        "--end",
        "2023/11/14/23/00",
    ];
    let summed = run(
        folder.path(),
        &[&["-c", "first.yaml", "aggregate"], &window[..]].concat(),
    );
    assert_eq!(code(&summed), 0, "{}", stderr(&summed));
    let fixed = format!("own-first/sum-parts/{WINDOW}.fixed");
    let ours = format!("sum-pha/{WINDOW}.sum_0");
    assert_eq!(json(folder.path(), &["--diff", &fixed, &ours]).0, 0);
    assert_eq!(json(folder.path(), &["--diff", &fixed, &fixed]).0, 0);
    let theirs = vectors()
        .join(format!("dim8/sum-pha/{WINDOW}.sum_0"))
        .display()
        .to_string();
    let (code, difference) = json(folder.path(), &["--diff", &theirs, &fixed]);
    let first = &difference["found"][0]["fields"]["listed"][0]["field"];
    assert_eq!((code, first), (5, &"header.sha256".into()));
}
