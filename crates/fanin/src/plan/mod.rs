//! What a fill will write, with all numbers known and nothing drawn.

mod blocks;
mod formula;

pub use blocks::Block;
pub(crate) use blocks::Meeting;

use crate::distributions::truncated;
use crate::dtype::DType;
use crate::error::{Error, Warning};
use crate::shape::{Fans, element_count};

/// How a truncated normal is drawn. The distribution is the same, the numbers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Truncation {
    /// Draw until inside: torch since 2.12.
    Rejection,
    /// Transform one uniform by the inverse distribution function: torch before 2.12, and the native stream.
    InverseCdf,
}

impl Truncation {
    /// `rejection` or `inverse_cdf`, as specs spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Truncation::Rejection => "rejection",
            Truncation::InverseCdf => "inverse_cdf",
        }
    }
}

/// The distribution of a tensor's values.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Distribution {
    /// Every element the same.
    Constant {
        /// The value, before it is rounded to the element type.
        value: f64,
    },
    /// U[low, high).
    Uniform {
        /// Lower bound, included.
        low: f64,
        /// Upper bound, excluded unless it equals `low`.
        high: f64,
    },
    /// N(mean, std^2).
    Normal {
        /// Mean (mu, finite).
        mean: f64,
        /// Standard deviation (sigma, finite, >= 0).
        std: f64,
    },
    /// N(mean, std^2) conditioned on [low, high].
    TruncatedNormal {
        /// Mean of the untruncated distribution (mu, finite).
        mean: f64,
        /// Standard deviation of the untruncated distribution (sigma, finite, > 0).
        std: f64,
        /// Lower cut-off, absolute; may be minus infinity.
        low: f64,
        /// Upper cut-off, absolute; may be infinity.
        high: f64,
        /// The algorithm; `None` leaves it to the stream.
        method: Option<Truncation>,
    },
    /// Ones on the diagonal of a matrix, zeros elsewhere.
    Eye,
    /// In each group, channel d feeds channel d through the kernel's centre tap.
    Dirac {
        /// Number of groups; divides `shape[0]`.
        groups: usize,
    },
    /// A Haar-distributed semi-orthogonal matrix `[shape[0], rest]` times `gain`.
    Orthogonal {
        /// The factor (finite).
        gain: f64,
    },
    /// N(0, std^2) with `zeros` zeros at random places of each column.
    Sparse {
        /// Zeros in each column.
        zeros: usize,
        /// Standard deviation of the others (sigma, finite, >= 0).
        std: f64,
    },
    /// Signs of a Hadamard matrix of Sylvester's construction: `scale * (-1)^popcount(row & column)` in a matrix.
    Hadamard {
        /// The size of every value (finite).
        scale: f64,
    },
    /// The identity, repeated down the rows of a matrix: `value` where the column is the row modulo the number of columns,
    /// zeros elsewhere.
    RepeatedEye {
        /// The value on the diagonals (finite).
        value: f64,
    },
    /// Several distributions, each on a part of the tensor: [`Plan::blocks`].
    Blocks {
        /// How many.
        count: usize,
    },
}

/// A resolved initializer: shape, type and distribution, all errors behind it.
///
/// Made by [`Initializer::resolve`](crate::Initializer::resolve), or by [`Plan::new`] for a distribution of one's own
/// computing. Filling can fail only for the memory it is given, never for its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    shape: Vec<usize>,
    dtype: DType,
    distribution: Distribution,
    /// Where torch's C library rounds an intermediate number otherwise: the distribution with its last bit.
    distribution_on_torch: Option<Distribution>,
    fans: Option<Fans>,
    warnings: Vec<Warning>,
    parts: Vec<Block>,
}

impl Plan {
    /// A plan to write `distribution` over `shape`.
    ///
    /// # Errors
    /// `ShapeOverflow`; and what the distribution demands of its numbers, of the shape and of the type: `Argument`, `Bounds`,
    /// `BoundsOverflow`, `Dimensions`, `Groups`.
    pub fn new(shape: &[usize], dtype: DType, distribution: Distribution) -> Result<Self, Error> {
        element_count(shape)?;
        let mut warnings = Vec::new();
        match distribution {
            Distribution::Constant { value } => {
                if value.is_finite() {
                    finite("constant", "val", value, dtype)?;
                }
            }
            Distribution::Uniform { low, high } => {
                ordered("uniform", low, high)?;
                let fits = |x: f64| x.is_finite() && x.abs() <= dtype.largest();
                if !(fits(low) && fits(high) && fits(high - low)) {
                    return Err(Error::BoundsOverflow { scheme: "uniform", a: low, b: high, dtype });
                }
            }
            Distribution::Normal { mean, std } => {
                finite("normal", "mean", mean, dtype)?;
                deviation("normal", std, dtype)?;
            }
            Distribution::TruncatedNormal { mean, std, low, high, .. } => {
                finite("trunc_normal", "mean", mean, dtype)?;
                deviation("trunc_normal", std, dtype)?;
                if std == 0.0 {
                    return Err(argument("trunc_normal", "std", std, "must be greater than 0".to_owned()));
                }
                ordered("trunc_normal", low, high)?;
                if low > dtype.largest() || high < -dtype.largest() {
                    return Err(Error::BoundsOverflow { scheme: "trunc_normal", a: low, b: high, dtype });
                }
                if mean < low - 2.0 * std || mean > high + 2.0 * std {
                    warnings.push(Warning::MeanFarOutside { mean, std, a: low, b: high });
                }
            }
            Distribution::Eye => {
                if shape.len() != 2 {
                    return Err(Error::Dimensions { scheme: "eye", supported: "2", shape: shape.to_vec() });
                }
            }
            Distribution::Dirac { groups } => {
                if !(3..=5).contains(&shape.len()) {
                    let supported = "3, 4, or 5";
                    return Err(Error::Dimensions { scheme: "dirac", supported, shape: shape.to_vec() });
                }
                if groups == 0 {
                    return Err(argument("dirac", "groups", 0.0, "must be at least 1".to_owned()));
                }
                if !shape[0].is_multiple_of(groups) {
                    return Err(Error::Groups { groups, shape: shape.to_vec() });
                }
            }
            Distribution::Orthogonal { gain } => {
                finite("orthogonal", "gain", gain, dtype)?;
                if shape.len() < 2 {
                    let supported = "2 or more";
                    return Err(Error::Dimensions { scheme: "orthogonal", supported, shape: shape.to_vec() });
                }
            }
            Distribution::Sparse { zeros, std } => {
                deviation("sparse", std, dtype)?;
                let [rows, _] = shape else {
                    return Err(Error::Dimensions {
                        scheme: "sparse",
                        supported: "2",
                        shape: shape.to_vec(),
                    });
                };
                if zeros > *rows {
                    let requirement = format!("a column has only {rows} rows");
                    return Err(argument("sparse", "zeros", zeros as f64, requirement));
                }
            }
            Distribution::Hadamard { scale: value } | Distribution::RepeatedEye { value } => {
                let (scheme, name) = match distribution {
                    Distribution::Hadamard { .. } => ("zero_hadamard", "scale"),
                    _ => ("idinit", "tau"),
                };
                finite(scheme, name, value, dtype)?;
                if shape.len() != 2 {
                    return Err(Error::Dimensions { scheme, supported: "2", shape: shape.to_vec() });
                }
            }
            Distribution::Blocks { .. } => {
                return Err(Error::CompositePlan { shape: shape.to_vec() });
            }
        }
        warnings.extend([overflow(distribution, dtype), collapse(distribution, dtype)].into_iter().flatten());
        let shape = shape.to_vec();
        Ok(Self {
            shape,
            dtype,
            distribution,
            distribution_on_torch: None,
            fans: None,
            warnings,
            parts: Vec::new(),
        })
    }

    /// The same plan, remembering the fans that its numbers came from.
    #[must_use]
    pub fn with_fans(mut self, fans: Fans) -> Self {
        self.fans = Some(fans);
        self
    }

    /// The same plan, with numbers of their own for the torch stream.
    ///
    /// The plan's distribution must be the same on every machine; torch's numbers are what its C library made of them.
    pub(crate) fn with_distribution_on_torch(self, distribution: Distribution) -> Self {
        Self { distribution_on_torch: (distribution != self.distribution).then_some(distribution), ..self }
    }

    /// The same plan for a wider type, which has no reason to refuse it.
    pub(crate) fn in_type(&self, dtype: DType) -> Self {
        let mut wide = Self { dtype, ..self.clone() };
        wide.parts.iter_mut().for_each(|part| part.plan = part.plan.in_type(dtype));
        wide
    }

    /// The distribution as torch computes it on this platform: another last bit at most.
    pub(crate) fn distribution_on_torch(&self) -> Distribution {
        self.distribution_on_torch.unwrap_or(self.distribution)
    }

    /// The same plan with one more warning.
    #[must_use]
    pub fn with_warning(mut self, warning: Warning) -> Self {
        self.warnings.push(warning);
        self
    }

    /// The sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of the values.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The distribution of the values.
    pub fn distribution(&self) -> Distribution {
        self.distribution
    }

    /// The fans that the numbers came from, if they came from fans.
    pub fn fans(&self) -> Option<Fans> {
        self.fans
    }

    /// What is worth saying. A library prints nothing: show these where they will be read.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows and columns of the matrix that `orthogonal` and `sparse` see: trailing axes are flattened.
    pub(crate) fn matrix(&self) -> (usize, usize) {
        match self.shape.as_slice() {
            [] => (1, 1),
            [rows, rest @ ..] => (*rows, rest.iter().product()),
        }
    }

    /// The mean that an element has, over all seeds (for `eye` and `dirac`: over the elements).
    pub fn mean(&self) -> f64 {
        match self.distribution {
            Distribution::Constant { value } => self.dtype.round(value),
            Distribution::Uniform { low, high } => low / 2.0 + high / 2.0,
            Distribution::Normal { mean, .. } => mean,
            Distribution::TruncatedNormal { mean, std, low, high, .. } => {
                let (shift, _) = truncated::moments((low - mean) / std, (high - mean) / std);
                mean + std * shift
            }
            Distribution::Eye | Distribution::Dirac { .. } => self.share_of_ones(),
            Distribution::Orthogonal { .. } | Distribution::Sparse { .. } => 0.0,
            Distribution::Hadamard { .. } | Distribution::RepeatedEye { .. } => self.mean_of_formula(),
            Distribution::Blocks { .. } => self.moments_of_blocks().0,
        }
    }

    /// The standard deviation that an element has, over all seeds (for `eye` and `dirac`: over the elements).
    ///
    /// `uniform`: `(b - a) / sqrt(12)`. Truncated normal: that of the truncated distribution. `orthogonal`: an entry of a
    /// Haar matrix has variance 1 / max(rows, columns). `sparse`: `std * sqrt(1 - zeros / rows)`.
    pub fn std(&self) -> f64 {
        match self.distribution {
            Distribution::Constant { .. } => 0.0,
            Distribution::Uniform { low, high } => (high - low) / 12f64.sqrt(),
            Distribution::Normal { std, .. } => std,
            Distribution::TruncatedNormal { mean, std, low, high, .. } => {
                std * truncated::moments((low - mean) / std, (high - mean) / std).1.sqrt()
            }
            Distribution::Eye | Distribution::Dirac { .. } => {
                let share = self.share_of_ones();
                (share * (1.0 - share)).sqrt()
            }
            Distribution::Orthogonal { gain } => {
                let (rows, columns) = self.matrix();
                gain.abs() / (rows.max(columns) as f64).sqrt()
            }
            Distribution::Hadamard { scale } => (scale * scale - self.mean() * self.mean()).max(0.0).sqrt(),
            Distribution::RepeatedEye { value } => {
                let share = 1.0 / self.matrix().1 as f64;
                value.abs() * (share * (1.0 - share)).sqrt()
            }
            Distribution::Blocks { .. } => {
                let (mean, square) = self.moments_of_blocks();
                (square - mean * mean).max(0.0).sqrt()
            }
            Distribution::Sparse { zeros, std } => {
                std * (1.0 - zeros as f64 / self.matrix().0.max(1) as f64).sqrt()
            }
        }
    }

    /// The least and greatest value that can be written, unrounded; infinite where the distribution has no bound.
    pub fn bounds(&self) -> (f64, f64) {
        match self.distribution {
            Distribution::Constant { value } => (self.dtype.round(value), self.dtype.round(value)),
            Distribution::Uniform { low, high } => (low, high),
            Distribution::TruncatedNormal { low, high, .. } => (low, high),
            Distribution::Eye | Distribution::Dirac { .. } => (0.0, 1.0),
            Distribution::Orthogonal { gain } => (-gain.abs(), gain.abs()),
            Distribution::Hadamard { scale } => (-scale.abs(), scale.abs()),
            Distribution::RepeatedEye { value } => (value.min(0.0), value.max(0.0)),
            Distribution::Blocks { .. } => self.bounds_of_blocks(),
            Distribution::Normal { .. } | Distribution::Sparse { .. } => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// The share of ones that `eye` and `dirac` write.
    fn share_of_ones(&self) -> f64 {
        let count = match (self.distribution, self.shape.as_slice()) {
            (Distribution::Eye, [rows, columns]) => *rows.min(columns),
            (Distribution::Dirac { groups }, [outputs, inputs, ..]) => {
                groups * (outputs / groups).min(*inputs)
            }
            _ => 0,
        };
        count as f64 / self.len() as f64
    }
}

/// A warning where a normal distribution has values that a narrow type cannot hold: one in 10^9 or more of them.
fn overflow(distribution: Distribution, dtype: DType) -> Option<Warning> {
    let Distribution::Normal { mean, std } = distribution else { return None };
    (mean.abs() + 6.0 * std > dtype.largest()).then_some(Warning::Overflow { mean, std, dtype })
}

/// A warning where a distribution that is meant to spread does not, for the steps of the type.
fn collapse(distribution: Distribution, dtype: DType) -> Option<Warning> {
    let (mean, std) = match distribution {
        Distribution::Normal { mean, std } => (mean, std),
        Distribution::Uniform { low, high } => {
            (low / 2.0 + high / 2.0, (high / 2.0 - low / 2.0) / 3f64.sqrt())
        }
        _ => return None,
    };
    let nearest = dtype.round(mean);
    (std > 0.0 && std < dtype.next_up(nearest) - nearest).then_some(Warning::Collapse { mean, std, dtype })
}

fn argument(scheme: &'static str, argument: &'static str, value: f64, requirement: String) -> Error {
    Error::Argument { scheme, argument, value, requirement }
}

fn ordered(scheme: &'static str, a: f64, b: f64) -> Result<(), Error> {
    for (name, bound) in [("a", a), ("b", b)] {
        if bound.is_nan() {
            return Err(argument(scheme, name, bound, "must be a number".to_owned()));
        }
    }
    if a > b { Err(Error::Bounds { scheme, a, b }) } else { Ok(()) }
}

pub(crate) fn finite(
    scheme: &'static str,
    name: &'static str,
    value: f64,
    dtype: DType,
) -> Result<(), Error> {
    if !value.is_finite() {
        return Err(argument(scheme, name, value, "must be finite".to_owned()));
    }
    if value.abs() > dtype.largest() {
        let requirement = format!("must be finite in {dtype} (largest value {})", dtype.largest());
        return Err(argument(scheme, name, value, requirement));
    }
    Ok(())
}

fn deviation(scheme: &'static str, std: f64, dtype: DType) -> Result<(), Error> {
    finite(scheme, "std", std, dtype)?;
    if std < 0.0 {
        return Err(argument(scheme, "std", std, "must be greater than or equal to 0".to_owned()));
    }
    Ok(())
}
