//! The trait `Initializer`, and functions that its implementations share.

use crate::dtype::{DType, Element};
use crate::error::Error;
use crate::plan::{Distribution, Plan};
use crate::shape::element_count;
use crate::streams::Stream;
use crate::tensor::TensorMut;
use crate::warning::Warning;

/// A scheme with its arguments. An initializer computes a [`Plan`] from a shape and an element type, and fills memory
/// according to this plan.
///
/// To add a scheme, implement [`Initializer::resolve`].
///
/// ```
/// use fanin::{DType, Error, Initializer, Distribution, Native, Plan};
///
/// /// SIREN's hidden layers: U[-b, b), b = sqrt(6 / fan_in) / 30 (Sitzmann et al. 2020, theorem 1.8).
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
    /// Returns the plan for a tensor of this shape and element type. This function generates no random numbers.
    ///
    /// # Errors
    /// Returns an error if the arguments or the shape are invalid for the scheme.
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error>;

    /// Fills the row-major tensor `buffer` with values from `stream`. Returns the plan, which contains any warnings.
    ///
    /// # Errors
    /// Returns the same errors as [`Initializer::resolve`] and [`Plan::fill`]. When an error other than `Memory` is
    /// returned, nothing has been written.
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

    /// Fills `tensor` with values from `stream`. `tensor` can have any strides. Returns the plan, which contains any
    /// warnings.
    ///
    /// # Errors
    /// Returns the same errors as [`Initializer::resolve`] and [`Plan::fill`]. When an error other than `Memory` is
    /// returned, nothing has been written.
    fn fill_tensor(&self, tensor: TensorMut<'_>, stream: &mut dyn Stream) -> Result<Plan, Error> {
        let plan = self.resolve(tensor.shape(), tensor.dtype())?;
        stream.fill(&plan, tensor)?;
        Ok(plan)
    }

    /// Fills `buffer` with a region of a larger tensor. Returns the plan of the whole tensor.
    ///
    /// `global` is the shape of the whole tensor. The region is `start..start + size` along each axis. `buffer` has
    /// only the elements of the region, in row-major order. The values are bit-identical to the values of these
    /// elements after a fill of the whole tensor. Some schemes, such as `orthogonal`, need working memory for the whole
    /// tensor.
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
    /// Returns the same errors as [`Initializer::fill`]. Returns [`Error::Region`] if the region is not inside the
    /// shape. Returns [`Error::NoRandomAccess`] if the stream can fill only whole tensors, and the region is not the
    /// whole tensor.
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

/// Defines `resolve`, `fill` and `fill_region` of [`Initializer`] as inherent methods, so that callers need not import
/// the trait.
/// `initializer!(Type, layout, groups)` also defines the methods that set the fields `layout` and `groups`.
macro_rules! initializer {
    ($name:ident, $($setter:ident),+) => {
        $($crate::init::initializer::setter!($name, $setter);)+
        $crate::init::initializer::initializer!($name);
    };
    ($name:ident) => {
        impl $name {
            /// Fills the row-major tensor `buffer`, as [`Initializer::fill`](crate::Initializer::fill) does.
            ///
            /// # Errors
            /// Returns the same errors as [`Initializer::fill`](crate::Initializer::fill). When an error other than
            /// `Memory` is returned, nothing has been written.
            pub fn fill<E: $crate::Element>(
                &self,
                buffer: &mut [E],
                shape: &[usize],
                stream: &mut dyn $crate::Stream,
            ) -> Result<$crate::Plan, $crate::Error> {
                $crate::Initializer::fill(self, buffer, shape, stream)
            }

            /// Fills `buffer` with a region of a larger tensor, as
            /// [`Initializer::fill_region`](crate::Initializer::fill_region) does.
            ///
            /// # Errors
            /// Returns the same errors as [`Initializer::fill_region`](crate::Initializer::fill_region). When an error
            /// other than `Memory` is returned, nothing has been written.
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

            /// Returns the plan for a shape and a type, as [`Initializer::resolve`](crate::Initializer::resolve) does.
            ///
            /// # Errors
            /// Returns the same errors as [`Initializer::resolve`](crate::Initializer::resolve).
            pub fn resolve(
                &self,
                shape: &[usize],
                dtype: $crate::DType,
            ) -> Result<$crate::Plan, $crate::Error> {
                $crate::Initializer::resolve(self, shape, dtype)
            }
        }
    };
}
pub(super) use initializer;

/// Defines the method that sets the field `layout` or `groups` of an initializer.
macro_rules! setter {
    ($name:ident, layout) => {
        impl $name {
            /// Sets the axis layout of the weight.
            #[must_use]
            pub const fn layout(self, layout: $crate::AxisLayout) -> Self {
                Self { layout, ..self }
            }
        }
    };
    ($name:ident, groups) => {
        impl $name {
            /// Sets the number of groups of the convolution. The number must be at least 1: see
            /// [`AxisLayout::grouped_fans`](crate::AxisLayout::grouped_fans).
            ///
            /// `torch.nn.init` has no argument for the groups. torch's fan_out of a grouped convolution is therefore
            /// too large by the factor `groups`.
            #[must_use]
            pub const fn groups(self, groups: usize) -> Self {
                Self { groups, ..self }
            }
        }
    };
}
pub(super) use setter;

/// Writes `name(key=value, ...)`. Arguments whose value is `None` are left out.
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

/// Returns `Some(value)` if `value` differs from `default`, so that [`write_spec`] prints it. Returns `None` if both
/// are equal.
pub(super) fn unless<T: PartialEq + std::fmt::Display>(
    value: &T,
    default: T,
) -> Option<&dyn std::fmt::Display> {
    (*value != default).then_some(value as &dyn std::fmt::Display)
}

/// Returns a plan with a warning if the shape has no elements. Otherwise returns `None`.
///
/// Call this function before a division by a fan: the fans of a shape without elements may be 0.
pub(super) fn empty_plan(shape: &[usize], dtype: DType) -> Result<Option<Plan>, Error> {
    if element_count(shape)? > 0 {
        return Ok(None);
    }
    let plan = Plan::new(shape, dtype, Distribution::Constant { value: 0.0 })?;
    Ok(Some(plan.with_warning(Warning::ZeroElements { shape: shape.to_vec() })))
}

/// Returns an error if `value` is negative.
pub(super) fn non_negative(scheme: &'static str, argument: &'static str, value: f64) -> Result<(), Error> {
    if value < 0.0 {
        let requirement = "must be greater than or equal to 0".to_owned();
        return Err(Error::Argument { scheme, argument, value, requirement });
    }
    Ok(())
}

/// Returns an error unless `value` is finite and greater than 0.
pub(super) fn positive(scheme: &'static str, argument: &'static str, value: f64) -> Result<(), Error> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    let requirement = "must be finite and greater than 0".to_owned();
    Err(Error::Argument { scheme, argument, value, requirement })
}
