//! Shares: any bytes as a share of any dimension, and honest shares, which always verify and sum
//! correctly.

use crate::forge::take_bytes;
use tallybox_crypto::prio2::{MODULUS, Message, Point, Prio2, Randomness, Sum};

/// Numbers of bins around the powers of two at which the domain grows.
const BINS: [usize; 12] = [1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 250, 300];

pub fn run(mut data: &[u8]) {
    let [index, role] = take_bytes(&mut data).map(usize::from);
    let prio2 = Prio2::new(BINS[index % BINS.len()]).expect("a good dimension");
    let r_pit = i64::from_le_bytes(take_bytes(&mut data));
    let point = Point::new(r_pit, &prio2).ok();
    assert!(point.is_none_or(|point| i64::from(point.value()) == r_pit));
    any_share(&prio2, role % 3, point, data);
    honest(&prio2, point, data);
}

fn any_share(prio2: &Prio2, role: usize, point: Option<Point>, plaintext: &[u8]) {
    let (mut share, mut values) = (Vec::new(), Vec::new());
    if prio2.decode_share(role, plaintext, &mut share).is_err() {
        assert!(share.is_empty());
        return;
    }
    assert_eq!(prio2.share_length(role), Ok(plaintext.len()));
    assert_eq!(share.len(), prio2.proof_length());
    assert!(share.iter().all(|element| *element < MODULUS));
    let needed = if role == 0 { &plaintext[..4 * prio2.bins()] } else { plaintext };
    prio2.decode_data(role, needed, &mut values).expect("the whole share decodes");
    assert_eq!(values, share[..prio2.bins()]);
    if let Some(point) = point {
        let message = prio2.evaluator(point).message(role, &share);
        assert_eq!(Message::from_bytes(&message.to_bytes()), Some(message));
    }
}

fn honest(prio2: &Prio2, point: Option<Point>, mut data: &[u8]) {
    let Some(point) = point else { return };
    let element = |bytes| u32::from_le_bytes(bytes) % MODULUS;
    let randomness =
        Randomness { seed: take_bytes(&mut data), f0: element(take_bytes(&mut data)), g0: element(take_bytes(&mut data)) };
    let bit = |i: usize| data.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1);
    let bits: Vec<bool> = (0..prio2.bins()).map(bit).collect();
    let shares = prio2.split(&bits, &randomness).expect("bits and field elements");
    let evaluator = prio2.evaluator(point);
    let mut sum = Sum::new(prio2.bins());
    let messages = [&shares.first[..], &shares.second].into_iter().enumerate().map(|(role, plaintext)| {
        let mut share = Vec::new();
        prio2.decode_share(role, plaintext, &mut share).expect("our own share");
        sum.add(&share);
        evaluator.message(role, &share)
    });
    let messages: Vec<Message> = messages.collect();
    assert!(Message::is_valid(&messages), "an honest packet has to verify at any point");
    assert!(sum.values().iter().zip(&bits).all(|(value, bit)| *value == u32::from(*bit)));
}
