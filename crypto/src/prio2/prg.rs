//! The pseudorandom generator that expands the second processor's seed into its share.
//!
//! AES-128 in counter mode: key = seed[0..16], first counter block = seed[16..32], of which only
//! the last eight bytes are incremented (big-endian, wrapping). The key stream is read as
//! little-endian 32-bit words; words not below p are skipped.

use aes::Aes128Enc;
use aes::cipher::{InnerIvInit as _, KeyInit as _, StreamCipherCore as _};
use ctr::CtrCore;
use ctr::flavors::Ctr64BE;

use super::field::MODULUS;
use super::layout::ELEMENT_LENGTH;
use super::share::SEED_LENGTH;
use crate::wipe::wipe;

/// Length of an AES block, in bytes.
const BLOCK: usize = 16;
/// Maximum number of field elements in a block.
const WORDS: usize = BLOCK / ELEMENT_LENGTH;
/// Number of blocks that are generated at once.
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
    // The rest of the last blocks is secret as well.
    wipe(&mut output[end..]);
    output.truncate(end);
    wipe(&mut blocks);
}

/// Appends those words of `blocks` that are below p.
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
    // Only one word in 4096 is too large, so usually all words can be copied at once.
    if words.iter().fold(true, |all, &word| all & (word < MODULUS)) {
        output.extend_from_slice(words);
    } else {
        output.extend(words.iter().filter(|&&word| word < MODULUS));
    }
    wipe(words);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed whose stream begins with the words p, 2^32 - 1, p - 1 and 5. The counter block was
    /// found by inverting AES, because in a random stream only one word in 2^32 equals p.
    #[rustfmt::skip]
    const EDGE: [u8; SEED_LENGTH] = [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
        0x57, 0xa7, 0x16, 0x4c, 0x4b, 0xae, 0xb8, 0x04, 0xe3, 0x31, 0x43, 0xf7, 0xc0, 0xf8, 0x39, 0x79,
    ];

    #[test]
    fn words_from_p_on_are_discarded() {
        let mut words = vec![7];
        expand(&EDGE, 3, &mut words);
        assert_eq!(words[..3], [7, MODULUS - 1, 5]);
        assert!(words.len() == 4 && words[3] < MODULUS);
    }
    /// The shortcut for blocks without a word to discard must not take one.
    #[test]
    fn no_word_from_p_on_is_taken_alone() {
        let block = |words: [u32; WORDS]| -> Vec<u8> {
            words.into_iter().flat_map(u32::to_le_bytes).collect()
        };
        let top = MODULUS - 1;
        for (words, expected) in [
            ([MODULUS; WORDS], vec![]),
            ([u32::MAX; WORDS], vec![]),
            ([top, 1, MODULUS, 2], vec![top, 1, 2]),
            ([top, 1, u32::MAX, 2], vec![top, 1, 2]),
            ([top, 1, 0, 2], vec![top, 1, 0, 2]),
        ] {
            let mut output = Vec::new();
            take_elements(&[block(words)], &mut output);
            assert_eq!(output, expected, "{words:?}");
        }
    }
}
