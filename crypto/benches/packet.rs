//! Benchmark of each step of a packet: nanoseconds, and the fraction of one bare P-256
//! multiplication, which is the lower bound of opening a packet.
//!
//! Run it with `cargo bench -p tallybox-crypto`. The lowest of a few samples is printed, because
//! other load on the machine only ever adds time.

#![allow(clippy::expect_used, reason = "a bench")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use tallybox_crypto::PacketPrivateKey;
use tallybox_crypto::ecies::seal;
use tallybox_crypto::prepared::{CHUNK, FileKey};
use tallybox_crypto::prio2::{Message, Point, Prio2, Randomness, Sum};

const SAMPLES: usize = 15;
const SAMPLE: Duration = Duration::from_millis(20);

fn main() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let key = PacketPrivateKey::generate(&mut rng);

    let private = PrivateKey::generate(&ECDH_P256).expect("a key");
    let floor = time(|| {
        agree(
            &private,
            UnparsedPublicKey::new(&ECDH_P256, key.public().as_bytes()),
            (),
            |_| Ok(()),
        )
    });
    let print =
        |what: &str, nanos: f64| println!("{what:44} {nanos:12.0} ns  {:8.4}", nanos / floor);
    print("bare P-256 multiplication", floor);

    for bins in [8, 40, 250] {
        println!("\n{bins} bins");
        let prio2 = Prio2::new(bins).expect("bins in range");
        let bits: Vec<bool> = (0..bins).map(|bin| bin % 3 == 0).collect();
        let randomness = Randomness::draw(&mut rng);
        let shares = prio2.split(&bits, &randomness).expect("bits fit");
        let plaintexts = [shares.first.as_slice(), shares.second.as_slice()];
        let sealed =
            plaintexts.map(|share| seal(key.public(), share, &mut rng).expect("short enough"));
        let point = Point::new(998_314_904, &prio2).expect("a good point");
        let mut evaluator = prio2.evaluator(point);
        let (mut buffer, mut share) = (Vec::new(), Vec::new());

        print("split", time(|| prio2.split(&bits, &randomness)));
        print(
            "weights of a new point",
            time(|| evaluator.move_to(&prio2, point)),
        );
        for (role, plaintext) in plaintexts.into_iter().enumerate() {
            let processor = ["first", "second"][role];
            print(
                &format!("seal, {processor}"),
                time(|| seal(key.public(), plaintext, &mut rng)),
            );
            print(
                &format!("open, {processor}"),
                time(|| key.open(&sealed[role], &mut buffer).map(|_| ())),
            );
            print(
                &format!("decode, {processor}"),
                time(|| prio2.decode_share(role, plaintext, &mut share)),
            );
            print(
                &format!("message, {processor}"),
                time(|| evaluator.message(role, black_box(&share))),
            );
        }
        let mut sum = Sum::new(bins);
        print("add", time(|| sum.add(black_box(&share))));
    }

    println!();
    let message = Message { f: 1, g: 2, h: 3 };
    print(
        "decide",
        time(|| black_box(message).is_valid_with(&message)),
    );
    let signing = tallybox_crypto::SigningKey::generate(&mut rng);
    let signature = signing.sign(b"header");
    let verifying = signing.verifying_key();
    print("sign a header", time(|| signing.sign(b"header")));
    print(
        "verify a header",
        time(|| verifying.verify(b"header", &signature)),
    );
    let file = FileKey::derive(
        &tallybox_crypto::SealingKey::generate(&mut rng),
        &[b"bench"],
    );
    let mut chunk = vec![7; CHUNK];
    let round = || {
        file.seal_chunk(0, false, &mut chunk).expect("a chunk");
        file.open_chunk(0, false, &mut chunk)
            .expect("what was sealed");
    };
    print("seal and open a prepared chunk of 1 MiB", time(round));
}

/// Measures a call and returns nanoseconds per call, lowest sample.
fn time<T>(mut call: impl FnMut() -> T) -> f64 {
    let mut calls = 1u32;
    loop {
        let took = sample(calls, &mut call);
        if took >= SAMPLE {
            break;
        }
        calls = calls.saturating_mul(2);
    }
    (0..SAMPLES)
        .map(|_| sample(calls, &mut call).as_secs_f64() * 1e9 / f64::from(calls))
        .fold(f64::INFINITY, f64::min)
}

fn sample<T>(calls: u32, call: &mut impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    (0..calls).for_each(|_| drop(black_box(call())));
    start.elapsed()
}
