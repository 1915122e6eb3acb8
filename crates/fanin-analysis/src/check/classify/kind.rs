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
    /// The type of the tensor is an integer type. The values are not classified.
    Integers,
    /// Values of the tensor's type cannot be read as numbers.
    NotExamined,
    /// All values are equal. The `f64` is this value.
    Constant(f64),
    /// All values are 0 or 1.
    ZerosAndOnes,
    /// The tensor has fewer than 64 finite values, too few to recognize a distribution.
    TooFew,
    /// The values are independent of one another and follow one distribution, the [`Univariate`]. Some values may be
    /// exact zeros instead, as in a `sparse` matrix or in the row of a padding token.
    Fresh(Univariate),
    /// The values follow a formula or a pattern instead of being random. The `str` names the pattern:
    /// `every row the same`, `a rising or falling sequence`, `a few distinct values`, `numbers of a few digits` or
    /// `sines and cosines`.
    Table(&'static str),
    /// The tensor consists of blocks of equal size along one axis. Each block is of the kind `Fresh`, `Orthogonal` or
    /// `Constant`.
    Blocks {
        /// The axis along which the blocks follow one another.
        axis: usize,
        /// The number of blocks.
        count: usize,
    },
    /// The rows are orthogonal to one another. If the matrix has more rows than columns, its columns are orthogonal
    /// instead. The `f64` is the gain: the Euclidean norm of each of these rows or columns.
    Orthogonal(f64),
    /// The values are not a fresh draw from a known distribution. They follow no known distribution, are not
    /// independent of one another, or were probably changed after the draw. The tensor is trained, or initialized by an
    /// unknown scheme. A tensor without finite values is also of this kind.
    Other,
    /// The values are subnormal or astronomically large, as in memory that was never written.
    Uninitialized,
}

impl Kind {
    /// Returns a description of the values, such as `normal(std=0.02)`. The text is empty for kinds that have no
    /// description.
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
    /// Returns the name of the kind in tables and JSON, such as `trained or other`.
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

    /// Returns whether the values look like a random initialization: whether the kind is `Fresh`, `Orthogonal` or
    /// `Blocks`.
    pub fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh(_) | Self::Orthogonal(_) | Self::Blocks { .. })
    }
}

/// The result of classifying a tensor.
#[derive(Debug, Clone, Default)]
pub struct Classification {
    /// The kind of the values.
    pub kind: Kind,
    /// Messages that say what is wrong with the tensor, such as NaN, uninitialized memory, repeated values or outliers.
    pub problems: Vec<String>,
    /// Messages about unusual values that may be intended.
    pub notes: Vec<String>,
    /// The number of rows that are all zeros.
    pub zero_rows: usize,
    /// The mean of the finite values. `None` if the values were not read, as for integers.
    pub mean: Option<f64>,
    /// The standard deviation of the finite values. `None` if the values were not read.
    pub std: Option<f64>,
    /// The number of exact zeros. `None` if the values were not read.
    pub zeros: Option<u64>,
    /// A hash of all values with their row-major indices. Tensors with the same values have the same hash.
    pub hash: u64,
    /// Whether the values are known to be an unchanged draw of torch's generator or of the native stream. For
    /// [`Kind::Blocks`], this applies to each block that is neither orthogonal nor constant. `false` does not prove a
    /// change: the values may be an unchanged draw of another generator, or a draw that was rounded to a narrower type.
    pub unchanged: bool,
    /// A description of the values, if `kind` does not contain one. `None` for all kinds except two:
    /// - [`Kind::Blocks`]: describes the blocks, such as `stacked(normal(std=0.02))`.
    /// - [`Kind::Other`]: names the distribution, such as `normal(std=0.02)`. `None` if the distribution is unknown.
    pub description: Option<String>,
    /// Numbers by which the values are compared with the values of other tensors. `None` if the values are not random.
    pub(crate) signature: Option<Signature>,
}

impl Classification {
    /// Changes the kind to [`Kind::Other`], and adds `reason` to the notes. The description still names the
    /// distribution. Used for values that follow a known distribution but are probably not a fresh draw.
    pub(crate) fn set_not_fresh(&mut self, reason: String) {
        self.description.get_or_insert_with(|| self.kind.description());
        self.kind = Kind::Other;
        self.notes.push(reason);
    }
}
