//! Key agreement on P-256 of one private key with many public keys, eight at a time.
#![allow(dead_code, reason = "the key agreement follows")]

mod encoding;
mod field;
#[cfg(target_arch = "x86_64")]
mod ifma;
#[cfg(not(target_arch = "x86_64"))]
#[path = "p256x8/no_ifma.rs"]
mod ifma;
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
