//! Arithmetic modulo p = 2^256 - 2^224 + 2^192 + 2^96 - 1 in eight lanes, radix 2^52, Montgomery
//! form with R = 2^260.
//!
//! Three types say what has been done to a number. An [`Element`] has carried limbs and may be
//! multiplied. [`Loose`] limbs are the result of a reduction, a sum or a difference; they are
//! signed, and a carry makes them an element. [`Columns`] are a product before its reduction.
//!
//! The numbers are not reduced below p. An element is below 16p = 2^260, and each formula in
//! `point.rs` keeps its own bounds: the result of a reduction of `a * b` is below
//! `p + a * b / 2^260`, and a difference gets a multiple of p that makes it positive. The test
//! `bounds.rs` proves by interval arithmetic that no limb leaves its range.

use super::vector::Vector;

/// Number of limbs of an element.
pub(crate) const LIMBS: usize = 5;
/// Number of bits of a limb.
pub(crate) const LIMB_BITS: u32 = 52;
/// The bits of a limb.
pub(crate) const MASK: u64 = (1 << LIMB_BITS) - 1;
/// 2^256 in the fifth limb, where limbs begin at bit 208.
const TOP_BITS: u32 = 256 - 4 * LIMB_BITS;

// p + 1 = 2^44 * 2^52 + 2^36 * 2^156 + (2^48 - 2^16) * 2^208: limbs 1, 3 and 4.
const P1: u64 = 1 << 44;
const P3: u64 = 1 << 36;
const P4: u64 = (1 << 48) - (1 << 16);

/// A number below 2^260 whose limbs are below 2^52.
#[derive(Clone, Copy)]
pub(crate) struct Element<V>(pub(crate) [V; LIMBS]);

/// A number with signed limbs of up to 63 bits.
#[derive(Clone, Copy)]
pub(crate) struct Loose<V>(pub(crate) [V; LIMBS]);

/// A product: ten columns of up to 63 bits, signed after a subtraction.
#[derive(Clone, Copy)]
pub(crate) struct Columns<V>([V; 2 * LIMBS]);

impl<V: Vector> Element<V> {
    /// Copies one number to all lanes.
    #[inline(always)]
    pub(crate) fn splat(limbs: [u64; LIMBS]) -> Self {
        let [l0, l1, l2, l3, l4] = limbs;
        Self([
            V::splat(l0),
            V::splat(l1),
            V::splat(l2),
            V::splat(l3),
            V::splat(l4),
        ])
    }

    /// Returns the number that makes a multiplication remove the Montgomery factor.
    #[inline(always)]
    pub(crate) fn raw_one() -> Self {
        Self::splat([1, 0, 0, 0, 0])
    }

    /// Multiplies without reduction.
    #[inline(always)]
    pub(crate) fn columns(&self, other: &Self) -> Columns<V> {
        let (a, b) = (&self.0, &other.0);
        let mut t = [V::splat(0); 2 * LIMBS];
        for i in 0..LIMBS {
            for j in 0..LIMBS {
                t[i + j] = t[i + j].add_product_low(a[i], b[j]);
                t[i + j + 1] = t[i + j + 1].add_product_high(a[i], b[j]);
            }
        }
        Columns(t)
    }

    /// Squares without reduction: each product of two limbs is computed once and doubled.
    #[inline(always)]
    pub(crate) fn square_columns(&self) -> Columns<V> {
        let a = &self.0;
        let mut t = [V::splat(0); 2 * LIMBS];
        for i in 0..LIMBS {
            for j in i + 1..LIMBS {
                t[i + j] = t[i + j].add_product_low(a[i], a[j]);
                t[i + j + 1] = t[i + j + 1].add_product_high(a[i], a[j]);
            }
        }
        for column in &mut t[1..2 * LIMBS - 1] {
            *column = *column + *column;
        }
        for i in 0..LIMBS {
            t[2 * i] = t[2 * i].add_product_low(a[i], a[i]);
            t[2 * i + 1] = t[2 * i + 1].add_product_high(a[i], a[i]);
        }
        Columns(t)
    }

    /// Multiplies; the limbs of the product are not carried.
    #[inline(always)]
    pub(crate) fn times(&self, other: &Self) -> Loose<V> {
        self.columns(other).reduce()
    }

    /// Multiplies.
    #[inline(always)]
    pub(crate) fn multiply(&self, other: &Self) -> Self {
        self.times(other).carry()
    }

    /// Squares; the limbs of the square are not carried.
    #[inline(always)]
    pub(crate) fn squared(&self) -> Loose<V> {
        self.square_columns().reduce()
    }

    /// Squares.
    #[inline(always)]
    pub(crate) fn square(&self) -> Self {
        self.squared().carry()
    }

    /// Returns the same limbs for additions and subtractions.
    #[inline(always)]
    pub(crate) fn loose(&self) -> Loose<V> {
        Loose(self.0)
    }

    /// Sets the bits of `other` in the lanes whose mask is all ones.
    #[inline(always)]
    pub(crate) fn or_masked(&self, other: &Self, mask: V) -> Self {
        let mut x = self.0;
        for (limb, other) in x.iter_mut().zip(&other.0) {
            *limb = *limb | (*other & mask);
        }
        Self(x)
    }

    /// Returns `other` in the lanes whose mask is all ones, and `self` in the others.
    #[inline(always)]
    pub(crate) fn replaced(&self, other: &Self, mask: V) -> Self {
        let mut x = self.0;
        for (limb, other) in x.iter_mut().zip(&other.0) {
            *limb = *limb ^ ((*limb ^ *other) & mask);
        }
        Self(x)
    }
}

impl<V: Vector> Columns<V> {
    /// Subtracts without borrows.
    #[inline(always)]
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let mut x = self.0;
        for (limb, other) in x.iter_mut().zip(&other.0) {
            *limb = *limb - *other;
        }
        Self(x)
    }

    /// Divides by R modulo p.
    ///
    /// Each step adds the multiple `m` of p that makes the lowest column divisible by 2^52. Since
    /// -1/p is 1 modulo 2^52, `m` is the low limb of that column, and the lowest limb of `m * p` is
    /// never computed: with p = (p + 1) - 1, subtracting `m` leaves the carry of the column.
    #[inline(always)]
    pub(crate) fn reduce(&self) -> Loose<V> {
        let mut t = self.0;
        let mask = V::splat(MASK);
        let p1 = V::splat(P1);
        let p3 = V::splat(P3);
        let p4 = V::splat(P4);
        for i in 0..LIMBS {
            let m = t[i] & mask;
            t[i + 1] = (t[i + 1] + t[i].shift_right::<LIMB_BITS>()).add_product_low(m, p1);
            t[i + 2] = t[i + 2].add_product_high(m, p1);
            t[i + 3] = t[i + 3].add_product_low(m, p3);
            t[i + 4] = t[i + 4].add_product_high(m, p3).add_product_low(m, p4);
            t[i + 5] = t[i + 5].add_product_high(m, p4);
        }
        Loose([t[5], t[6], t[7], t[8], t[9]])
    }
}

impl<V: Vector> Loose<V> {
    /// Carries the limbs. The number has to be between 0 and 2^260.
    #[inline(always)]
    pub(crate) fn carry(&self) -> Element<V> {
        let mut x = self.0;
        let mask = V::splat(MASK);
        for i in 0..LIMBS - 1 {
            x[i + 1] = x[i + 1] + x[i].shift_right::<LIMB_BITS>();
            x[i] = x[i] & mask;
        }
        Element(x)
    }

    /// Brings a number between 0 and 2^261 close to p, for less than the price of a reduction:
    /// takes the multiple of 2^256 away and adds its remainder modulo p, 2^224 - 2^192 - 2^96 + 1.
    ///
    /// Limbs below the highest may still be negative. The offset keeps as much in the highest limb
    /// as they can borrow.
    #[inline(always)]
    pub(crate) fn fold(&self) -> Self {
        const OFFSET: u64 = 1 << 12;
        let mut x = self.0;
        let top = x[4] - V::splat(OFFSET);
        let multiple = top.shift_right::<TOP_BITS>();
        x[0] = x[0] + multiple;
        x[1] = x[1] - multiple.shift_left::<44>();
        x[3] = x[3] - multiple.shift_left::<36>();
        x[4] = (top & V::splat((1 << TOP_BITS) - 1)) + V::splat(OFFSET);
        x[4] = x[4] + multiple.shift_left::<16>();
        Self(x)
    }

    /// Adds limb by limb.
    #[inline(always)]
    pub(crate) fn plus(&self, other: &Self) -> Self {
        let mut x = self.0;
        for (limb, other) in x.iter_mut().zip(&other.0) {
            *limb = *limb + *other;
        }
        Self(x)
    }

    /// Subtracts limb by limb.
    #[inline(always)]
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let mut x = self.0;
        for (limb, other) in x.iter_mut().zip(&other.0) {
            *limb = *limb - *other;
        }
        Self(x)
    }

    /// Doubles each limb.
    #[inline(always)]
    pub(crate) fn doubled(&self) -> Self {
        self.plus(self)
    }

    /// Adds `MULTIPLE` times p.
    #[inline(always)]
    pub(crate) fn plus_p<const MULTIPLE: u64>(&self) -> Self {
        let mut x = self.0;
        x[0] = x[0] - V::splat(MULTIPLE);
        x[1] = x[1] + V::splat(MULTIPLE * P1);
        x[3] = x[3] + V::splat(MULTIPLE * P3);
        x[4] = x[4] + V::splat(MULTIPLE * P4);
        Self(x)
    }

    /// Negates the lanes whose mask is all ones.
    #[inline(always)]
    pub(crate) fn negate_if(&self, mask: V) -> Self {
        let mut x = self.0;
        for limb in &mut x {
            *limb = limb.negate_if(mask);
        }
        Self(x)
    }
}
