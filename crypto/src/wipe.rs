//! Fast wiping of scratch memory. `zeroize` writes byte by byte, which would take longer than the
//! computation that it protects here.

/// Overwrites `memory` with zeros. The optimiser may vectorise the writes but not remove them.
pub(crate) fn wipe<T: Copy + Default>(memory: &mut [T]) {
    memory.fill(T::default());
    zeroize::optimization_barrier(memory);
}

#[cfg(test)]
mod tests {
    use super::wipe;

    #[test]
    fn wiped_memory_reads_zero() {
        let mut memory = [7u32; 100];
        wipe(&mut memory);
        assert_eq!(memory, [0; 100]);
    }
}
