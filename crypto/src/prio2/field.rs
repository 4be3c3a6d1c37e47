//! The field of ENPA: the integers mod p = 2^32 - 2^20 + 1. An element is a `u32` below p.

/// The field modulus p = 2^32 - 2^20 + 1.
pub const MODULUS: u32 = 4_293_918_721;

/// Binary logarithm of the order of the group of roots of unity.
pub(super) const ORDER_LOG: u32 = 20;
/// Generator of the group of order 2^20. The choice is libprio's, because the roots are part of the
/// format.
const GENERATOR: u32 = 3_925_978_153;

/// Computes a + b.
#[inline]
pub(super) fn add(a: u32, b: u32) -> u32 {
    sub(a, neg(b))
}

/// Computes a - b.
#[inline]
pub(super) fn sub(a: u32, b: u32) -> u32 {
    // p leaves no spare bit in 32, so the test uses the borrow instead of the size.
    let difference = a.wrapping_sub(b);
    if a < b {
        difference.wrapping_add(MODULUS)
    } else {
        difference
    }
}

/// Computes p - b, which is p itself for 0 and therefore valid only as an operand of [`sub`].
#[inline]
fn neg(b: u32) -> u32 {
    MODULUS - b
}

/// Computes a * b.
#[inline]
pub(super) fn mul(a: u32, b: u32) -> u32 {
    reduce(u64::from(a) * u64::from(b))
}

/// Computes x mod p.
#[inline]
pub(super) fn reduce(x: u64) -> u32 {
    // The remainder is below p, so the cast is lossless.
    (x % u64::from(MODULUS)) as u32
}

/// Raises a to the power of `exponent`.
pub(super) fn pow(a: u32, mut exponent: u64) -> u32 {
    let (mut base, mut result) = (a, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul(result, base);
        }
        base = mul(base, base);
        exponent >>= 1;
    }
    result
}

/// Computes 1 / a; returns 0 for 0.
pub(super) fn inverse(a: u32) -> u32 {
    pow(a, u64::from(MODULUS) - 2)
}

/// Computes 1 / n for a power of two n up to 2^20.
pub(super) fn one_over(n: usize) -> u32 {
    debug_assert!(n.is_power_of_two() && n <= 1 << ORDER_LOG);
    // Such an n divides p - 1, which is -1 mod p. A power of two up to 2^20 fits into 32 bits.
    MODULUS - (MODULUS - 1) / n as u32
}

/// Returns the primitive root of unity of `order`, a power of two up to 2^20.
pub(super) fn root(order: usize) -> u32 {
    debug_assert!(order.is_power_of_two() && order <= 1 << ORDER_LOG);
    pow(GENERATOR, (1 << ORDER_LOG) / order as u64)
}

/// Returns all powers of the root of unity of `order`, beginning with power 0.
pub(super) fn roots(order: usize) -> Vec<u32> {
    let root = root(order);
    std::iter::successors(Some(1), |&power| Some(mul(power, root)))
        .take(order)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn modulus_and_roots_are_those_of_the_format() {
        assert_eq!(u64::from(MODULUS), (1 << 32) - (1 << 20) + 1);
        assert_eq!((root(4), root(8)), (37_101_870, 3_598_607_238));
        assert_eq!(pow(GENERATOR, 1 << 20), 1);
        assert_eq!(pow(GENERATOR, 1 << 19), MODULUS - 1);
        assert_eq!(roots(4), [1, 37_101_870, MODULUS - 1, MODULUS - 37_101_870]);
    }

    proptest! {
        #[test]
        fn arithmetic_agrees_with_wide_integers(a in 0..MODULUS, b in 0..MODULUS) {
            let (wide_a, wide_b, p) = (u128::from(a), u128::from(b), u128::from(MODULUS));
            prop_assert_eq!(u128::from(add(a, b)), (wide_a + wide_b) % p);
            prop_assert_eq!(u128::from(sub(a, b)), (wide_a + p - wide_b) % p);
            prop_assert_eq!(u128::from(mul(a, b)), wide_a * wide_b % p);
            prop_assert_eq!(mul(a, inverse(a)), u32::from(a != 0));
        }
    }

    #[test]
    fn inverses_of_powers_of_two() {
        for log in 0..=ORDER_LOG {
            assert_eq!(one_over(1 << log), inverse(1 << log));
        }
    }

    #[test]
    fn arithmetic_at_the_edges() {
        let top = MODULUS - 1;
        assert_eq!((add(0, 0), add(top, 1), add(top, top)), (0, 0, top - 1));
        assert_eq!(
            (sub(0, 0), sub(0, top), sub(0, 1), sub(top, top)),
            (0, 1, top, 0)
        );
    }
}
