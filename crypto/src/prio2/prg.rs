//! The generator that turns the second processor's seed into its share.
//!
//! AES-128 in counter mode: key = seed[0..16], first counter block = seed[16..32], of which only the last eight bytes
//! count (big-endian, wrapping). The key stream is read as little-endian 32-bit words; words not below p are skipped.

use aes::Aes128Enc;
use aes::cipher::{InnerIvInit as _, KeyInit as _, StreamCipherCore as _};
use ctr::CtrCore;
use ctr::flavors::Ctr64BE;

use super::field::MODULUS;
use super::layout::ELEMENT_LENGTH;
use super::share::SEED_LENGTH;
use crate::wipe::wipe;

/// Bytes of an AES block.
const BLOCK: usize = 16;
/// Field elements, at most, in a block.
const WORDS: usize = BLOCK / ELEMENT_LENGTH;
/// Blocks that are made at once.
const BLOCKS: usize = 32;

/// Appends the first `count` field elements from `seed` to `output`.
pub(super) fn expand(seed: &[u8; SEED_LENGTH], count: usize, output: &mut Vec<u32>) {
    let (key, counter) = seed.split_at(BLOCK);
    let (Ok(key), Ok(counter)) = (key.try_into(), counter.try_into()) else {
        unreachable!("a seed is two blocks")
    };
    let mut stream = CtrCore::<_, Ctr64BE>::inner_iv_init(Aes128Enc::new(key), counter);

    let end = output.len() + count;
    output.reserve(count);
    let mut blocks = [[0u8; BLOCK].into(); BLOCKS];
    while output.len() < end {
        let wanted = (end - output.len()).div_ceil(WORDS).min(BLOCKS);
        let blocks = &mut blocks[..wanted];
        stream.write_keystream_blocks(blocks);
        take_elements(blocks, output);
    }
    wipe(&mut output[end..]);
    output.truncate(end);
    wipe(&mut blocks);
}

/// Appends the words of `blocks` that are below p.
fn take_elements<B: AsRef<[u8]>>(blocks: &[B], output: &mut Vec<u32>) {
    let mut words = [0; BLOCKS * WORDS];
    for (words, block) in words.as_chunks_mut::<WORDS>().0.iter_mut().zip(blocks) {
        let (bytes, _) = block.as_ref().as_chunks::<ELEMENT_LENGTH>();
        words
            .iter_mut()
            .zip(bytes)
            .for_each(|(word, bytes)| *word = u32::from_le_bytes(*bytes));
    }
    let words = &mut words[..blocks.len() * WORDS];
    // One word in 4096 is too large, so most often all of them can be copied at once.
    if words.iter().fold(true, |all, &word| all & (word < MODULUS)) {
        output.extend_from_slice(words);
    } else {
        output.extend(words.iter().filter(|&&word| word < MODULUS));
    }
    wipe(words);
}
