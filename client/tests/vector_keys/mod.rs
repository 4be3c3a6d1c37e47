//! Keys of the vectors: scalars of one byte, 32 times.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use base64ct::{Base64, Encoding as _};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use tallybox_crypto::{PacketPrivateKey, SigningKey};

/// The scalar of the key that signs the configuration.
pub const SIGNING: u8 = 0x55;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

/// Returns the PKCS#8 form of a scalar, without the public key.
fn pkcs8(scalar: u8) -> String {
    let mut der = vec![0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13];
    der.extend([0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]);
    der.extend([0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
    der.extend([0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20]);
    der.extend([scalar; 32]);
    Base64::encode_string(&der)
}

pub fn packet_key(scalar: u8) -> PacketPrivateKey {
    PacketPrivateKey::parse(&pkcs8(scalar)).unwrap()
}

pub fn signing_key(scalar: u8) -> SigningKey {
    SigningKey::parse(&pkcs8(scalar)).unwrap()
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(name)
}

/// Reads a file of the vectors as JSON.
pub fn read(name: &str) -> Json {
    serde_json::from_slice(&std::fs::read(testdata(name)).unwrap()).unwrap()
}

/// Compares with the file. The current bytes are written to the build directory for inspection.
pub fn compare(name: &str, now: &[u8]) {
    let existing = std::fs::read(testdata(name)).unwrap_or_default();
    // The members of our own documents may be in any order.
    let same = match name {
        "vectors.json" | "more.json" | "grouped.json" | "refused.json" => {
            serde_json::from_slice::<Json>(&existing).ok() == serde_json::from_slice(now).ok()
        }
        _ => existing == now,
    };
    if !same {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, now).unwrap();
        panic!(
            "client/testdata/{name} is not what is made now: {}",
            path.display()
        );
    }
}
