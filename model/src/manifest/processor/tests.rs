//! Tests of the processor manifests, with documents written by hand from the format description.

use proptest::prelude::*;

use super::*;
use crate::manifest::{DEFAULT_SIZE_LIMIT, Expiration};

const GLOBAL: &str = concat!(
    r#"{"format":1,"server-identity":{"gcp-service-account-id":"112233445566778899","#,
    r#""gcp-service-account-email":"facilitator@example.org"}}"#,
);

const SPECIFIC: &str = concat!(
    r#"{"format":1,"ingestion-bucket":"s3://us-west-2/ingestion/mail","#,
    r#""ingestion-identity":"arn:aws:iam::123456789012:role/AssumedByIngestor","#,
    r#""peer-validation-bucket":"gs://validation","#,
    r#""batch-signing-public-keys":{"#,
    r#""key-1":{"public-key":"-----BEGIN PUBLIC KEY-----\nfoo\n-----END PUBLIC KEY-----\n","#,
    r#""expiration":"2123-06-01T10:20:30.000000000Z"},"#,
    r#""key-2":{"public-key":"PEM","expiration":"20991231T000000Z"}},"#,
    r#""packet-encryption-keys":{"packet-1":{"#,
    r#""certificate-signing-request":"-----BEGIN CERTIFICATE REQUEST-----\nfoo\n"}}}"#,
);

fn global(text: &str) -> Result<ProcessorGlobalManifest, ManifestError> {
    ProcessorGlobalManifest::parse("global-manifest.json", text.as_bytes(), DEFAULT_SIZE_LIMIT)
}

fn specific(text: &str) -> Result<ProcessorManifest, ManifestError> {
    ProcessorManifest::parse("us-ca-manifest.json", text.as_bytes(), DEFAULT_SIZE_LIMIT)
}

#[test]
fn global_golden_bytes_both_ways() {
    let manifest = global(GLOBAL).unwrap();
    assert_eq!(String::from_utf8(manifest.to_json()).unwrap(), GLOBAL);
    let aws = GLOBAL.replace(
        r#""gcp-service-account-id":"112233445566778899""#,
        r#""aws-account-id":12345678901234"#,
    );
    let manifest = global(&aws).unwrap();
    assert_eq!(
        manifest.server_identity.aws_account_id,
        Some(12_345_678_901_234)
    );
    assert_eq!(String::from_utf8(manifest.to_json()).unwrap(), aws);
    assert!(global(&GLOBAL.replace("\"format\":1", "\"format\":0")).is_ok());
    assert!(matches!(
        global(&GLOBAL.replace("\"format\":1", "\"format\":2")),
        Err(ManifestError::UnsupportedFormat {
            format: 2,
            supported: &[0, 1],
            ..
        })
    ));
}

#[test]
fn global_takes_one_identity_or_none() {
    let both = GLOBAL.replace(
        "{\"gcp-service-account-id\"",
        "{\"aws-account-id\":1,\"gcp-service-account-id\"",
    );
    assert!(matches!(
        global(&both),
        Err(ManifestError::TwoIdentities { .. })
    ));
    let none = GLOBAL.replace(r#""gcp-service-account-id":"112233445566778899","#, "");
    assert_eq!(
        global(&none)
            .unwrap()
            .server_identity
            .gcp_service_account_id,
        None
    );
}

#[test]
fn specific_golden_bytes_both_ways() {
    let manifest = specific(SPECIFIC).unwrap();
    assert_eq!(String::from_utf8(manifest.to_json()).unwrap(), SPECIFIC);
    assert_eq!(manifest.peer_validation_identity, None);
    assert!(
        manifest.batch_signing_public_keys["key-1"]
            .public_key
            .contains("\nfoo\n")
    );
    let format_two = SPECIFIC.replacen("\"format\":1", "\"format\":2", 1);
    assert_eq!(
        String::from_utf8(specific(&format_two).unwrap().to_json()).unwrap(),
        format_two
    );
}

#[test]
fn specific_identity_may_be_absent_or_empty_but_not_null() {
    let role = r#""arn:aws:iam::123456789012:role/AssumedByIngestor""#;
    let empty = specific(&SPECIFIC.replace(role, "\"\"")).unwrap();
    assert_eq!(empty.ingestion_identity, None);
    assert!(
        !String::from_utf8(empty.to_json())
            .unwrap()
            .contains("ingestion-identity")
    );
    let null = specific(&SPECIFIC.replace(role, "null")).unwrap_err();
    assert_eq!(
        null.to_string(),
        "manifest us-ca-manifest.json: key ingestion-identity is null, not a string"
    );
}

#[test]
fn key_order_in_the_text_does_not_matter_and_ours_is_fixed() {
    let shuffled = format!(
        "{{\"packet-encryption-keys\":{}",
        &SPECIFIC[SPECIFIC.find("{\"packet-1\"").unwrap()..]
    );
    let head = &SPECIFIC[1..SPECIFIC.find(",\"packet-encryption-keys\"").unwrap()];
    let shuffled = format!("{},{head}}}", &shuffled[..shuffled.len() - 1]);
    assert_eq!(
        String::from_utf8(specific(&shuffled).unwrap().to_json()).unwrap(),
        SPECIFIC
    );
}

#[test]
fn every_key_is_required_and_no_other_allowed() {
    for key in [
        "format",
        "ingestion-bucket",
        "peer-validation-bucket",
        "batch-signing-public-keys",
    ] {
        let error =
            specific(&SPECIFIC.replacen(&format!("\"{key}\""), "\"other\"", 1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("manifest us-ca-manifest.json: key {key} is missing")
        );
    }
    let extra = SPECIFIC.replacen("{\"format\"", "{\"comment\":\"hello\",\"format\"", 1);
    let error = specific(&extra).unwrap_err();
    assert_eq!(
        error.to_string(),
        "manifest us-ca-manifest.json: key comment is unknown"
    );
    let error =
        specific(&SPECIFIC.replace("certificate-signing-request", "certificate")).unwrap_err();
    let expected = "key packet-encryption-keys.packet-1.certificate-signing-request is missing";
    assert_eq!(
        error.to_string(),
        format!("manifest us-ca-manifest.json: {expected}")
    );
}

fn manifests() -> impl Strategy<Value = ProcessorManifest> {
    let role = || prop::option::of("[a-z:/é\"\\\\]{1,12}");
    let bucket = || "(s3://us-west-2/[a-z]{3,9}(/[a-z]{0,5}){0,2}|gs://[a-z]{3,9}|[a-z/]{1,9})";
    let signing = prop::collection::btree_map(".{0,12}", (".{0,40}", 0_i64..1 << 33), 0..4);
    let packet = prop::collection::btree_map(".{0,12}", ".{0,40}", 0..3);
    (
        1_u64..3,
        bucket(),
        role(),
        bucket(),
        role(),
        signing,
        packet,
    )
        .prop_map(|parts| ProcessorManifest {
            format: parts.0,
            ingestion_bucket: parts.1.parse().unwrap(),
            ingestion_identity: parts.2,
            peer_validation_bucket: parts.3.parse().unwrap(),
            peer_validation_identity: parts.4,
            batch_signing_public_keys: parts.5.into_iter().map(signing_key).collect(),
            packet_encryption_keys: parts.6.into_iter().map(packet_key).collect(),
        })
}

fn signing_key(
    (id, (public_key, second)): (String, (String, i64)),
) -> (String, BatchSigningPublicKey) {
    let expiration = Expiration::at(jiff::Timestamp::from_second(second).unwrap());
    (
        id,
        BatchSigningPublicKey {
            public_key,
            expiration,
        },
    )
}

fn packet_key(
    (id, certificate_signing_request): (String, String),
) -> (String, PacketEncryptionKey) {
    (
        id,
        PacketEncryptionKey {
            certificate_signing_request,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(manifest in manifests()) {
        let bytes = manifest.to_json();
        prop_assert_eq!(ProcessorManifest::parse("m", &bytes, DEFAULT_SIZE_LIMIT).unwrap(), manifest);
    }

    #[test]
    fn a_damaged_document_is_read_as_one_that_could_be_written_or_refused(at in 0..SPECIFIC.len(), byte: u8) {
        let mut bytes = SPECIFIC.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(manifest) = ProcessorManifest::parse("m", &bytes, DEFAULT_SIZE_LIMIT) {
            let reread = ProcessorManifest::parse("m", &manifest.to_json(), DEFAULT_SIZE_LIMIT).unwrap();
            prop_assert_eq!(reread, manifest);
        }
    }
}
