//! Key agreement on P-256 of one private key with many public keys, eight at a time.
#![allow(dead_code, reason = "the key agreement follows")]

mod encoding;
mod field;
mod inversion;
mod multiply;
mod point;
mod recoding;
mod vector;

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod portable;
#[cfg(test)]
mod tests;
