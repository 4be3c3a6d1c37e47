//! Multiplication of many points by one scalar, in groups of eight points.
//!
//! 1. Decode the points, check that they are on the curve, and put the base point into the lanes of
//!    those that are not. The sequence of operations thus never depends on the points.
//! 2. Compute the odd multiples 1, 3, ..., 15 of each point, and make them affine. The groups share
//!    one inversion.
//! 3. For each digit of the scalar, double four times and add the multiple that the digit selects.
//! 4. Make the products affine. The groups share one inversion.

use super::encoding::{self, B, BASE_POINT, COORDINATE, ONE, R_SQUARED};
use super::field::Element;
use super::inversion::invert_all;
use super::point::{Affine, Jacobian};
use super::recoding::{Digit, ENTRIES, Recoding};
use super::vector::{LANES, Vector};
use crate::keys::POINT_LENGTH;

/// Maximum number of points of a batch: 32 groups, whose tables have a size of 250 KiB.
pub(crate) const MAX_POINTS: usize = 256;

/// The first byte of an uncompressed point.
pub(crate) const UNCOMPRESSED: u8 = 4;

/// The points to multiply, and the places for the results. The three slices have one length, at
/// most [`MAX_POINTS`].
pub(crate) struct Batch<'a> {
    /// The uncompressed points.
    pub(crate) points: &'a [&'a [u8; POINT_LENGTH]],
    /// Whether each point is a point of the curve.
    pub(crate) valid: &'a mut [bool],
    /// The x coordinates of the products; meaningless where the point is not valid.
    pub(crate) products: &'a mut [[u8; COORDINATE]],
}

/// Eight points and their odd multiples.
pub(super) struct Group<V> {
    pub(super) multiples: [Affine<V>; ENTRIES],
    /// The factors between the z coordinates of a multiple and the next.
    factors: [Element<V>; ENTRIES - 1],
}

/// Constants in Montgomery form.
pub(super) struct Constants<V> {
    one: Element<V>,
    r_squared: Element<V>,
    b: Element<V>,
    base_point: Affine<V>,
}

/// Multiplies the points by the scalar.
#[inline(always)]
pub(crate) fn multiply<V: Vector>(scalar: &Recoding, batch: &mut Batch<'_>) {
    let constants = Constants::new();
    let count = batch.points.len().div_ceil(LANES);
    let mut groups: Vec<Group<V>> = Vec::with_capacity(count);
    let mut z: Vec<Element<V>> = Vec::with_capacity(count);
    let mut x: Vec<Element<V>> = Vec::with_capacity(count);
    let mut scratch: Vec<Element<V>> = Vec::with_capacity(count);

    let chunks = batch.points.chunks(LANES);
    for (points, valid) in chunks.zip(batch.valid.chunks_mut(LANES)) {
        let (group, last_z) = Group::new(constants.decode(points, valid), &constants.one);
        groups.push(group);
        z.push(last_z);
    }
    invert_all(&mut z, &mut scratch);
    for (group, z) in groups.iter_mut().zip(&mut z) {
        group.make_affine(z);
        let product = group.multiply(scalar, &constants.one);
        x.push(product.x);
        *z = product.z;
    }
    invert_all(&mut z, &mut scratch);
    let products = batch.products.chunks_mut(LANES);
    for ((x, z_inverse), products) in x.iter().zip(&z).zip(products) {
        encoding::write(&x.multiply(&z_inverse.square()), products);
    }
    for secrets in [&mut x, &mut z, &mut scratch] {
        secrets.fill(Element::splat([0; 5]));
        zeroize::optimization_barrier(secrets.as_slice());
    }
}

impl<V: Vector> Constants<V> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        let r_squared = Element::splat(R_SQUARED);
        let [x, y] = &BASE_POINT;
        let x = encoding::load(&[x; LANES]);
        let y = encoding::load(&[y; LANES]);
        Self {
            one: Element::splat(ONE),
            b: Element::splat(B).multiply(&r_squared),
            base_point: Affine {
                x: x.multiply(&r_squared),
                y: y.times(&r_squared).doubled().carry(),
            },
            r_squared,
        }
    }

    /// Decodes up to eight points into a group. Lanes without a valid point get the base point.
    #[inline(always)]
    fn decode(&self, points: &[&[u8; POINT_LENGTH]], valid: &mut [bool]) -> Affine<V> {
        let [base_x, base_y] = &BASE_POINT;
        let mut x = [base_x; LANES];
        let mut y = [base_y; LANES];
        for (lane, (point, valid)) in points.iter().zip(valid.iter_mut()).enumerate() {
            let (coordinates, _) = point[1..].as_chunks::<COORDINATE>();
            let [point_x, point_y] = coordinates else {
                continue;
            };
            let in_range = encoding::is_coordinate(point_x) && encoding::is_coordinate(point_y);
            *valid = point[0] == UNCOMPRESSED && in_range;
            if *valid {
                x[lane] = point_x;
                y[lane] = point_y;
            }
        }
        let x = encoding::load(&x).multiply(&self.r_squared);
        let y = encoding::load(&y).multiply(&self.r_squared);
        let on_curve = encoding::zero_lanes(&self.curve_equation(&x, &y));
        for (valid, on_curve) in valid.iter_mut().zip(on_curve) {
            *valid &= on_curve;
        }
        let off_curve = V::from_lanes(on_curve.map(|on_curve| u64::from(on_curve).wrapping_sub(1)));
        let y_doubled = y.loose().doubled().carry();
        Affine {
            x: x.replaced(&self.base_point.x, off_curve),
            y: y_doubled.replaced(&self.base_point.y, off_curve),
        }
    }

    /// Returns y^2 - (x^2 - 3) x - b, which is zero modulo p for the points of the curve.
    #[inline(always)]
    pub(super) fn curve_equation(&self, x: &Element<V>, y: &Element<V>) -> Element<V> {
        let one = self.one.loose();
        let three = one.plus(&one.doubled());
        let factor = x.squared().minus(&three).plus_p::<3>().carry();
        let right = factor.times(x).plus(&self.b.loose());
        y.squared().minus(&right).plus_p::<4>().carry()
    }
}

impl<V: Vector> Group<V> {
    /// Computes the odd multiples of a group of points, and the z coordinate of the last multiple.
    /// That of a multiple before is this one without the factors after it.
    #[inline(always)]
    pub(super) fn new(point: Affine<V>, one: &Element<V>) -> (Self, Element<V>) {
        let doubled = point.double(one);
        let mut multiples = [point; ENTRIES];
        let mut factors = [*one; ENTRIES - 1];
        let mut double = doubled.double;
        let mut last = doubled.same_z;
        let mut z = point.y;
        for (multiple, factor) in multiples[1..].iter_mut().zip(&mut factors) {
            let sum = double.add_same_z(&last);
            double = sum.first;
            last = sum.sum;
            z = z.multiply(&sum.factor);
            *multiple = last;
            *factor = sum.factor;
        }
        (Self { multiples, factors }, z)
    }

    /// Makes the multiples affine. Gets the inverse of the last z.
    #[inline(always)]
    pub(super) fn make_affine(&mut self, last_inverse: &Element<V>) {
        let mut inverse = *last_inverse;
        let multiples = self.multiples[1..].iter_mut().zip(&self.factors);
        for (multiple, factor) in multiples.rev() {
            let squared = inverse.square();
            let cubed = squared.multiply(&inverse);
            multiple.x = multiple.x.multiply(&squared);
            multiple.y = multiple.y.multiply(&cubed);
            inverse = inverse.multiply(factor);
        }
    }

    /// Multiplies the points by the scalar.
    #[inline(always)]
    fn multiply(&self, scalar: &Recoding, one: &Element<V>) -> Jacobian<V> {
        let (highest, digits) = scalar.digits();
        let Affine { x, y } = self.select(highest);
        let mut product = Jacobian { x, y, z: *one };
        for digit in digits {
            for _ in 0..4 {
                product = product.double();
            }
            product = product.add(&self.select(digit), V::splat(digit.negative));
        }
        product
    }

    /// Returns the multiple that a digit selects, without its sign. Reads all of them.
    #[inline(always)]
    fn select(&self, digit: &Digit) -> Affine<V> {
        let zero = Element::splat([0; 5]);
        let mut selected = Affine { x: zero, y: zero };
        for (multiple, mask) in self.multiples.iter().zip(digit.entry) {
            let mask = V::splat(mask);
            selected.x = selected.x.or_masked(&multiple.x, mask);
            selected.y = selected.y.or_masked(&multiple.y, mask);
        }
        selected
    }
}
