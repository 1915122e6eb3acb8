//! Sparse initialization (Martens 2010).

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};

/// An initializer of a matrix of normal values, with zeros at random positions of every column. Created by [`sparse`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sparse {
    pub(super) sparsity: f64,
    pub(super) std: f64,
}

/// Returns an initializer of a sparse matrix. In every column, `ceil(sparsity * rows)` values are 0, at random
/// positions. All other values are from N(0, std^2).
///
/// The shape is `[rows, columns]`. `sparsity` is the fraction of zeros in each column, from 0 to 1. The standard
/// deviation (sigma) is 0.01 by default ([`Sparse::std`]).
///
/// Source: Martens 2010, Deep learning via Hessian-free optimization, section 5.
///
/// Spec: `sparse(sparsity, std=0.01)`.
///
/// ```
/// # use fanin::{init, Native};
/// let mut w = [0f32; 10 * 4];
/// init::sparse(0.9).fill(&mut w, &[10, 4], &mut Native::new(0).tensor("w"))?;
/// assert_eq!(w.iter().filter(|x| **x != 0.0).count(), 4);
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "sparse_")]
pub const fn sparse(sparsity: f64) -> Sparse {
    Sparse { sparsity, std: 0.01 }
}

impl Sparse {
    /// Sets the standard deviation of the non-zero values: a finite number that is not negative.
    #[must_use]
    pub const fn std(self, std: f64) -> Self {
        Self { std, ..self }
    }
}

impl Initializer for Sparse {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let [rows, _] = shape else {
            return Err(Error::Dimensions { scheme: "sparse", supported: "2", shape: shape.to_vec() });
        };
        if !(0.0..=1.0).contains(&self.sparsity) {
            return Err(Error::Argument {
                scheme: "sparse",
                argument: "sparsity",
                value: self.sparsity,
                requirement: "must be a fraction between 0 and 1".to_owned(),
            });
        }
        // With more than 2^53 rows, rounding can make the product larger than `rows`.
        let zeros = ((self.sparsity * *rows as f64).ceil() as usize).min(*rows);
        Plan::new(shape, dtype, Distribution::Sparse { zeros, std: self.std })
    }
}

impl std::fmt::Display for Sparse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_spec(f, "sparse", &[("sparsity", Some(&self.sparsity)), ("std", unless(&self.std, 0.01))])
    }
}

initializer!(Sparse);
