//! From the slabs of a window to signed batches.
