//! Tests of both implementations, and of the model on plain integers, against two scalar libraries.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod differential;
mod field;
mod wycheproof;

use p256::elliptic_curve::PrimeField as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{AffinePoint, ProjectivePoint, Scalar};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;

use super::*;

/// The results of a key agreement with several public keys.
type Secrets = Vec<Result<Vec<u8>, EciesError>>;

/// An implementation to test.
#[derive(Clone, Copy, Debug)]
enum Tested {
    Model,
    Product(Implementation),
}

/// Returns every implementation that this processor supports.
fn implementations() -> Vec<Tested> {
    let products = [
        Some(Implementation::scalar()),
        Implementation::eight_lanes(),
    ];
    let products = products.into_iter().flatten().map(Tested::Product);
    products.chain([Tested::Model]).collect()
}

impl Tested {
    fn agree(self, scalar: &FixedScalar, points: &[[u8; POINT_LENGTH]]) -> Secrets {
        let points: Vec<&[u8; POINT_LENGTH]> = points.iter().collect();
        let mut secrets = Vec::new();
        let mut push = |index, secret: Result<&[u8], EciesError>| {
            assert_eq!(index, secrets.len());
            secrets.push(secret.map(<[u8]>::to_vec));
        };
        match (self, &scalar.recoding) {
            (Self::Product(implementation), _) => {
                scalar.agree_batch_with(implementation, &points, push);
            }
            (Self::Model, Some(recoding)) => {
                for (chunk, points) in points.chunks(MAX_POINTS).enumerate() {
                    let mut valid = vec![false; points.len()];
                    let mut products = vec![[0; SCALAR_LENGTH]; points.len()];
                    let mut batch = Batch {
                        points,
                        valid: &mut valid,
                        products: &mut products,
                    };
                    multiply::multiply::<portable::Lanes>(recoding, &mut batch);
                    for (index, product) in products.iter().enumerate() {
                        let secret = valid[index].then_some(product.as_slice());
                        push(
                            chunk * MAX_POINTS + index,
                            secret.ok_or(EciesError::NotAPoint),
                        );
                    }
                }
            }
            (Self::Model, None) => scalar.agree_batch_with(Implementation::scalar(), &points, push),
        }
        secrets
    }
}

fn encode(point: &AffinePoint) -> [u8; POINT_LENGTH] {
    point.to_sec1_point(false).as_bytes().try_into().unwrap()
}

fn random_scalar(rng: &mut ChaCha20Rng) -> Scalar {
    loop {
        let mut bytes = [0; SCALAR_LENGTH];
        rng.fill_bytes(&mut bytes);
        if let Some(scalar) = Scalar::from_repr(bytes.into()).into_option() {
            return scalar;
        }
    }
}

fn fixed(scalar: &Scalar) -> FixedScalar {
    FixedScalar::new(&scalar.to_repr().into()).unwrap()
}

/// Returns points that nobody chose: a random one, and its sums with multiples of another.
fn random_points(count: usize, rng: &mut ChaCha20Rng) -> Vec<AffinePoint> {
    let step = ProjectivePoint::GENERATOR * random_scalar(rng);
    let mut point = ProjectivePoint::GENERATOR * random_scalar(rng);
    let mut next = || {
        point += step;
        point.to_affine()
    };
    (0..count).map(|_| next()).collect()
}
