//! Key agreement on P-256 of one private key with many public keys, eight at a time.
#![allow(dead_code, reason = "the key agreement follows")]

mod field;
mod vector;

#[cfg(test)]
mod portable;
