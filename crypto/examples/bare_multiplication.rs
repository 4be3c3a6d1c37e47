//! Measures the lower bound of intake: bare P-256 multiplications per second, on all cores at once.
//!
//! `cargo run --release -p tallybox-crypto --example bare_multiplication -- SECONDS` prints one
//! number. Each core repeats the public-key part of opening a packet, with the same library: one
//! key agreement of a static key with a 65-byte uncompressed peer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measuring tool: it stops where something is wrong"
)]

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use std::time::{Duration, Instant};

/// Repeats the key agreement on one core for the given time and returns the number of agreements.
fn multiply(key: &PrivateKey, peer: &[u8], time: Duration) -> u64 {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < time {
        for _ in 0..64 {
            let peer = UnparsedPublicKey::new(&ECDH_P256, peer);
            let x = agree(key, peer, "no agreement", |x| Ok(x[0])).expect("a good peer");
            std::hint::black_box(x);
            count += 1;
        }
    }
    count
}

fn main() {
    let seconds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(2.0);
    let time = Duration::from_secs_f64(seconds);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    let count: u64 = std::thread::scope(|scope| {
        let run = || {
            let key = PrivateKey::generate(&ECDH_P256).expect("a key");
            let peer = PrivateKey::generate(&ECDH_P256)
                .expect("a key")
                .compute_public_key()
                .expect("its public half");
            multiply(&key, peer.as_ref(), time)
        };
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a core"))
            .sum()
    });
    println!("{:.0}", count as f64 / start.elapsed().as_secs_f64());
}
