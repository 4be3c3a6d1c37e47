//! The arithmetic modulo p on chosen and random numbers, against another library's integers.

use p256::elliptic_curve::bigint::{Encoding as _, NonZero, U256};

use super::super::encoding::{self, COORDINATE, R_SQUARED};
use super::super::field::Element;
use super::super::inversion::invert_all;
use super::super::vector::{LANES, Vector};
use super::*;

const P: U256 =
    U256::from_be_hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");

fn modulus() -> NonZero<U256> {
    NonZero::new(P).unwrap()
}

/// Returns numbers with extreme limbs, those around 0 and p, and random ones.
fn numbers() -> Vec<U256> {
    let mut numbers = vec![U256::ZERO, U256::ONE, P.wrapping_sub(&U256::ONE)];
    for bit in [51, 52, 53, 96, 103, 104, 155, 156, 192, 207, 208, 224, 255] {
        let power = U256::ONE.shl(bit);
        numbers.extend([
            power,
            power.wrapping_sub(&U256::ONE),
            P.wrapping_sub(&power),
        ]);
    }
    let mut rng = ChaCha20Rng::seed_from_u64(20);
    while numbers.len() < 96 {
        let mut bytes = [0; COORDINATE];
        rng.fill_bytes(&mut bytes);
        numbers.push(U256::from_be_bytes(bytes.into()));
    }
    numbers
        .into_iter()
        .map(|number| number.rem(&modulus()))
        .collect()
}

fn bytes(number: &U256) -> [u8; COORDINATE] {
    number.to_be_bytes().into()
}

/// Loads a number into all lanes, in Montgomery form.
fn element<V: Vector>(number: &U256) -> Element<V> {
    let bytes = bytes(number);
    encoding::load(&[&bytes; LANES]).multiply(&Element::splat(R_SQUARED))
}

fn assert_is<V: Vector>(element: &Element<V>, expected: &U256) {
    let mut written = [[9; COORDINATE]; LANES];
    encoding::write(element, &mut written);
    assert_eq!(written, [bytes(expected); LANES]);
    assert_eq!(
        encoding::zero_lanes(element),
        [*expected == U256::ZERO; LANES]
    );
}

/// The model only: the vector instructions run the same code in the differential tests.
type Model = portable::Lanes;

#[test]
fn products_squares_sums_and_differences() {
    let numbers = numbers();
    for a in &numbers {
        let element_a = element::<Model>(a);
        assert_is(&element_a, a);
        assert_is(&element_a.square(), &a.mul_mod(a, &modulus()));
        for b in &numbers {
            let element_b = element::<Model>(b);
            assert_is(&element_a.multiply(&element_b), &a.mul_mod(b, &modulus()));
            let (a_loose, b_loose) = (element_a.loose(), element_b.loose());
            assert_is(&a_loose.plus(&b_loose).carry(), &a.add_mod(b, &modulus()));
            let difference = a_loose.minus(&b_loose).plus_p::<2>();
            assert_is(&difference.carry(), &a.sub_mod(b, &modulus()));
            assert_is(&difference.fold().carry(), &a.sub_mod(b, &modulus()));
            let fused = element_a
                .columns(&element_b)
                .minus(&element_b.square_columns());
            let expected = a.sub_mod(b, &modulus()).mul_mod(b, &modulus());
            assert_is(&fused.reduce().plus_p::<2>().carry(), &expected);
        }
    }
}

#[test]
fn inverses() {
    let numbers: Vec<U256> = numbers()
        .into_iter()
        .filter(|number| *number != U256::ZERO)
        .collect();
    for size in [0, 1, 2, numbers.len()] {
        let elements: Vec<Element<Model>> = numbers[..size].iter().map(element).collect();
        let mut inverses = elements.clone();
        invert_all(&mut inverses, &mut Vec::new());
        for (element, inverse) in elements.iter().zip(&inverses) {
            assert_is(&element.multiply(inverse), &U256::ONE);
        }
    }
}

#[test]
fn lanes_are_independent() {
    let numbers = numbers();
    for chunk in numbers.chunks_exact(LANES) {
        let bytes: Vec<[u8; COORDINATE]> = chunk.iter().map(bytes).collect();
        let lanes: [&[u8; COORDINATE]; LANES] = std::array::from_fn(|lane| &bytes[lane]);
        let loaded: Element<Model> = encoding::load(&lanes);
        let square = loaded.multiply(&Element::splat(R_SQUARED)).square();
        let mut written = [[0; COORDINATE]; LANES];
        encoding::write(&square, &mut written);
        for (written, number) in written.iter().zip(chunk) {
            assert_eq!(
                *written,
                super::field::bytes(&number.mul_mod(number, &modulus()))
            );
        }
    }
}

#[test]
fn only_numbers_below_p_are_coordinates() {
    for number in numbers() {
        assert!(encoding::is_coordinate(&bytes(&number)));
    }
    assert!(!encoding::is_coordinate(&bytes(&P)));
    assert!(!encoding::is_coordinate(&bytes(
        &P.wrapping_add(&U256::ONE)
    )));
    assert!(!encoding::is_coordinate(&[0xff; COORDINATE]));
}
