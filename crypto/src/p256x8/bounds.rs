//! Proof that no limb leaves its range: the arithmetic runs on intervals instead of numbers.
//!
//! An [`Interval`] holds every value that a lane can have. Each operation computes the interval of
//! its results, and panics if a result could leave 64 bits, or a factor 52 bits. The state of the
//! multiplication is widened until neither a doubling nor an addition adds to it; from then on
//! every further digit stays within the same intervals.

use std::ops::{Add, BitAnd, BitOr, BitXor, Sub};

use super::encoding::{ONE, R_SQUARED};
use super::field::{Element, LIMB_BITS, LIMBS, MASK};
use super::inversion::invert_all;
use super::multiply::{Constants, Group};
use super::point::{Affine, Jacobian};
use super::vector::{LANES, Vector};

/// The values that a lane can have: all of them from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval {
    low: i128,
    high: i128,
}

impl Interval {
    fn new(low: i128, high: i128) -> Self {
        assert!(low <= high);
        let lane = i128::from(i64::MIN)..=i128::from(i64::MAX);
        assert!(
            lane.contains(&low) && lane.contains(&high),
            "a lane overflows: {low} to {high}"
        );
        Self { low, high }
    }

    fn up_to(high: u64) -> Self {
        Self::new(0, i128::from(high))
    }

    /// Returns the largest product of two factors.
    fn largest_product(a: Self, b: Self) -> i128 {
        for factor in [a, b] {
            let limb = 0..=i128::from(MASK);
            assert!(
                limb.contains(&factor.low) && limb.contains(&factor.high),
                "no limb: {factor:?}"
            );
        }
        a.high * b.high
    }

    fn hull(self, other: Self) -> Self {
        Self::new(self.low.min(other.low), self.high.max(other.high))
    }
}

impl Vector for Interval {
    fn splat(value: u64) -> Self {
        Self::new(value.into(), value.into())
    }

    fn from_lanes(lanes: [u64; LANES]) -> Self {
        let lanes = lanes.map(Self::splat);
        lanes.into_iter().fold(lanes[0], Self::hull)
    }

    fn to_lanes(self) -> [u64; LANES] {
        unreachable!("an interval has no value")
    }

    fn shift_left<const BITS: u32>(self) -> Self {
        Self::new(self.low << BITS, self.high << BITS)
    }

    fn shift_right<const BITS: u32>(self) -> Self {
        Self::new(self.low >> BITS, self.high >> BITS)
    }

    fn add_product_low(self, a: Self, b: Self) -> Self {
        let largest = Self::largest_product(a, b).min(MASK.into());
        Self::new(self.low, self.high + largest)
    }

    fn add_product_high(self, a: Self, b: Self) -> Self {
        Self::new(
            self.low,
            self.high + (Self::largest_product(a, b) >> LIMB_BITS),
        )
    }

    /// Either sign, because the mask is part of the scalar.
    fn negate_if(self, _: Self) -> Self {
        self.hull(Self::new(-self.high, -self.low))
    }
}

impl Add for Interval {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::new(self.low + other.low, self.high + other.high)
    }
}

impl Sub for Interval {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self::new(self.low - other.high, self.high - other.low)
    }
}

/// With a mask of low bits, which takes the remainder also of a negative number.
impl BitAnd for Interval {
    type Output = Self;

    fn bitand(self, mask: Self) -> Self {
        assert!(mask.low == mask.high && (mask.low + 1).count_ones() == 1);
        if self.low >= 0 && self.high <= mask.high {
            return self;
        }
        Self::new(0, mask.high)
    }
}

impl BitOr for Interval {
    type Output = Self;

    fn bitor(self, _: Self) -> Self {
        unreachable!("the arithmetic has no such operation")
    }
}

impl BitXor for Interval {
    type Output = Self;

    fn bitxor(self, _: Self) -> Self {
        unreachable!("the arithmetic has no such operation")
    }
}

/// Returns any element below `multiple` times p, or a little above.
fn below(multiple: u64) -> Element<Interval> {
    let limb = Interval::up_to(MASK);
    Element([limb, limb, limb, limb, Interval::up_to(multiple << 48)])
}

fn hull(a: &Element<Interval>, b: &Element<Interval>) -> Element<Interval> {
    Element(std::array::from_fn(|limb| a.0[limb].hull(b.0[limb])))
}

fn affine_hull(a: &Affine<Interval>, b: &Affine<Interval>) -> Affine<Interval> {
    Affine {
        x: hull(&a.x, &b.x),
        y: hull(&a.y, &b.y),
    }
}

fn jacobian_hull(a: &Jacobian<Interval>, b: &Jacobian<Interval>) -> Jacobian<Interval> {
    Jacobian {
        x: hull(&a.x, &b.x),
        y: hull(&a.y, &b.y),
        z: hull(&a.z, &b.z),
    }
}

/// Returns any decoded point, and checks the curve equation.
fn any_point() -> Affine<Interval> {
    let coordinate = below(1).multiply(&Element::splat(R_SQUARED));
    let constants = Constants::new();
    constants
        .curve_equation(&coordinate, &coordinate)
        .multiply(&Element::raw_one());
    Affine {
        x: coordinate,
        y: coordinate.loose().doubled().carry(),
    }
}

/// Returns the hull of the odd multiples of any point, in affine form.
fn any_multiple() -> Affine<Interval> {
    let (mut group, last_z) = Group::new(any_point(), &Element::splat(ONE));
    let mut inverses = [last_z; 32];
    invert_all(&mut inverses, &mut Vec::new());
    let inverse = inverses
        .iter()
        .fold(inverses[0], |all, inverse| hull(&all, inverse));
    group.make_affine(&inverse);
    let multiples = group.multiples.iter();
    multiples.fold(group.multiples[0], |all, multiple| {
        affine_hull(&all, multiple)
    })
}

/// Returns the hull of all states of the multiplication, in which an addition follows doublings.
fn any_product() -> Jacobian<Interval> {
    let multiple = any_multiple();
    let mut state = Jacobian {
        x: multiple.x,
        y: multiple.y,
        z: Element::splat(ONE),
    };
    let mut doubled = state.double();
    for _ in 0..100 {
        let sum = doubled.add(&multiple, Interval::up_to(1));
        let wider = jacobian_hull(&state, &jacobian_hull(&doubled, &sum));
        let new = jacobian_hull(&doubled, &wider.double());
        if is_same(&wider, &state) && is_same(&new, &doubled) {
            return state;
        }
        state = wider;
        doubled = new;
    }
    panic!("the intervals do not stop growing");
}

fn is_same(a: &Jacobian<Interval>, b: &Jacobian<Interval>) -> bool {
    (a.x.0, a.y.0, a.z.0) == (b.x.0, b.y.0, b.z.0)
}

#[test]
fn no_limb_leaves_its_range() {
    let product = any_product();
    let mut inverses = [product.z; 32];
    invert_all(&mut inverses, &mut Vec::new());
    let result = product.x.multiply(&inverses[0].square());
    result.multiply(&Element::raw_one());
    // The bounds of the coordinates that `point.rs` states, in multiples of p.
    let bounds = [&product.x, &product.y, &product.z].map(|element| element.0[LIMBS - 1].high);
    let highest = [1.1, 5.3, 1.6].map(|multiple| (multiple * (1u64 << 48) as f64) as i128);
    assert!(
        bounds
            .iter()
            .zip(highest)
            .all(|(bound, highest)| *bound < highest),
        "{bounds:?}"
    );
}

#[test]
#[should_panic(expected = "no limb")]
fn the_proof_can_fail() {
    below(17).multiply(&below(1));
}
