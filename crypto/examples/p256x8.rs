//! Compares key agreement in batches with the scalar library, in one run.
//!
//! `cargo run --release -p tallybox-crypto --example p256x8 -- SECONDS` prints for each batch size
//! the time for each point with both implementations, and their ratio. The two alternate in short
//! samples, and the shortest sample counts, because other load on the machine only ever adds time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measuring tool: it stops where something is wrong"
)]

use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use std::hint::black_box;
use std::time::{Duration, Instant};
use tallybox_crypto::PacketPrivateKey;
use tallybox_crypto::p256x8::{FixedScalar, Implementation};

/// The batch sizes to measure.
const SIZES: [usize; 7] = [2, 8, 32, 64, 128, 256, 1024];
/// Number of agreements of a sample of the scalar library, about a millisecond.
const SCALAR_SAMPLE: usize = 32;

/// Returns the seconds that a batch takes.
fn sample(scalar: &FixedScalar, implementation: Implementation, points: &[&[u8; 65]]) -> f64 {
    let start = Instant::now();
    scalar.agree_batch_with(implementation, points, |_, secret| {
        black_box(secret.expect("a good point"));
    });
    start.elapsed().as_secs_f64()
}

fn main() {
    let seconds = std::env::args()
        .nth(1)
        .map_or(2.0, |text| text.parse().expect("seconds"));
    let eight_lanes = Implementation::eight_lanes().expect("AVX-512 IFMA");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let scalar = FixedScalar::new(&[0x35; 32]).expect("a scalar");
    let keys: Vec<_> = (0..1024)
        .map(|_| PacketPrivateKey::generate(&mut rng))
        .collect();
    let points: Vec<_> = keys.iter().map(|key| key.public().as_bytes()).collect();

    println!("batch   eight lanes, us   scalar, us   ratio");
    for size in SIZES {
        let (mut lanes, mut single) = (f64::INFINITY, f64::INFINITY);
        let (start, time) = (Instant::now(), Duration::from_secs_f64(seconds));
        while start.elapsed() < time {
            let batch = sample(&scalar, eight_lanes, &points[..size]) / size as f64;
            lanes = lanes.min(batch);
            let one = sample(&scalar, Implementation::scalar(), &points[..SCALAR_SAMPLE]);
            single = single.min(one / SCALAR_SAMPLE as f64);
        }
        println!(
            "{size:5}   {:15.2}   {:10.2}   {:5.2}",
            lanes * 1e6,
            single * 1e6,
            single / lanes
        );
    }
}
