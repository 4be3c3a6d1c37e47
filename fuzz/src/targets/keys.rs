//! Keys in every encoding: a parsed key is encoded in each form, and each form is the same key.

use tallybox_crypto::{PacketPrivateKey, PacketPublicKey, SealingKey, SigningKey, VerifyingKey};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = VerifyingKey::parse(text) {
        for form in [key.to_spki_pem(), key.to_spki_base64(), key.to_x962_base64()] {
            assert_eq!(VerifyingKey::parse(&form).expect("our own form"), key);
        }
    }
    if let Ok(key) = PacketPublicKey::parse(text) {
        for form in [key.to_spki_pem(), key.to_x962_base64()] {
            assert_eq!(PacketPublicKey::parse(&form).expect("our own form"), key);
        }
    }
    if let Ok(key) = SigningKey::parse(text) {
        for form in [key.to_pkcs8_base64(), key.to_pkcs8_pem(), key.to_rotator_material()] {
            let reparsed = SigningKey::parse(&form).expect("our own form");
            assert_eq!(reparsed.verifying_key(), key.verifying_key());
        }
        assert!(key.verifying_key().verify(data, &key.sign(data)).is_ok());
    }
    if let Ok(key) = PacketPrivateKey::parse(text) {
        for form in [key.to_x963_base64(), key.to_rotator_material(), key.to_pkcs8_pem()] {
            assert_eq!(PacketPrivateKey::parse(&form).expect("our own form").public(), key.public());
        }
        let request = key.certificate_request("fuzzed").expect("a good common name");
        assert_eq!(PacketPublicKey::parse(&request).as_ref(), Ok(key.public()));
    }
    if let Ok(keys) = PacketPrivateKey::parse_list(text) {
        assert_eq!(keys.len(), text.split(',').count());
    }
    if let Ok(key) = SealingKey::parse(text) {
        assert_eq!(SealingKey::parse(&key.to_base64()).expect("our own form").id(), key.id());
    }
}
