//! The trait of all initializers.

use crate::dtype::{DType, Element};
use crate::error::Error;
use crate::plan::Plan;
use crate::streams::Stream;
use crate::tensor::TensorMut;

/// What turns a shape into a plan. Implement it to add a scheme of your own.
///
/// ```
/// use fanin::{DType, Error, Initializer, Distribution, Native, Plan};
///
/// /// SIREN's hidden layers: U(+-sqrt(6 / fan_in) / 30) (Sitzmann et al. 2020, theorem 1.8).
/// struct Siren;
///
/// impl Initializer for Siren {
///     fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
///         let fans = fanin::AxisLayout::OutIn.fans(shape)?;
///         let bound = (6.0 / fans.fan_in as f64).sqrt() / 30.0;
///         Ok(Plan::new(shape, dtype, Distribution::Uniform { low: -bound, high: bound })?.with_fans(fans))
///     }
/// }
///
/// let mut w = vec![0f32; 64 * 64];
/// Siren.fill(&mut w, &[64, 64], &mut Native::new(0).tensor("net.1.weight"))?;
/// assert!(w.iter().all(|x| x.abs() <= 0.0103));
/// # Ok::<(), Error>(())
/// ```
pub trait Initializer {
    /// The plan for a tensor of this shape and type. Pure arithmetic: nothing is drawn.
    ///
    /// # Errors
    /// Everything that can be wrong with the request.
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error>;

    /// Fills row-major memory, and gives back the plan it followed, with its warnings.
    ///
    /// # Errors
    /// As [`Initializer::resolve`] and [`Plan::fill`]; nothing has been written then.
    fn fill<E: Element>(
        &self,
        buffer: &mut [E],
        shape: &[usize],
        stream: &mut dyn Stream,
    ) -> Result<Plan, Error>
    where
        Self: Sized,
    {
        self.fill_tensor(TensorMut::contiguous(buffer, shape)?, stream)
    }

    /// Fills memory of any strides, and gives back the plan it followed, with its warnings.
    ///
    /// # Errors
    /// As [`Initializer::resolve`] and [`Plan::fill`]; nothing has been written then.
    fn fill_tensor(&self, tensor: TensorMut<'_>, stream: &mut dyn Stream) -> Result<Plan, Error> {
        let plan = self.resolve(tensor.shape(), tensor.dtype())?;
        stream.fill(&plan, tensor)?;
        Ok(plan)
    }

    /// Fills row-major memory with a box of a larger tensor: what filling the whole of shape `global` and slicing
    /// `start .. start + size` along each axis would give, bit for bit, without the rest.
    ///
    /// ```
    /// use fanin::{init, Native};
    /// let seed = Native::new(7);
    /// let mut whole = vec![0f32; 6 * 4];
    /// init::orthogonal().fill(&mut whole, &[6, 4], &mut seed.tensor("w"))?;
    /// let mut lower_right = vec![0f32; 2 * 3];
    /// init::orthogonal().fill_region(&mut lower_right, &[6, 4], &[4, 1], &[2, 3], &mut seed.tensor("w"))?;
    /// assert_eq!(lower_right[..3], whole[17..20]);
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Initializer::fill`]; `Box` if the box is not in the shape; `NoRandomAccess` for a stream that must be
    /// read from its beginning.
    fn fill_region<E: Element>(
        &self,
        buffer: &mut [E],
        global: &[usize],
        start: &[usize],
        size: &[usize],
        stream: &mut dyn Stream,
    ) -> Result<Plan, Error>
    where
        Self: Sized,
    {
        let plan = self.resolve(global, E::DTYPE)?;
        stream.fill_region(&plan, start, TensorMut::contiguous(buffer, size)?)?;
        Ok(plan)
    }
}

/// Gives an initializer its methods without the trait in scope, its spec as `Display` and its parser.
macro_rules! initializer {
    ($name:ident) => {
        impl $name {
            #[doc = concat!("[`Initializer::fill`](crate::Initializer::fill), without the trait in scope.")]
            ///
            /// # Errors
            /// Everything that can be wrong with the request; nothing has been written then.
            pub fn fill<E: $crate::Element>(
                &self,
                buffer: &mut [E],
                shape: &[usize],
                stream: &mut dyn $crate::Stream,
            ) -> Result<$crate::Plan, $crate::Error> {
                $crate::Initializer::fill(self, buffer, shape, stream)
            }

            #[doc = concat!("[`Initializer::fill_region`](crate::Initializer::fill_region), without the trait in scope.")]
            ///
            /// # Errors
            /// Everything that can be wrong with the request; nothing has been written then.
            pub fn fill_region<E: $crate::Element>(
                &self,
                buffer: &mut [E],
                global: &[usize],
                start: &[usize],
                size: &[usize],
                stream: &mut dyn $crate::Stream,
            ) -> Result<$crate::Plan, $crate::Error> {
                $crate::Initializer::fill_region(self, buffer, global, start, size, stream)
            }

            #[doc = concat!("[`Initializer::resolve`](crate::Initializer::resolve), without the trait in scope.")]
            ///
            /// # Errors
            /// Everything that can be wrong with the request.
            pub fn resolve(&self, shape: &[usize], dtype: $crate::DType) -> Result<$crate::Plan, $crate::Error> {
                $crate::Initializer::resolve(self, shape, dtype)
            }
        }

        impl From<$name> for $crate::init::Init {
            fn from(initializer: $name) -> Self {
                $crate::init::Init::$name(initializer)
            }
        }
    };
}
pub(super) use initializer;

/// Writes `name(key=value, ...)`, leaving out what is `None`.
pub(super) fn write_spec(
    f: &mut std::fmt::Formatter<'_>,
    name: &str,
    arguments: &[(&str, Option<&dyn std::fmt::Display>)],
) -> std::fmt::Result {
    f.write_str(name)?;
    let mut opened = false;
    for (key, value) in arguments {
        if let Some(value) = value {
            write!(f, "{}{key}={value}", if opened { ", " } else { "(" })?;
            opened = true;
        }
    }
    if opened { f.write_str(")") } else { Ok(()) }
}

/// `Some` if it is not the default, so that [`write_spec`] prints it.
pub(super) fn unless<T: PartialEq + std::fmt::Display>(
    value: &T,
    default: T,
) -> Option<&dyn std::fmt::Display> {
    (*value != default).then_some(value as &dyn std::fmt::Display)
}
