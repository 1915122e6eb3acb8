//! The kinds of tensors that a classification distinguishes.

use fanin_recipe::text::short;

use crate::check::distribution::Univariate;
use crate::check::signature::Signature;

/// The kind of a tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Kind {
    /// The tensor has no values.
    #[default]
    Empty,
    /// The tensor has an integer type.
    Integers,
    /// The tensor has a type that cannot be read as numbers.
    NotExamined,
    /// All values are equal to this number.
    Constant(f64),
    /// All values are 0 or 1.
    ZerosAndOnes,
    /// The tensor has too few values to recognize a distribution.
    TooFew,
    /// The values are independent and follow this distribution. There may also be exact zeros that are not from this
    /// distribution, as in a `sparse` matrix or in the row of a padding token.
    Fresh(Univariate),
    /// The values are computed, not random. The text describes them: all rows equal, or sines and cosines.
    Table(&'static str),
    /// The tensor consists of this number of equal blocks along the axis. Each block is fresh, orthogonal or constant.
    Blocks {
        /// The axis along which the blocks follow one another.
        axis: usize,
        /// The number of blocks.
        count: usize,
    },
    /// The rows or columns are orthogonal, and all have this Euclidean norm.
    Orthogonal(f64),
    /// The values follow no known distribution: the tensor is trained, or initialized by an unknown scheme.
    Other,
    /// The values are subnormal or astronomically large, as in memory that was never written.
    Uninitialized,
}

impl Kind {
    /// Returns a description of the values, such as `normal(std=0.02)`. Empty for kinds without a description.
    pub(crate) fn description(&self) -> String {
        match self {
            Kind::Table(description) => (*description).to_owned(),
            Kind::Constant(value) => short(*value),
            Kind::Orthogonal(gain) => format!("orthogonal(gain={})", short(*gain)),
            Kind::Fresh(Univariate::Uniform { low, high }) => {
                format!("uniform(a={}, b={})", short(*low), short(*high))
            }
            Kind::Fresh(normal @ Univariate::Normal { mean, std, .. }) if normal.is_normal() => {
                let mean = if *mean == 0.0 { String::new() } else { format!("mean={}, ", short(*mean)) };
                format!("normal({mean}std={})", short(*std))
            }
            Kind::Fresh(Univariate::Normal { std, low, high, .. }) => {
                format!("trunc_normal(std={}, a={}, b={})", short(*std), short(*low), short(*high))
            }
            _ => String::new(),
        }
    }
}

impl Kind {
    /// Returns the name of the kind in tables and in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Integers => "integers",
            Self::NotExamined => "not examined",
            Self::Constant(_) => "constant",
            Self::ZerosAndOnes => "zeros and ones",
            Self::TooFew => "too few values",
            Self::Fresh(_) | Self::Blocks { .. } => "fresh",
            Self::Orthogonal(_) => "orthogonal",
            Self::Table(_) => "table",
            Self::Other => "trained or other",
            Self::Uninitialized => "uninitialized",
        }
    }

    /// Returns whether the values look like a random initialization.
    pub fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh(_) | Self::Orthogonal(_) | Self::Blocks { .. })
    }
}

/// The result of classifying a tensor.
#[derive(Debug, Clone, Default)]
pub struct Classification {
    /// The kind of the values.
    pub kind: Kind,
    /// Messages that say what is wrong with the tensor: NaN, uninitialized memory, repeated values, outliers.
    pub problems: Vec<String>,
    /// Messages on properties that may be intended, but should be checked.
    pub notes: Vec<String>,
    /// The number of rows that are all zeros.
    pub zero_rows: usize,
    /// The mean of the finite values. `None` if the values were not read, as for integers.
    pub mean: Option<f64>,
    /// The standard deviation of the finite values. `None` if the values were not read.
    pub std: Option<f64>,
    /// The number of exact zeros. `None` if the values were not read.
    pub zeros: Option<u64>,
    /// A hash of all values.
    pub hash: u64,
    /// A description of the distribution that the kind does not have: of the blocks of [`Kind::Blocks`], or of values that
    /// are not fresh. `None` if the kind has it.
    pub description: Option<String>,
    /// Numbers by which the values are compared with those of other tensors. `None` if they are not random.
    pub(crate) signature: Option<Signature>,
}
