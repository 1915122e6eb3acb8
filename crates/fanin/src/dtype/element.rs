//! `Element`, the trait of the types that a fill can write.

use half::{bf16, f16};

use super::dtypes::DType;
use super::float8::{F8E4M3, F8E5M2};
use super::rounding::{bf16_bits, f16_bits};
use super::values::Values;

mod sealed {
    pub trait Sealed: bytemuck::Pod {}
}

/// An element type that a fill can write: `f32`, `f64`, [`half::f16`], [`half::bf16`], [`F8E4M3`] or [`F8E5M2`].
pub trait Element:
    sealed::Sealed + Copy + Default + PartialEq + PartialOrd + std::fmt::Debug + Send + Sync + 'static
{
    /// The [`DType`] of this type.
    const DTYPE: DType;

    /// Returns the slice as a [`Values`].
    fn values(slice: &mut [Self]) -> Values<'_>;

    /// Converts the value to f64. The conversion is exact.
    fn to_f64(self) -> f64;

    /// Returns `x` rounded to this type, as [`DType::round`] does.
    fn from_f64(x: f64) -> Self;

    /// Writes the values of `from` to the elements of `to`. Each value is rounded once, to nearest, ties to even.
    /// Implementations have no branches, so that loops are vectorized.
    fn store(from: &[f32], to: &mut [Self]);
}

/// Implements [`Element`] for a type. The conversion `$to_f64` is exact. `$from_f64` and `$from_f32` round.
macro_rules! element {
    ($type:ty, $variant:ident, $to_f64:expr, $from_f64:expr, $from_f32:expr) => {
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: DType = DType::$variant;

            fn values(slice: &mut [Self]) -> Values<'_> {
                Values::$variant(slice)
            }

            fn to_f64(self) -> f64 {
                $to_f64(self)
            }

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                $from_f64(x)
            }

            #[inline(always)]
            fn store(from: &[f32], to: &mut [Self]) {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = $from_f32(*from);
                }
            }
        }
    };
}

element! { f64, F64, |x| x, |x| x, |x: f32| x.into() }
element! { f16, F16, f64::from, |x| f16::from_bits(f16_bits(x as f32)), |x| f16::from_bits(f16_bits(x)) }
element! { bf16, BF16, f64::from, |x| bf16::from_bits(bf16_bits(x as f32)), |x| bf16::from_bits(bf16_bits(x)) }
element! { F8E4M3, F8E4M3, |x: F8E4M3| x.to_f32().into(), |x| F8E4M3::from_f32(x as f32), F8E4M3::from_f32 }
element! { F8E5M2, F8E5M2, |x: F8E5M2| x.to_f32().into(), |x| F8E5M2::from_f32(x as f32), F8E5M2::from_f32 }

impl sealed::Sealed for f32 {}
impl Element for f32 {
    const DTYPE: DType = DType::F32;

    fn values(slice: &mut [Self]) -> Values<'_> {
        Values::F32(slice)
    }

    fn to_f64(self) -> f64 {
        self.into()
    }

    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as f32
    }

    #[inline(always)]
    fn store(from: &[f32], to: &mut [Self]) {
        to.copy_from_slice(from);
    }
}
