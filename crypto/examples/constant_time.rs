//! The program that `scripts/constant-time` traces: recodes the scalar in its argument, 64
//! hexadecimal digits, and agrees with nine public keys, of which one is not on the curve.
#![allow(
    clippy::expect_used,
    reason = "a tool: it stops where something is wrong"
)]

use tallybox_crypto::PacketPrivateKey;
use tallybox_crypto::p256x8::{FixedScalar, Implementation};

fn main() {
    let digits = std::env::args().nth(1).expect("a scalar");
    let mut scalar = [0; 32];
    for (index, byte) in scalar.iter_mut().enumerate() {
        let digits = &digits[2 * index..2 * index + 2];
        *byte = u8::from_str_radix(digits, 16).expect("hexadecimal digits");
    }
    let key = |number| PacketPrivateKey::from_scalar(&[number; 32]).expect("a scalar");
    let mut points = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(|number| *key(number).public().as_bytes());
    points[4][64] ^= 1;
    let eight_lanes = Implementation::eight_lanes().expect("AVX-512 IFMA");
    let fixed = FixedScalar::new(&scalar).expect("a scalar");
    let mut valid = 0;
    fixed.agree_batch_with(eight_lanes, &points.each_ref(), |_, secret| {
        valid += usize::from(secret.is_ok());
    });
    assert_eq!(valid, 8);
}
