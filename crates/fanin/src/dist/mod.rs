//! From words to variates.
pub(crate) mod truncated;
