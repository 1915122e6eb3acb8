//! Connections to other crates. Each module needs the Cargo feature of its name.

#[cfg(feature = "ndarray")]
pub mod ndarray;
#[cfg(feature = "rand_core")]
pub mod rand_core;
