//! Slabs: a fraction of a second of accepted reports in one durable object.
