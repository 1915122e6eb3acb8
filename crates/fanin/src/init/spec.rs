//! Any initializer, read from its spec and printed as it.

use super::families::{Family, families};
use super::grammar::{self, NoVariables, Variables};
use super::{
    Blocks, Constant, DeltaOrthogonal, Dirac, Eye, IdInit, Initializer, Kaiming, LinearDefault,
    LinearDefaultBias, Normal, Orthogonal, Siren, Sparse, Spectral, Stacked, TruncNormal, TruncNormalTf,
    Uniform, VarianceScaling, Xavier, ZeroHadamard,
};
use crate::element::DType;
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

    /// Reads a spec. The grammar stands at the head of `init/grammar.rs`:
    /// a name, arguments by position in torch's order or by name, arithmetic with `+ - * / ^`, `sqrt` and parentheses.
    ///
    /// # Errors
    /// `Spec`, pointing at the character, with a remedy where one is near.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_with(text, &NoVariables)
    }

    /// Reads a spec whose arithmetic may use named variables.
    ///
    /// ```
    /// use fanin::init::{Init, normal};
    /// let variables = std::collections::BTreeMap::from([("n_layer".to_owned(), 12.0)]);
    /// let init = Init::parse_with("normal(std=0.02/sqrt(2*n_layer))", &variables)?;
    /// assert_eq!(init, Init::Normal(normal(0.0, 0.02 / 24f64.sqrt())));
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Init::parse`].
    pub fn parse_with(text: &str, variables: &dyn Variables) -> Result<Self, Error> {
        Ok(grammar::parse(text, variables)?)
    }

    /// The family it belongs to: its name, parameters, formula and source.
    pub fn family(&self) -> &'static Family {
        let spec = self.to_string();
        let name = spec.split('(').next().unwrap_or_default();
        families().iter().find(|family| family.name == name).expect("Display prints a family's name")
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

impl std::str::FromStr for Init {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Init::parse(text)
    }
}
