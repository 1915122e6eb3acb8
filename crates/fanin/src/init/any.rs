//! `Init`, the enum of all initializers, and the initializers that contain other initializers.

use super::arange::Arange;
use super::by_shape::ByShape;
use super::constant::Constant;
use super::delta_orthogonal::DeltaOrthogonal;
use super::dirac::Dirac;
use super::eye::Eye;
use super::idinit::IdInit;
use super::initializer::Initializer;
use super::kaiming::Kaiming;
use super::linear_default::{LinearDefault, LinearDefaultBias};
use super::log_uniform::LogUniform;
use super::normal::Normal;
use super::orthogonal::Orthogonal;
use super::siren::Siren;
use super::sparse::Sparse;
use super::spectral::Spectral;
use super::trunc_normal::TruncNormal;
use super::trunc_normal_tf::TruncNormalTf;
use super::uniform::Uniform;
use super::variance_scaling::VarianceScaling;
use super::xavier::Xavier;
use super::zero_hadamard::ZeroHadamard;
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Function, Plan};

/// An initializer of a fused parameter: blocks along one axis, each initialized like a separate tensor. Created by
/// [`blocks`](super::blocks()) and [`equal_blocks`](super::equal_blocks).
#[derive(Debug, Clone, PartialEq)]
pub struct Blocks {
    /// The size of each block along the axis, and its initializer. Either all sizes are `Some`, or all are `None`
    /// (equal blocks).
    pub(super) blocks: Vec<(Option<usize>, Init)>,
    /// The number of equal blocks that share the single entry of the list `blocks`. `None` if the list has a separate
    /// entry for each block.
    pub(super) count: Option<usize>,
    /// The axis along which the blocks are concatenated. A negative axis counts from the end.
    pub(super) axis: isize,
}

/// An initializer of independent tensors that are stacked along an axis. Created by [`stacked`](super::stacked).
#[derive(Debug, Clone, PartialEq)]
pub struct Stacked {
    /// The initializer of each tensor.
    pub(super) each: Box<Init>,
    /// The axis along which the tensors are stacked. A negative axis counts from the end.
    pub(super) axis: isize,
}

/// An initializer that applies a function to the values of another initializer. Created by [`mapped`](super::mapped).
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    pub(super) function: Function,
    pub(super) argument: Box<Init>,
}

/// Defines the enum `Init` with one variant for each initializer type. A variant has the name of its type.
macro_rules! init {
    ($($name:ident)*) => {
        /// An initializer of any scheme of this crate.
        ///
        /// `FromStr` reads an initializer from its text form, the spec. `Display` prints the spec (see
        /// [`spec`](crate::spec)).
        ///
        /// ```
        /// use fanin::init::Init;
        /// let init: Init = "kaiming_normal_(0.2, mode='fan_out')".parse()?;
        /// assert_eq!(init.to_string(), "kaiming_normal(a=0.2, mode=fan_out)");
        /// assert_eq!(init.to_string().parse::<Init>()?, init);
        ///
        /// let typo = "kaiming_normal(mode=fan_uot)".parse::<Init>().unwrap_err().to_string();
        /// assert!(typo.ends_with("  kaiming_normal(mode=fan_uot)\n                      ^ did you mean fan_out?"),
        /// "{typo}");
        /// # Ok::<(), fanin::Error>(())
        /// ```
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "each variant is the initializer of its name")]
        pub enum Init {
            $($name($name),)*
        }

        impl Init {
            /// Returns the initializer inside the variant as two trait objects. The first resolves plans, and the
            /// second prints the spec.
            fn inner(&self) -> (&dyn Initializer, &dyn std::fmt::Display) {
                match self {
                    $(Init::$name(initializer) => (initializer, initializer),)*
                }
            }
        }

        $(
            impl From<$name> for Init {
                fn from(initializer: $name) -> Self {
                    Init::$name(initializer)
                }
            }
        )*
    };
}

init!(
    Uniform Normal TruncNormal Constant Eye Dirac Xavier Kaiming Orthogonal Sparse TruncNormalTf VarianceScaling
    LinearDefault LinearDefaultBias DeltaOrthogonal ZeroHadamard IdInit Siren Spectral LogUniform Arange Mapped
    Blocks Stacked ByShape
);

impl Init {
    /// Returns the name of a scheme or fan that requires torch's axis layout, `[out, in, kernel...]`. Returns `None` if
    /// nothing in this initializer requires this layout.
    ///
    /// The schemes `dirac`, `sparse`, `zero_hadamard` and `idinit` require this layout, because they have no `layout`
    /// argument. The fans in an expression, such as `1/fan_in`, require it too. A fan with a layout, such as
    /// `fan_in(in_out)`, does not.
    ///
    /// ```
    /// use fanin::init::Init;
    /// assert_eq!("sparse(0.9)".parse::<Init>()?.torch_axes(), Some("sparse"));
    /// assert_eq!("normal(std=1/fan_in)".parse::<Init>()?.torch_axes(), Some("fan_in"));
    /// assert_eq!("normal(std=1/fan_in(in_out))".parse::<Init>()?.torch_axes(), None);
    /// assert_eq!("siren".parse::<Init>()?.torch_axes(), None); // takes a layout
    /// # Ok::<(), fanin::Error>(())
    /// ```
    pub fn torch_axes(&self) -> Option<&'static str> {
        match self {
            Init::Dirac(_) => Some("dirac"),
            Init::Sparse(_) => Some("sparse"),
            Init::ZeroHadamard(_) => Some("zero_hadamard"),
            Init::IdInit(_) => Some("idinit"),
            Init::Blocks(blocks) => blocks.blocks.iter().find_map(|(_, init)| init.torch_axes()),
            Init::Stacked(stacked) => stacked.each.torch_axes(),
            Init::Mapped(mapped) => mapped.argument.torch_axes(),
            Init::ByShape(spec) => spec.torch_axes(),
            _ => None,
        }
    }

    /// Returns a copy of `self` for one tensor of a stack. The argument `index` is the position of this tensor in the
    /// stack. In the copy, the spec variable `index` has the value of this argument. Returns `None` if `self` uses no
    /// spec variables, or is itself a stack.
    pub(super) fn at(&self, index: usize) -> Option<Init> {
        match self {
            Init::ByShape(spec) => Some(spec.at(index).into()),
            Init::Mapped(Mapped { function, argument }) => {
                Some(Mapped { function: *function, argument: Box::new(argument.at(index)?) }.into())
            }
            Init::Blocks(blocks) => {
                let at = |(size, init): &(Option<usize>, Init)| {
                    (*size, init.at(index).unwrap_or_else(|| init.clone()))
                };
                let depends = blocks.blocks.iter().any(|(_, init)| init.at(index).is_some());
                depends.then(|| Blocks { blocks: blocks.blocks.iter().map(at).collect(), ..*blocks }.into())
            }
            _ => None,
        }
    }
}

impl Initializer for Init {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        self.inner().0.resolve(shape, dtype)
    }
}

impl std::fmt::Display for Init {
    /// Prints the spec. Arguments with their default values are left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner().1.fmt(f)
    }
}
