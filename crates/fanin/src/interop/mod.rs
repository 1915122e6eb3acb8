//! Ways between fanin and other crates, a feature and a file each.

#[cfg(feature = "rand_core")]
pub(crate) mod rand_core;
