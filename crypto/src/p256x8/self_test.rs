//! The test of eight lanes against the scalar library, before their first use in a process.

use zeroize::Zeroizing;

use super::{FixedScalar, Implementation};
use crate::keys::{POINT_LENGTH, PacketPrivateKey, SCALAR_LENGTH};

/// Number of points: one more than a group, so that two groups share their inversions.
const POINTS: u8 = 9;

/// The results of a key agreement: `None` for an invalid point.
type Results = Vec<Option<Zeroizing<Vec<u8>>>>;

/// Returns whether the implementation gives the results of the scalar library, for two scalars, one
/// of them even, and for points of which one is not on the curve.
pub(crate) fn passes(implementation: Implementation) -> bool {
    agrees(|scalar, points| results(scalar, implementation, points))
}

/// Returns whether a key agreement gives the results of the scalar library.
fn agrees(agree: impl Fn(&FixedScalar, &[&[u8; POINT_LENGTH]]) -> Results) -> bool {
    let keys = (1..=POINTS).map(|number| PacketPrivateKey::from_scalar(&[number; SCALAR_LENGTH]));
    let Ok(keys) = keys.collect::<Result<Vec<_>, _>>() else {
        return false;
    };
    let mut points: Vec<[u8; POINT_LENGTH]> =
        keys.iter().map(|key| *key.public().as_bytes()).collect();
    points[3][POINT_LENGTH - 1] ^= 1;
    let points: Vec<&[u8; POINT_LENGTH]> = points.iter().collect();
    [&keys[0], &keys[1]].into_iter().all(|key| {
        let expected = results(&key.agreement, Implementation::scalar(), &points);
        expected[3].is_none() && agree(&key.agreement, &points) == expected
    })
}

fn results(
    scalar: &FixedScalar,
    implementation: Implementation,
    points: &[&[u8; POINT_LENGTH]],
) -> Results {
    let mut results = Vec::with_capacity(points.len());
    scalar.agree_batch_with(implementation, points, |_, secret| {
        results.push(secret.ok().map(|secret| Zeroizing::new(secret.to_vec())));
    });
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_implementations_pass() {
        assert!(passes(Implementation::scalar()));
        assert!(Implementation::eight_lanes().is_none_or(passes));
    }

    #[test]
    fn a_single_wrong_result_fails() {
        for wrong in 0..usize::from(POINTS) {
            assert!(!agrees(|scalar, points| {
                let mut results = results(scalar, Implementation::scalar(), points);
                match &mut results[wrong] {
                    Some(secret) => secret[31] ^= 1,
                    invalid => *invalid = Some(Zeroizing::new(vec![0; SCALAR_LENGTH])),
                }
                results
            }));
        }
    }
}
