//! Wiping scratch memory quickly: `zeroize` writes byte by byte, which is slower than the work it covers here.

/// Overwrites `memory` with zeros in a way that the optimiser may vectorise but not drop.
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
