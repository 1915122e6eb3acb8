//! The native stream of a whole model.

use std::collections::HashMap;

use super::seed::Native;
use super::tensor::NativeTensor;
use crate::error::Error;

/// The native stream of a whole model. [`NativeModel::tensor`] returns the stream of a tensor by its name, and returns
/// an error if the same name is requested twice. Created by [`Native::model`].
///
/// ```
/// use fanin::Native;
/// let mut model = Native::new(42).model();
/// assert!(model.tensor("fc.weight").is_ok());
/// assert!(model.tensor("module.fc.weight").is_err()); // the same parameter inside DataParallel
/// ```
#[derive(Debug, Clone)]
pub struct NativeModel {
    native: Native,
    /// The names that have been requested. Each canonical name is mapped to the name as it was requested.
    names: HashMap<String, String>,
}

impl Native {
    /// Returns the native stream of a whole model with this seed.
    pub fn model(self) -> NativeModel {
        NativeModel { native: self, names: HashMap::new() }
    }
}

impl NativeModel {
    /// Returns the stream of the tensor called `name`.
    ///
    /// # Errors
    /// `DuplicateName` if a name with the same [canonical form](super::canonical_name) was requested before.
    pub fn tensor(&mut self, name: &str) -> Result<NativeTensor, Error> {
        let tensor = self.native.tensor(name);
        match self.names.get(&tensor.name) {
            Some(first) => {
                let (first, second) = (first.clone(), name.to_owned());
                Err(Error::DuplicateName { name: tensor.name, first, second })
            }
            None => {
                self.names.insert(tensor.name.clone(), name.to_owned());
                Ok(tensor)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_returns_an_error_if_a_name_is_requested_twice() {
        let mut model = Native::new(0).model();
        model.tensor("a.weight").unwrap();
        model.tensor("b.weight").unwrap();
        for _ in 0..2 {
            let error = model.tensor("module.a.weight").unwrap_err();
            assert!(
                matches!(error, Error::DuplicateName { ref first, .. } if first == "a.weight"),
                "{error}"
            );
        }
    }
}
