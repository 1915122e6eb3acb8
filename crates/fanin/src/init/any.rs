//! Any initializer, read from its spec and printed as it.

use super::{
    Blocks, Constant, DeltaOrthogonal, Dirac, Eye, IdInit, Initializer, Kaiming, LinearDefault,
    LinearDefaultBias, Normal, Orthogonal, Siren, Sparse, Spectral, Stacked, TruncNormal, TruncNormalTf,
    Uniform, VarianceScaling, Xavier, ZeroHadamard,
};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::Plan;

/// Any of this crate's initializers.
///
/// ```
/// use fanin::init::Init;
/// let init: Init = "kaiming_normal_(0.2, mode='fan_out')".parse()?;
/// assert_eq!(init.to_string(), "kaiming_normal(a=0.2, mode=fan_out)");
/// assert_eq!(init.to_string().parse::<Init>()?, init);
///
/// let typo = "kaiming_normal(mode=fan_uot)".parse::<Init>().unwrap_err().to_string();
/// assert!(typo.ends_with("  kaiming_normal(mode=fan_uot)\n                      ^ did you mean fan_out?"), "{typo}");
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is the initializer of its name")]
pub enum Init {
    Uniform(Uniform),
    Normal(Normal),
    TruncNormal(TruncNormal),
    Constant(Constant),
    Eye(Eye),
    Dirac(Dirac),
    Xavier(Xavier),
    Kaiming(Kaiming),
    Orthogonal(Orthogonal),
    Sparse(Sparse),
    TruncNormalTf(TruncNormalTf),
    VarianceScaling(VarianceScaling),
    LinearDefault(LinearDefault),
    LinearDefaultBias(LinearDefaultBias),
    DeltaOrthogonal(DeltaOrthogonal),
    ZeroHadamard(ZeroHadamard),
    IdInit(IdInit),
    Siren(Siren),
    Spectral(Spectral),
    Blocks(Blocks),
    Stacked(Stacked),
}

impl Init {
    fn inner(&self) -> (&dyn Initializer, &dyn std::fmt::Display) {
        match self {
            Init::Uniform(it) => (it, it),
            Init::Normal(it) => (it, it),
            Init::TruncNormal(it) => (it, it),
            Init::Constant(it) => (it, it),
            Init::Eye(it) => (it, it),
            Init::Dirac(it) => (it, it),
            Init::Xavier(it) => (it, it),
            Init::Kaiming(it) => (it, it),
            Init::Orthogonal(it) => (it, it),
            Init::Sparse(it) => (it, it),
            Init::TruncNormalTf(it) => (it, it),
            Init::VarianceScaling(it) => (it, it),
            Init::LinearDefault(it) => (it, it),
            Init::LinearDefaultBias(it) => (it, it),
            Init::DeltaOrthogonal(it) => (it, it),
            Init::ZeroHadamard(it) => (it, it),
            Init::IdInit(it) => (it, it),
            Init::Siren(it) => (it, it),
            Init::Spectral(it) => (it, it),
            Init::Blocks(it) => (it, it),
            Init::Stacked(it) => (it, it),
        }
    }
}

impl Initializer for Init {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        self.inner().0.resolve(shape, dtype)
    }
}

impl std::fmt::Display for Init {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner().1.fmt(f)
    }
}
