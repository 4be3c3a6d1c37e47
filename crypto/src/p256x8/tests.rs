//! Tests of the model on plain integers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod field;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;

use super::*;
