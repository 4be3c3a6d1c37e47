//! Points of P-256 in Jacobian coordinates, eight at a time, and the three formulas that the
//! multiplication needs.
//!
//! Everywhere, `y` is **twice** the y coordinate. This removes the halving from the doubling, and
//! the formulas below are the published ones with that substitution.
//!
//! Between the formulas, x is below 1.1 p, y below 5.3 p and z below 1.6 p (in the table, y is below
//! 7 p). Each difference gets a multiple of p that is larger than what is subtracted; `bounds.rs`
//! proves these bounds.

use super::field::{Element, Loose};
use super::vector::Vector;

/// An affine point, y doubled.
#[derive(Clone, Copy)]
pub(crate) struct Affine<V> {
    pub(crate) x: Element<V>,
    pub(crate) y: Element<V>,
}

/// A Jacobian point (x / z^2, y / z^3), y doubled.
#[derive(Clone, Copy)]
pub(crate) struct Jacobian<V> {
    pub(crate) x: Element<V>,
    pub(crate) y: Element<V>,
    pub(crate) z: Element<V>,
}

/// The coordinates of a doubled point, and those of the point itself for the same z.
pub(crate) struct Doubled<V> {
    pub(crate) double: Affine<V>,
    pub(crate) same_z: Affine<V>,
}

/// The sum of two points with one z, and the first of the two points for the z of the sum, which is
/// the old z times `factor`.
pub(crate) struct SameZSum<V> {
    pub(crate) sum: Affine<V>,
    pub(crate) first: Affine<V>,
    pub(crate) factor: Element<V>,
}

/// Doubles the point (x, y, z), of which z enters only by its square. The new z is y * z.
///
/// "dbl-2001-b" of the Explicit-Formulas Database with a = -3, that is, alpha = 3 (x - z^2)
/// (x + z^2). With y doubled, y^2 is 4 Y^2, and no factor is left: x' = alpha^2 - 2 x y^2,
/// y' / 2 = alpha (x y^2 - x') - y^4 / 2. The two products of y' share one reduction.
#[inline(always)]
fn double_xy<V: Vector>(x: &Element<V>, y: &Element<V>, z_squared: &Loose<V>) -> Doubled<V> {
    let y_squared = y.square();
    let s = x.times(&y_squared);
    let difference = x.loose().minus(z_squared).plus_p::<2>();
    let tripled = difference.plus(&difference.doubled()).carry();
    let alpha = tripled.multiply(&x.loose().plus(z_squared).carry());
    let new_x = alpha.squared().minus(&s.doubled()).plus_p::<3>();
    let new_x = new_x.fold().carry();
    let rest = s.minus(&new_x.loose()).plus_p::<2>().doubled().carry();
    let y_fourth = y_squared.square_columns();
    let new_y = alpha.columns(&rest).minus(&y_fourth).reduce();
    Doubled {
        double: Affine {
            x: new_x,
            y: new_y.plus_p::<1>().carry(),
        },
        same_z: Affine {
            x: s.carry(),
            y: y_fourth.reduce().carry(),
        },
    }
}

impl<V: Vector> Affine<V> {
    /// Doubles the point. The z of both results is [`Self::y`].
    #[inline(always)]
    pub(crate) fn double(&self, one: &Element<V>) -> Doubled<V> {
        double_xy(&self.x, &self.y, &one.loose())
    }

    /// Adds two different points that have the same z.
    ///
    /// The co-Z addition with update ("ZADDU": Meloni 2007; Goundar, Joye and Miyaji 2010), scaled
    /// by 2: C = (2 (x1 - x2))^2, W1 = x1 C, W2 = x2 C, x' = (y1 - y2)^2 - W1 - W2, and
    /// y' = 2 (y1 - y2) (W1 - x') - y1 (2 (x1 - x2))^3.
    #[inline(always)]
    pub(crate) fn add_same_z(&self, other: &Self) -> SameZSum<V> {
        let difference = self.x.loose().minus(&other.x.loose()).plus_p::<2>();
        let factor = difference.doubled().carry();
        let factor_squared = factor.square();
        let w1 = self.x.multiply(&factor_squared);
        let w2 = other.x.times(&factor_squared);
        let first_y = self.y.multiply(&factor_squared).multiply(&factor);
        let slope = self.y.loose().minus(&other.y.loose()).plus_p::<7>().carry();
        let x = slope.squared().minus(&w1.loose()).minus(&w2).plus_p::<4>();
        let x = x.fold().carry();
        let rest = w1.loose().minus(&x.loose()).plus_p::<2>().doubled().carry();
        let y = slope.times(&rest).minus(&first_y.loose()).plus_p::<2>();
        SameZSum {
            sum: Self { x, y: y.carry() },
            first: Self { x: w1, y: first_y },
            factor,
        }
    }
}

impl<V: Vector> Jacobian<V> {
    /// Doubles the point: 4 multiplications and 4 squarings.
    #[inline(always)]
    pub(crate) fn double(&self) -> Self {
        let Affine { x, y } = double_xy(&self.x, &self.y, &self.z.squared()).double;
        let z = self.y.multiply(&self.z);
        Self { x, y, z }
    }

    /// Adds an affine point, negated in the lanes whose mask is all ones. The two points have to be
    /// different, and not each other's negative: 8 multiplications and 3 squarings.
    ///
    /// "madd-2007-bl" of the Explicit-Formulas Database. With H = x2 z^2 - x and r = y2 z^3 - y
    /// (which contains the factor 2 of the database): I = (2 H)^2, J = H I, V = x I,
    /// x' = r^2 - J - 2 V, y' = 2 r (V - x') - 2 y J, z' = 2 z H. The two products of y' share one
    /// reduction.
    #[inline(always)]
    pub(crate) fn add(&self, other: &Affine<V>, negate: V) -> Self {
        let z_squared = self.z.square();
        let z_cubed = z_squared.multiply(&self.z);
        let difference = other.x.times(&z_squared).minus(&self.x.loose());
        let difference = difference.plus_p::<2>();
        let h = difference.carry();
        let h_doubled = difference.doubled().carry();
        let other_y = other.y.times(&z_cubed).negate_if(negate);
        let r = other_y.minus(&self.y.loose()).plus_p::<5>().carry();
        let z = self.z.multiply(&h_doubled);
        let i = h_doubled.square();
        let j = h.times(&i);
        let v = self.x.times(&i);
        let x = r.squared().minus(&j).minus(&v.doubled()).plus_p::<6>();
        let x = x.fold().carry();
        let rest = v.minus(&x.loose()).plus_p::<2>().doubled().carry();
        let second = self.y.columns(&j.doubled().carry());
        let y = r.columns(&rest).minus(&second).reduce();
        let y = y.plus_p::<2>().carry();
        Self { x, y, z }
    }
}
