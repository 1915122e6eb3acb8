//! Ways between fanin and other crates, a feature and a file each.

#[cfg(feature = "ndarray")]
pub mod ndarray;
#[cfg(feature = "rand_core")]
pub mod rand_core;
