//! Support for types and traits of other crates. Each module requires the Cargo feature with the same name.

#[cfg(feature = "ndarray")]
pub mod ndarray;
#[cfg(feature = "rand_core")]
pub mod rand_core;
