//! `Distribution`, the enum of the distributions of a tensor's values.

use super::functions::Functions;

/// The algorithm that generates truncated normal values. The algorithms generate different values of the same
/// distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Truncation {
    /// Rejection sampling: draws proposals until a proposal is accepted. torch uses this algorithm since version 2.12.
    /// Only the torch stream implements rejection sampling.
    Rejection,
    /// Inverse transform sampling: applies the inverse distribution function to a uniform value. torch used this
    /// algorithm before version 2.12. All streams implement inverse transform sampling.
    InverseCdf,
}

impl Truncation {
    /// Returns the name that specs use: `rejection` or `inverse_cdf`.
    pub const fn name(self) -> &'static str {
        match self {
            Truncation::Rejection => "rejection",
            Truncation::InverseCdf => "inverse_cdf",
        }
    }
}

/// The distribution of a tensor's values, with its parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Distribution {
    /// Every element has the same value.
    Constant {
        /// The value, before it is rounded to the element type.
        value: f64,
    },
    /// The uniform distribution U[low, high).
    Uniform {
        /// The lower bound, which is included.
        low: f64,
        /// The upper bound, which is excluded unless `high` equals `low`.
        high: f64,
    },
    /// The normal distribution N(mean, std^2).
    Normal {
        /// The mean, which must be finite.
        mean: f64,
        /// The standard deviation, which must be finite and not negative.
        std: f64,
    },
    /// The normal distribution N(mean, std^2) truncated to [low, high].
    TruncatedNormal {
        /// The mean before truncation, which must be finite.
        mean: f64,
        /// The standard deviation before truncation, which must be finite and positive.
        std: f64,
        /// The lower bound of the values: a number or minus infinity.
        low: f64,
        /// The upper bound of the values: a number or infinity.
        high: f64,
        /// The algorithm. `None` means the default of the stream.
        method: Option<Truncation>,
    },
    /// Ones on the diagonal of a matrix, zeros elsewhere.
    Eye,
    /// The Dirac delta of a convolution. In each group of output channels, the kernel from input channel d to output
    /// channel d of the group is 1 at its centre. All other elements are 0.
    Dirac {
        /// The number of groups, which must divide `shape[0]`.
        groups: usize,
    },
    /// A Haar-distributed semi-orthogonal matrix times `gain`. The first axis of the tensor becomes the rows of the
    /// matrix, and all other axes are flattened to the columns.
    Orthogonal {
        /// The number by which the matrix is multiplied: a finite number.
        gain: f64,
    },
    /// A matrix of values from N(0, std^2), in which each column has zeros in `zeros` random rows.
    Sparse {
        /// The number of zeros in each column.
        zeros: usize,
        /// The standard deviation of the normal values: a finite number that is not negative.
        std: f64,
    },
    /// The first rows and columns of a Hadamard matrix (Sylvester's construction), times `scale`. The element at `row`
    /// and `column` is `scale * (-1)^popcount(row & column)`.
    Hadamard {
        /// The number by which the elements 1 and -1 are multiplied: a finite number. A negative number reverses all
        /// signs.
        scale: f64,
    },
    /// The identity matrix times `value`, repeated if there are more rows than columns. The element at `row` and
    /// `column` is `value` if `row mod columns = column`, where `columns` is the number of columns. All other elements
    /// are 0.
    RepeatedEye {
        /// The value on the diagonals: a finite number.
        value: f64,
    },
    /// `start`, `start + step`, `start + 2 * step` and so on along the last axis.
    Arange {
        /// The first value, which must be finite.
        start: f64,
        /// The difference between neighbouring values: a finite number.
        step: f64,
    },
    /// Functions applied to the values of another plan. [`Plan::argument`](super::Plan::argument) returns this other
    /// plan.
    Mapped {
        /// The functions, innermost first.
        functions: Functions,
    },
    /// Blocks of the tensor. Each block has a separate plan: see [`Plan::blocks`](super::Plan::blocks).
    Blocks {
        /// The number of blocks.
        count: usize,
    },
}
