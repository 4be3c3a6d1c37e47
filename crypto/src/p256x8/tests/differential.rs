//! Random and chosen scalars and points: every implementation gives the results of two libraries.

use super::*;

/// Checks all implementations against aws-lc, and every 16th point against RustCrypto.
fn check(scalar: &Scalar, points: &[[u8; POINT_LENGTH]]) {
    let fixed = fixed(scalar);
    let mut expected = Vec::new();
    for point in points {
        expected.push(fixed.agree(point, <[u8]>::to_vec));
    }
    for tested in implementations() {
        assert_eq!(
            tested.agree(&fixed, points),
            expected,
            "{tested:?}, {scalar:?}"
        );
    }
    for (point, expected) in points.iter().zip(&expected).step_by(16) {
        assert_eq!(&rust_crypto(scalar, point), expected, "{scalar:?}");
    }
}

/// Agrees with the other library.
fn rust_crypto(scalar: &Scalar, point: &[u8; POINT_LENGTH]) -> Result<Vec<u8>, EciesError> {
    if point[0] != multiply::UNCOMPRESSED {
        return Err(EciesError::NotAPoint);
    }
    let point = p256::PublicKey::from_sec1_bytes(point).map_err(|_| EciesError::NotAPoint)?;
    let product = point.to_projective() * scalar;
    Ok(encode(&product.to_affine())[1..33].to_vec())
}

/// Returns the scalar with this value, or its distance from the order if negative.
fn small(value: i64) -> Scalar {
    let scalar = Scalar::from(value.unsigned_abs());
    if value < 0 { -scalar } else { scalar }
}

/// Returns valid points at the edges: small x, x = 0, the base point, and their negatives.
fn edge_points() -> Vec<[u8; POINT_LENGTH]> {
    let mut points = vec![
        encode(&AffinePoint::GENERATOR),
        encode(&-AffinePoint::GENERATOR),
    ];
    let top = [0xff; 4]
        .into_iter()
        .chain([0, 0, 0, 1])
        .chain([0; 12])
        .chain([0xff; 12]);
    let p: [u8; SCALAR_LENGTH] = top.collect::<Vec<u8>>().try_into().unwrap();
    for distance in 0..40 {
        let mut low = [0; SCALAR_LENGTH];
        low[31] = distance;
        let mut high = p;
        high[31] -= distance;
        for (x, form) in [(low, 2), (low, 3), (high, 2), (high, 3)] {
            let compressed = [&[form], &x[..]].concat();
            if let Ok(point) = p256::PublicKey::from_sec1_bytes(&compressed) {
                points.push(encode(point.as_affine()));
            }
        }
    }
    assert!(
        points
            .iter()
            .filter(|point| point[1..33] == [0; 32])
            .count()
            == 2,
        "x = 0"
    );
    points
}

#[test]
fn random_scalars_and_points() {
    let mut rng = ChaCha20Rng::seed_from_u64(10);
    for _ in 0..16 {
        let scalar = random_scalar(&mut rng);
        let points: Vec<_> = random_points(96, &mut rng).iter().map(encode).collect();
        check(&scalar, &points);
    }
}

/// Bit patterns that make digits and carries extreme.
#[test]
fn edge_scalars() {
    let mut scalars: Vec<Scalar> = (-40..=40).filter(|value| *value != 0).map(small).collect();
    for shift in [
        4, 5, 31, 32, 63, 64, 127, 128, 191, 192, 224, 251, 252, 253, 254, 255,
    ] {
        let power = (0..shift).fold(Scalar::ONE, |power, _| power.double());
        scalars.extend([power, -power, power - Scalar::ONE, power + Scalar::ONE]);
    }
    for byte in [0x55, 0xaa, 0x0f, 0xf0, 0x11, 0x88, 0x7f] {
        scalars.extend(Scalar::from_repr([byte; SCALAR_LENGTH].into()).into_option());
    }
    let points = [
        edge_points()[2],
        encode(&AffinePoint::GENERATOR),
        edge_points()[7],
    ];
    for scalar in scalars {
        check(&scalar, &points);
    }
}

#[test]
fn weak_scalars_are_left_to_the_library() {
    for value in 1..=64 {
        let (low, high) = (fixed(&small(value)), fixed(&small(-value)));
        let is_weak = value < 32 && value % 2 == 0;
        assert_eq!(low.recoding.is_none(), is_weak, "{value}");
        assert_eq!(high.recoding.is_none(), is_weak, "-{value}");
    }
}

#[test]
fn edge_points_with_random_scalars() {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    for _ in 0..3 {
        check(&random_scalar(&mut rng), &edge_points());
    }
}

/// A change that makes a point invalid.
type Change<'a> = dyn Fn(&mut [u8; POINT_LENGTH]) + 'a;

/// Every way to be invalid, in every lane, among valid points.
#[test]
fn invalid_points_are_refused_and_disturb_no_other() {
    let mut rng = ChaCha20Rng::seed_from_u64(12);
    let scalar = random_scalar(&mut rng);
    let valid: Vec<_> = random_points(16, &mut rng).iter().map(encode).collect();
    let edge = edge_points();
    let zero = edge
        .iter()
        .position(|point| point[1..33] == [0; 32])
        .unwrap();
    let changes: [&Change<'_>; 9] = [
        &|point| point[64] ^= 1,
        &|point| point[1] ^= 0x80,
        &|point| point[1..].fill(0),
        &|point| point[1..].fill(0xff),
        &|point| point[33..].fill(0),
        &|point| point.fill(0),
        &|point| point[0] = 2,
        &|point| point[0] = 6,
        // x = p on the point with x = 0: on the curve, but not canonical.
        &|point| {
            *point = edge[zero];
            point[1..5].fill(0xff);
            point[8] = 1;
            point[21..33].fill(0xff);
        },
    ];
    for change in changes {
        for lane in 0..valid.len() {
            let mut points = valid.clone();
            change(&mut points[lane]);
            assert!(fixed(&scalar).agree(&points[lane], |_| ()).is_err());
            check(&scalar, &points);
        }
    }
}

#[test]
fn every_batch_size() {
    let mut rng = ChaCha20Rng::seed_from_u64(13);
    let scalar = random_scalar(&mut rng);
    let points: Vec<_> = random_points(520, &mut rng).iter().map(encode).collect();
    for size in [0, 1, 2, 7, 8, 9, 16, 17, 255, 256, 257, 520] {
        check(&scalar, &points[..size]);
    }
}

/// `cargo test --release -p tallybox-crypto a_million_points -- --ignored` takes some minutes.
#[test]
#[ignore = "takes minutes"]
fn a_million_points() {
    let mut rng = ChaCha20Rng::seed_from_u64(14);
    for _ in 0..1000 {
        let scalar = random_scalar(&mut rng);
        let points: Vec<_> = random_points(1000, &mut rng).iter().map(encode).collect();
        let fixed = fixed(&scalar);
        let lanes = Tested::Product(Implementation::eight_lanes().expect("AVX-512 IFMA"));
        for (point, secret) in points.iter().zip(lanes.agree(&fixed, &points)) {
            assert_eq!(secret, fixed.agree(point, <[u8]>::to_vec), "{scalar:?}");
            assert_eq!(secret, rust_crypto(&scalar, point), "{scalar:?}");
        }
    }
}
