//! The native stream of one tensor, and its Philox keys.

use super::names::canonical_name;
use super::seed::Native;
use crate::rng::Philox;

/// The native stream of one tensor. Created by [`Native::tensor`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NativeTensor {
    pub(super) native: Native,
    pub(super) name: String,
}

impl Native {
    /// Returns the native stream of the tensor called `name`. The name is first converted to its canonical form by
    /// [`canonical_name`].
    ///
    /// Two tensors with the same canonical name get the same values. [`Native::model`] returns an error if a name is
    /// requested twice.
    pub fn tensor(self, name: &str) -> NativeTensor {
        NativeTensor { native: self, name: canonical_name(name).into_owned() }
    }
}

impl NativeTensor {
    /// Returns the canonical name of the tensor.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the Philox generator for a purpose, such as `values32` (see the section "Keys" of the [definition of the
    /// stream](super)).
    pub(in crate::streams) fn philox(&self, purpose: &str) -> Philox {
        // All bytes are hashed in one call, because an incremental hasher would first initialize a state of two
        // kilobytes.
        let fields = [
            b"fanin native stream",
            &Native::VERSION.to_le_bytes()[..],
            &(purpose.len() as u32).to_le_bytes(),
            purpose.as_bytes(),
            &self.native.seed.to_le_bytes(),
            &(self.name.len() as u64).to_le_bytes(),
            self.name.as_bytes(),
        ];
        // Up to 128 bytes are joined in this array, which avoids an allocation.
        let mut array = [0; 128];
        let length = fields.iter().map(|field| field.len()).sum();
        let hash = match array.get_mut(..length) {
            Some(message) => {
                let mut rest = &mut *message;
                for field in fields {
                    let (now, later) = rest.split_at_mut(field.len());
                    now.copy_from_slice(field);
                    rest = later;
                }
                blake3::hash(message)
            }
            None => blake3::hash(&fields.concat()),
        };
        let mut words = [0u32; 4];
        for (word, bytes) in words.iter_mut().zip(hash.as_bytes().as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Philox::new([words[0], words[1]], [words[2], words[3]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_different_seeds_names_and_purposes_differ() {
        let mut seen = std::collections::HashSet::new();
        for seed in [0, 1, 1 << 32, u64::MAX] {
            for name in ["", "a", "b", "ab", "a\0"] {
                for purpose in ["values32", "values64", "permutation"] {
                    assert!(seen.insert(Native::new(seed).tensor(name).philox(purpose).block(0)));
                }
            }
        }
    }
}
