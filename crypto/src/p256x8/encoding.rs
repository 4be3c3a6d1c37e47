//! Conversion between big-endian bytes and limbs in lanes, and the constants of the curve.

use super::field::{Element, LIMBS, MASK};
use super::vector::{LANES, Vector};

/// A field element in one lane.
type Limbs = [u64; LIMBS];

/// Length of a coordinate, in bytes.
pub(crate) const COORDINATE: usize = 32;

/// p as 64-bit words, the lowest first.
const P_WORDS: [u64; 4] = [u64::MAX, (1 << 32) - 1, 0, 0xffff_ffff_0000_0001];
/// p as limbs.
const P: Limbs = limbs(P_WORDS);

/// R mod p, the number 1 in Montgomery form.
pub(crate) const ONE: Limbs = limbs(power_of_two(260));
/// R^2 mod p, which brings a number into Montgomery form.
pub(crate) const R_SQUARED: Limbs = limbs(power_of_two(520));
/// The coefficient b of the curve, SEC 2 section 2.4.2. Not in Montgomery form.
pub(crate) const B: Limbs = limbs([
    0x3bce_3c3e_27d2_604b,
    0x651d_06b0_cc53_b0f6,
    0xb3eb_bd55_7698_86bc,
    0x5ac6_35d8_aa3a_93e7,
]);
/// The base point, x then y, as bytes.
pub(crate) const BASE_POINT: [[u8; COORDINATE]; 2] = [
    bytes([
        0xf4a1_3945_d898_c296,
        0x7703_7d81_2deb_33a0,
        0xf8bc_e6e5_63a4_40f2,
        0x6b17_d1f2_e12c_4247,
    ]),
    bytes([
        0xcbb6_4068_37bf_51f5,
        0x2bce_3357_6b31_5ece,
        0x8ee7_eb4a_7c0f_9e16,
        0x4fe3_42e2_fe1a_7f9b,
    ]),
];

/// Computes a power of two modulo p.
const fn power_of_two(exponent: u32) -> [u64; 4] {
    let mut number = [1, 0, 0, 0];
    let mut doublings = 0;
    while doublings < exponent {
        number = double_modulo_p(number);
        doublings += 1;
    }
    number
}

const fn double_modulo_p(number: [u64; 4]) -> [u64; 4] {
    let mut doubled = [0; 4];
    let mut reduced = [0; 4];
    let (mut carry, mut borrow) = (0, 0);
    let mut word = 0;
    while word < 4 {
        doubled[word] = number[word] << 1 | carry;
        carry = number[word] >> 63;
        let difference = doubled[word] as i128 - P_WORDS[word] as i128 - borrow;
        reduced[word] = difference as u64;
        borrow = (difference < 0) as i128;
        word += 1;
    }
    if carry as i128 >= borrow {
        reduced
    } else {
        doubled
    }
}

/// Splits four words into limbs.
const fn limbs(words: [u64; 4]) -> Limbs {
    [
        words[0] & MASK,
        (words[0] >> 52 | words[1] << 12) & MASK,
        (words[1] >> 40 | words[2] << 24) & MASK,
        (words[2] >> 28 | words[3] << 36) & MASK,
        words[3] >> 16,
    ]
}

/// Encodes four words as big-endian bytes.
const fn bytes(words: [u64; 4]) -> [u8; COORDINATE] {
    let mut bytes = [0; COORDINATE];
    let mut byte = 0;
    while byte < COORDINATE {
        bytes[31 - byte] = (words[byte / 8] >> (8 * (byte % 8))) as u8;
        byte += 1;
    }
    bytes
}

fn words(bytes: &[u8; COORDINATE]) -> [u64; 4] {
    let (big_endian, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|word| u64::from_be_bytes(big_endian[3 - word]))
}

/// Returns whether the bytes encode a number below p, as SEC 1 requires of a coordinate.
pub(crate) fn is_coordinate(bytes: &[u8; COORDINATE]) -> bool {
    let number = words(bytes);
    number.iter().rev().lt(P_WORDS.iter().rev())
}

/// Loads numbers, one for each lane, without the Montgomery factor.
#[inline(always)]
pub(crate) fn load<V: Vector>(numbers: &[&[u8; COORDINATE]; LANES]) -> Element<V> {
    let lanes = numbers.map(|number| limbs(words(number)));
    let limb = |limb: usize| V::from_lanes(lanes.map(|lane: Limbs| lane[limb]));
    Element([limb(0), limb(1), limb(2), limb(3), limb(4)])
}

/// Returns the numbers of the lanes after a last reduction, from 0 to p inclusive.
#[inline(always)]
fn store<V: Vector>(element: &Element<V>) -> [Limbs; LANES] {
    let raw = element.multiply(&Element::raw_one());
    let [l0, l1, l2, l3, l4] = raw.0;
    let limbs = [
        l0.to_lanes(),
        l1.to_lanes(),
        l2.to_lanes(),
        l3.to_lanes(),
        l4.to_lanes(),
    ];
    std::array::from_fn(|lane| std::array::from_fn(|limb| limbs[limb][lane]))
}

/// Returns for each lane whether the element is zero modulo p. Not for secrets.
#[inline(always)]
pub(crate) fn zero_lanes<V: Vector>(element: &Element<V>) -> [bool; LANES] {
    store(element).map(|limbs| limbs == [0; LIMBS] || limbs == P)
}

/// Writes the elements as big-endian bytes and below p. Only the bytes depend on the elements.
#[inline(always)]
pub(crate) fn write<V: Vector>(element: &Element<V>, numbers: &mut [[u8; COORDINATE]]) {
    let mut lanes = store(element);
    for (number, limbs) in numbers.iter_mut().zip(&lanes) {
        let mut words = [
            limbs[0] | limbs[1] << 52,
            limbs[1] >> 12 | limbs[2] << 40,
            limbs[2] >> 24 | limbs[3] << 28,
            limbs[3] >> 36 | limbs[4] << 16,
        ];
        // The only number that is not below p is p.
        let differences = words.iter().zip(&P_WORDS).map(|(word, p)| word ^ p);
        let different = differences.fold(0, |any, difference| any | difference);
        let keep = ((different | different.wrapping_neg()) >> 63).wrapping_neg();
        let (big_endian, _) = number.as_chunks_mut::<8>();
        for (chunk, word) in big_endian.iter_mut().rev().zip(&words) {
            *chunk = (word & keep).to_be_bytes();
        }
        crate::wipe::wipe(&mut words);
    }
    crate::wipe::wipe(&mut lanes);
}
